// The pages in a real browser: what a newcomer does, what scripts add, and what works without them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { HtmlValidate } from "html-validate";
import { chromium } from "playwright-core";

import { Site, addresses } from "./site.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const guidelines = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const site = new Site();
let browser;

before(async () => {
  site.fill();
  await site.start();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  await site.stop();
});

/** Runs `visit` on a new page. Fails if the browser has anything to complain about, such as the page's policy. */
async function visiting(options, visit) {
  const context = await browser.newContext({ baseURL: site.url, ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    // That the page is not found is what one of them is for.
    if (!message.text().includes("status of 404")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(site.url)) complaints.push(`a request to ${request.url()}`);
  });
  await visit(page);
  await context.close();
  assert.deepEqual(complaints, []);
}

test("a newcomer finds an article, its history, what changed, and a permalink", async () => {
  await visiting({}, async (page) => {
    await page.goto("/");
    await page.getByRole("link", { name: "express", exact: true }).first().click();
    await page.getByRole("link", { name: "Harbour bridge closes today" }).click();
    assert.equal(await page.locator("article h1").textContent(), "Harbour bridge closes today");
    await page.getByLabel("As it stood at").fill("2026-05-10");
    await page.getByRole("button", { name: "Show" }).click();
    assert.equal(await page.locator("article h1").textContent(), "Harbour bridge to close in June");
    await page.getByRole("link", { name: "Show the newest" }).click();
    await page.getByRole("link", { name: /^History/ }).click();
    await page.getByLabel("Compare revision 1").check();
    await page.getByLabel("with revision 3").check();
    await page.getByRole("button", { name: "Compare the chosen two" }).click();
    assert.equal(new URL(page.url()).pathname, "/a/express/harbour/diff/1..3");
    assert.ok((await page.locator("del").allTextContents()).some((text) => text.includes("three")));
    assert.ok((await page.locator("ins").allTextContents()).some((text) => text.includes("five")));
    await page.getByText("Moved from place").waitFor();
    await page.getByRole("link", { name: "revision 3", exact: true }).click();
    await page.getByRole("link", { name: "BibTeX" }).waitFor();
    assert.equal(await page.locator("code").first().textContent().then((digest) => digest.length), 64);
  });
});

test("the slider steps through the revisions", async () => {
  await visiting({}, async (page) => {
    await page.goto("/a/express/harbour");
    const slider = page.getByRole("slider");
    await slider.focus();
    await page.keyboard.press("ArrowLeft");
    await page.waitForURL("**/a/express/harbour/r/2");
    await page.getByRole("slider").fill("1");
    await page.waitForURL("**/a/express/harbour/r/1");
    assert.equal(await page.locator("article h1").textContent(), "Harbour bridge to close in June");
  });
});

test("changes arrive while the page is open, and none is shown twice", async () => {
  await visiting({}, async (page) => {
    await page.goto("/");
    await page.getByText("Live: changes appear as they are recorded.").waitFor();
    const before = await page.locator(".changes > li").count();
    for (const number of [1, 2, 3]) {
      site.add("courier", `live-${number}`, "2026-06-04T08:00:00Z", `# Live &lt;b&gt;${number}&lt;/b&gt; & more\n\nText.\n`);
      await page.getByRole("link", { name: `Live <b>${number}</b> & more` }).waitFor();
    }
    assert.equal(await page.locator(".changes > li").count(), before + 3);
    assert.match(await page.locator(".changes > li").first().textContent(), /Live <b>3<\/b>/);
    assert.equal(await page.getByRole("status").textContent(), "Live: 3 new changes.");
    assert.equal(await page.locator(".changes b").count(), 0, "text stays text");
  });
});

test("everything works without scripts", async () => {
  await visiting({ javaScriptEnabled: false }, async (page) => {
    await page.goto("/changes");
    await page.getByRole("link", { name: "Harbour bridge to close in June" }).click();
    assert.equal(new URL(page.url()).pathname, "/a/express/harbour/r/1");
    await page.getByRole("slider").focus();
    await page.keyboard.press("ArrowRight");
    await page.getByRole("button", { name: "Go" }).click();
    assert.equal(new URL(page.url()).pathname, "/a/express/harbour/r/2");
    await page.getByRole("link", { name: "What changed" }).click();
    await page.getByRole("link", { name: "Side by side" }).click();
    assert.ok(await page.locator(".pair").count() > 3);
    await page.getByRole("link", { name: "First change" }).click();
    assert.equal(new URL(page.url()).hash, "#d1");
    await page.getByLabel("URL of an article").fill("express.example/harbour?utm_source=mail");
    await page.getByRole("button", { name: "Find" }).click();
    assert.equal(new URL(page.url()).pathname, "/a/express/harbour");
    await page.getByRole("link", { name: "Calendar" }).click();
    await page.getByRole("link", { name: /^2 June: 1 revision, 1 sighting/ }).click();
    assert.equal(await page.locator("article h1").textContent(), "Harbour bridge closes today");
  });
});

