// @ts-check
// The Connect protocol over HTTP/1.1 and HTTP/2, in JSON and protobuf, by POST and GET: with Connect's own client, `buf curl`
// and fetch.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

import { ArchiveService } from "../gen/dateline/v1/archive_service_pb.js";
import { ChangeFeedService } from "../gen/dateline/v1/change_feed_service_pb.js";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { startServer } from "./server.js";

const DEADLINE_MS = 30_000;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;

before(async () => {
  server = await startServer();
});

after(async () => {
  await server?.stop();
});

/** @param {string} text */
const content = (text) => ({
  headline: "Bridge to close",
  blocks: [{ kind: { case: /** @type {const} */ ("paragraph"), value: { text } } }],
});

for (const httpVersion of /** @type {const} */ (["1.1", "2"])) {
  for (const useBinaryFormat of [false, true]) {
    for (const useHttpGet of [false, true]) {
      const how = `HTTP/${httpVersion}, ${useBinaryFormat ? "protobuf" : "JSON"}${useHttpGet ? ", GET" : ""}`;
      test(how, async () => {
        const baseUrl = `http://${server.address}`;
        const transport = createConnectTransport({
          baseUrl,
          httpVersion,
          useBinaryFormat,
          useHttpGet,
          defaultTimeoutMs: DEADLINE_MS,
        });
        const archive = createClient(ArchiveService, transport);
        const feed = createClient(ChangeFeedService, transport);
        const parent = `sources/connect-${httpVersion === "2" ? 2 : 1}-${useBinaryFormat}-${useHttpGet}`;
        const name = `${parent}/articles/bridge`;
        const recorded = await archive.recordObservation({ parent, articleId: "bridge", content: content("It closes.") });
        assert.ok(recorded.snapshot);

        const { article } = await archive.getArticle({ name });
        assert.equal(article?.name, name);
        // 32 bytes in either encoding.
        assert.equal(article?.revision?.contentDigest.length, 32);

        await assert.rejects(archive.getArticle({ name: `${parent}/articles/ferry` }), (error) => {
          const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
          assert.equal(ConnectError.from(error).code, Code.NotFound);
          assert.equal(info?.reason, "ARTICLE_UNKNOWN");
          return true;
        });

        let changes = 0;
        const start = { position: { case: /** @type {const} */ ("beginning"), value: true } };
        for await (const { event } of feed.subscribe({ start, filter: { sources: [parent] }, endWhenCaughtUp: true })) {
          changes += event.case === "delivery" ? event.value.changes.length : 0;
        }
        assert.equal(changes, 1);
      });
    }
  }
}

test("buf curl", async () => {
  const buf = fileURLToPath(new URL("../node_modules/.bin/buf", import.meta.url));
  const schema = fileURLToPath(new URL("../../../proto", import.meta.url));
  const run = promisify(execFile);
  const call = async (/** @type {string} */ method, /** @type {object} */ message) => {
    const url = `http://${server.address}/dateline.v1.${method}`;
    const args = ["curl", "--schema", schema, "--protocol", "connect", "--data", JSON.stringify(message), url];
    return JSON.parse((await run(buf, args, { timeout: DEADLINE_MS })).stdout);
  };
  const recorded = await call("ArchiveService/RecordObservation", {
    parent: "sources/buf",
    articleId: "bridge",
    content: { headline: "Bridge to close", blocks: [{ paragraph: { text: "It closes." } }] },
  });
  assert.ok(recorded.snapshot);
  const read = await call("ArchiveService/GetArticle", { name: "sources/buf/articles/bridge" });
  assert.equal(read.article.revision.content.headline, "Bridge to close");
});

test("fetch, and nothing else", async () => {
  const response = await fetch(`http://${server.address}/grpc.health.v1.Health/Check`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  assert.deepEqual(await response.json(), { status: "SERVING" });
});
