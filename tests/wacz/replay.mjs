// Opens a WACZ with wabac.js, the engine of ReplayWeb.page, as it does in a service worker: over HTTP, by ranges.
//
// replay.mjs FILE.wacz
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";

const data = fs.readFileSync(process.argv[2]);
const server = http.createServer((request, response) => {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "bytes=0-");
  const start = from === "" ? Math.max(0, data.length - Number(to)) : Number(from);
  const end = from === "" || to === "" ? data.length - 1 : Math.min(Number(to), data.length - 1);
  if (start > end) {
    response.writeHead(416).end();
    return;
  }
  response.writeHead(request.headers.range ? 206 : 200, {
    "Accept-Ranges": "bytes",
    "Content-Length": end - start + 1,
    "Content-Range": `bytes ${start}-${end}/${data.length}`,
  });
  response.end(request.method === "HEAD" ? undefined : data.subarray(start, end + 1));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;
Object.assign(globalThis, { self: globalThis, location: new URL(origin), registration: { scope: `${origin}/` } });

const { WorkerLoader } = await import("@webrecorder/wabac/swlib");
const loader = new WorkerLoader({ addEventListener() {} });
await loader._init_db;
const file = { sourceUrl: `${origin}/a.wacz` };
const { store } = await loader.addCollection({ name: "a", file }, (...progress) => console.log(...progress));
await store.initing;

/** What is shown for a URL at a time, given as 14 digits. */
async function replay(url, timestamp) {
  const request = {
    url,
    timestamp,
    mod: "mp_",
    method: "GET",
    destination: "document",
    headers: new Headers(),
    request: { destination: "document" },
    prepareProxyRequest: async () => ({ cookie: "" }),
  };
  const response = await store.getResource(request, `${origin}/w/a/`, { waitUntil() {} }, { noRedirect: true });
  assert.ok(response, `${url} at ${timestamp} is not found`);
  return { date: response.date.toISOString(), text: new TextDecoder().decode(await response.getBuffer()) };
}

const bridge = "https://www.express.example/Harbour/bridge?b=2&a=1";
for (const [timestamp, date, headline] of [
  ["20260501090000", "2026-05-01T09:00:00.000Z", "Bridge to close"],
  // A sighting, which shows the page that was kept earlier.
  ["20260503090000", "2026-05-03T09:00:00.000Z", "Bridge to close"],
  ["20260602080000", "2026-06-02T08:00:00.000Z", "Bridge closes today"],
]) {
  const shown = await replay(bridge, timestamp);
  assert.equal(shown.date, date);
  assert.ok(shown.text.includes(`<h1>${headline}</h1>`), shown.text);
}
// In the second block of the index.
const last = await replay("https://press.example:8080/%C3%9Cnder/450/?", "20260501100000");
assert.equal(last.text, "<p>Ferry");

const pages = await store.getAllPages();
assert.equal(pages.length, 354);
const generated = pages.filter((page) => !page.dateline.isOriginal);
assert.deepEqual(generated.map((page) => page.title), ["Fair opens (archived text; the original was not kept)"]);
const fair = await replay(generated[0].url, "20260501100000");
assert.ok(fair.text.includes("The fair opens."), fair.text);
console.log(`ok: wabac.js shows the pages, of ${pages.length}`);
process.exit(0);