test("the keyboard alone is enough", async () => {
  await visiting({}, async (page) => {
    await page.goto("/a/express/harbour/diff/1..3");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(new URL(page.url()).hash, "#main");
    const focused = () => page.evaluate(() => document.activeElement.id);
    for (const [key, expected] of [["j", "d1"], ["j", "d2"], ["j", "d3"], ["k", "d2"], ["k", "d1"], ["k", "d1"]]) {
      await page.keyboard.press(key);
      assert.equal(await focused(), expected);
    }
    // Keys that are typed into a field are its own.
    await page.getByLabel("URL of an article").focus();
    await page.keyboard.type("jk");
    assert.equal(await page.getByLabel("URL of an article").inputValue(), "jk");
    await page.goto("/a/express/harbour/history");
    await page.getByLabel("Compare revision 2").focus();
    await page.keyboard.press("ArrowDown");
    assert.ok(await page.getByLabel("Compare revision 1").isChecked());
    await page.keyboard.press("Enter");
    await page.waitForURL("**/a/express/harbour/diff/1..3");
  });
});

test("no page has a finding of axe, in light and in dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    // The tool is a script that the policy of the pages would not run.
    await visiting({ colorScheme, bypassCSP: true }, async (page) => {
      for (const address of addresses) {
        await page.goto(address);
        await page.evaluate(axe);
        const { violations } = await page.evaluate((runOnly) => window.axe.run({ runOnly }), guidelines);
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
        assert.deepEqual(found, [], `${address} in ${colorScheme}`);
      }
    });
  }
});

test("every page is valid HTML", async () => {
  const rules = { "no-trailing-whitespace": "off", "long-title": "off", "doctype-style": "off" };
  const validator = new HtmlValidate({ extends: ["html-validate:recommended"], rules });
  for (const address of addresses) {
    const html = await (await fetch(site.url + address)).text();
    const { results } = await validator.validateString(html);
    const found = results.flatMap(({ messages }) => messages.map(({ line, ruleId, message }) => `${line}: ${ruleId}: ${message}`));
    assert.deepEqual(found, [], address);
  }
});

test("pages fit phones, tablets and desktops", async () => {
  const shots = process.env.SCREENSHOTS;
  if (shots) mkdirSync(shots, { recursive: true });
  for (const [width, colorScheme] of [[360, "light"], [800, "light"], [1440, "light"], [1440, "dark"]]) {
    await visiting({ viewport: { width, height: 900 }, colorScheme }, async (page) => {
      for (const address of addresses) {
        await page.goto(address);
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(beyond <= 0, `${address} is ${beyond} pixels wider than a screen of ${width}`);
        const file = `${address.replaceAll(/[^\w.]+/g, "-")}.${width}.${colorScheme}.png`;
        if (shots) await page.screenshot({ path: join(shots, file), fullPage: true });
      }
    });
  }
});

test("what is printed is the text, without the ways to elsewhere", async () => {
  await visiting({}, async (page) => {
    await page.emulateMedia({ media: "print" });
    await page.goto("/a/express/harbour");
    assert.ok(await page.locator("article h1").isVisible());
    for (const hidden of ["nav", "form"]) {
      for (const element of await page.locator(hidden).all()) assert.ok(!(await element.isVisible()), hidden);
    }
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
  });
});

test("text from right to left is set so, and the page around it is not", async () => {
  await visiting({}, async (page) => {
    await page.goto("/a/almadina/jisr");
    const direction = (selector) => page.locator(selector).first().evaluate((element) => getComputedStyle(element).direction);
    assert.deepEqual([await direction("article h1"), await direction("article p"), await direction("nav")], ["rtl", "rtl", "ltr"]);
  });
});

test("the earlier text is on the left in articles from right to left, too", async () => {
  await visiting({}, async (page) => {
    await page.goto("/a/almadina/jisr/diff/1..2?view=side");
    const left = (locator) => locator.first().boundingBox().then((box) => box.x);
    const [earlier, later] = [await left(page.locator(".pair b")), await left(page.locator(".pair b").nth(1))];
    const [removed, added] = [await left(page.locator(".pair p:has(del)")), await left(page.locator(".pair p:has(ins)"))];
    assert.ok(earlier < later && removed < added && removed < later, `${earlier} ${later} ${removed} ${added}`);
    assert.equal(await page.locator(".pair p:has(ins)").first().evaluate((element) => getComputedStyle(element).direction), "rtl");
  });
});

test("a browser without images, styles and scripts shows the same in the same order", () => {
  const done = spawnSync("lynx", ["-dump", "-nolist", "-width=100", `${site.url}/a/express/harbour`], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  const places = ["Skip to the content", "History 3", "in force since 3 June 2026, 08:00", "Harbour bridge closes today", "Ada Lake",
    "* Buses every ten minutes", "About this revision"].map((text) => done.stdout.indexOf(text));
  assert.ok(places.every((place) => place >= 0), done.stdout);
  assert.deepEqual(places, [...places].sort((one, other) => one - other));
});
