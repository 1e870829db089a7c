// Takes the README's picture of a page: what changed in the example article. The argument is the file to write.

import { readFileSync } from "node:fs";

import { chromium } from "playwright-core";

import { Site } from "./site.mjs";

const [file] = process.argv.slice(2);
const examples = process.env.EXAMPLES;
const site = new Site();
try {
  for (const [name, at] of [["harbour-bridge", "2026-05-16T18:00:00Z"], ["harbour-bridge-revised", "2026-05-21T07:30:00Z"]]) {
    const text = readFileSync(`${examples}/${name}.txt`, "utf8");
    site.dateline(["-q", "add", "-", "--article", "harbour-bridge", "--observed-at", at], text);
  }
  site.dateline(["key", "new", `${site.folder}/key.pem`]);
  await site.start();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const page = await browser.newPage({ baseURL: site.url, viewport: { width: 1_000, height: 640 }, deviceScaleFactor: 2 });
  await page.goto("/a/port-kestrel-courier/harbour-bridge/diff/1..2?view=side");
  await page.screenshot({ path: file });
  await browser.close();
} finally {
  await site.stop();
}
