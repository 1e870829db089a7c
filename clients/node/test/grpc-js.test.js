// @ts-check
// What a client does with an archive, with @grpc/grpc-js and the contract as @grpc/proto-loader reads it at run time.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

import { startServer } from "./server.js";

// For each call; a debug build on a busy machine is slow.
const DEADLINE_MS = 30_000;

/** @param {string} folder */
const path = (folder) => fileURLToPath(new URL(folder, import.meta.url));
// Positions are 64-bit integers, which a JavaScript number cannot hold: they are read as strings.
const loading = { keepCase: true, longs: String, enums: String, oneofs: true, defaults: true };
const contract = protoLoader.loadSync(
  ["archive_service", "change_feed_service"].map((name) => `dateline/v1/${name}.proto`),
  { ...loading, includeDirs: [path("../../../proto")] },
);
const details = protoLoader.loadSync(
  ["status", "error_details"].map((name) => `google/rpc/${name}.proto`),
  { ...loading, includeDirs: [path("../../../proto")] },
);
const { v1 } = /** @type {any} */ (grpc.loadPackageDefinition(contract)).dateline;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {any} */
let archive;
/** @type {any} */
let feed;

before(async () => {
  server = await startServer();
  const credentials = grpc.credentials.createInsecure();
  archive = new v1.ArchiveService(server.address, credentials);
  feed = new v1.ChangeFeedService(server.address, credentials);
});

after(async () => {
  archive?.close();
  feed?.close();
  await server?.stop();
});

const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });

/**
 * Calls a method of ArchiveService that has one request and one response.
 * @param {string} method
 * @param {object} request
 * @returns {Promise<any>}
 */
const call = (method, request) => promisify(archive[method]).call(archive, request, deadline());

/** @param {number} hour */
const instant = (hour) => ({ seconds: Date.UTC(2026, 2, 1, hour) / 1000 });

const newSource = () => `sources/grpc-js-${randomUUID()}`;

/**
 * @param {string} source
 * @param {number} hour
 * @param {string} text
 */
const observation = (source, hour, text) => ({
  parent: source,
  article_id: "ferry",
  content: { headline: "Ferry sinks", blocks: [{ paragraph: { text } }] },
  observe_time: instant(hour),
});

/** @param {any} response */
const textOf = (response) => response.article.revision.content.blocks[0].paragraph.text;

/**
 * Reads google.rpc.Status, which a client of gRPC finds in a trailer.
 * @param {any} error
 */
function readDetails(error) {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  /** @param {string} type @param {any} value @returns {any} */
  const decode = (type, value) => /** @type {any} */ (details[type]).deserialize(value);
  /** @param {string} type */
  const find = (type) => {
    const found = decode("google.rpc.Status", bytes).details.find(
      (/** @type {any} */ detail) => detail.type_url === `type.googleapis.com/${type}`,
    );
    return found && decode(type, found.value);
  };
  return { info: find("google.rpc.ErrorInfo"), badRequest: find("google.rpc.BadRequest") };
}

/**
 * Receives changes of one source until there are `count`. Returns them, and the token to continue after them.
 * @param {string} source
 * @param {object} start
 * @param {number} count
 * @param {(change: any) => Promise<unknown>} [received] is called with each change while the stream is open
 */
async function subscribe(source, start, count, received = async () => {}) {
  const stream = feed.Subscribe({ start, filter: { sources: [source] }, view: "FEED_VIEW_FULL" }, deadline());
  // Cancelling the call ends the stream with an error, after what is of interest here.
  stream.on("error", () => {});
  const changes = [];
  for await (const { delivery } of stream) {
    for (const change of delivery?.changes ?? []) {
      changes.push(change);
      await received(change);
    }
    if (changes.length >= count) {
      stream.cancel();
      return { changes, token: delivery.bookmark.resume_token };
    }
  }
  throw new Error(`the stream ended after ${changes.length} of ${count} changes`);
}

test("an observation creates, revises or confirms", async () => {
  const source = newSource();
  const outcomes = [];
  for (const [hour, text] of /** @type {[number, string][]} */ ([[8, "12 people"], [9, "92 people"], [10, "92 people"]])) {
    outcomes.push((await call("RecordObservation", observation(source, hour, text))).outcome);
  }
  assert.deepEqual(
    outcomes.map((outcome) => outcome.replace("OBSERVATION_OUTCOME_", "")),
    ["CREATED", "REVISED", "UNCHANGED"],
  );
});

test("a repeated request is carried out once", async () => {
  const request = { ...observation(newSource(), 8, "12 people"), request_id: "first" };
  const first = await call("RecordObservation", request);
  const again = await call("RecordObservation", request);
  assert.deepEqual([first.replayed, again.replayed], [false, true]);
  assert.deepEqual(again.snapshot, first.snapshot);
});

test("an article is read as of both time axes", async () => {
  const source = newSource();
  const name = `${source}/articles/ferry`;
  await call("RecordObservation", observation(source, 8, "12 people"));
  const known = (await call("RecordObservation", observation(source, 20, "92 people"))).snapshot;
  await call("RecordObservation", observation(source, 11, "40 people"));

  const noon = { observe_time: instant(12) };
  const asKnownThen = { ...noon, next_seq: known.next_seq, log_digest: known.log_digest };
  assert.equal(textOf(await call("GetArticle", { name })), "92 people");
  assert.equal(textOf(await call("GetArticle", { name, as_of: noon })), "40 people");
  const then = await call("GetArticle", { name, as_of: asKnownThen });
  assert.equal(textOf(then), "12 people");
  assert.deepEqual(then.snapshot, known);
});

test("a subscriber receives each change once and resumes", async () => {
  const source = newSource();
  await call("RecordObservation", observation(source, 8, "12 people"));
  const { changes, token } = await subscribe(source, { beginning: true }, 2, async (change) => {
    if (change.kind === "CHANGE_KIND_CREATED") {
      await call("RecordObservation", observation(source, 9, "92 people"));
    }
  });
  assert.deepEqual(
    changes.map((change) => change.kind),
    ["CHANGE_KIND_CREATED", "CHANGE_KIND_REVISED"],
  );
  assert.equal(changes[1].revision.content.blocks[0].paragraph.text, "92 people");
  assert.ok(BigInt(changes[1].seq) > BigInt(changes[0].seq));

  await call("RecordObservation", observation(source, 10, "93 people"));
  const resumed = await subscribe(source, { resume_token: token }, 1);
  assert.deepEqual(
    resumed.changes.map((change) => change.revision.number),
    [3],
  );
});

test("an import reports each message and continues after a rejected one", async () => {
  const source = newSource();
  const stream = archive.ImportObservations(deadline());
  const observations = [
    observation(source, 8, "12 people"),
    { ...observation(source, 9, "92 people"), article_id: "not/an/id" },
    observation(source, 10, "93 people"),
  ];
  observations.forEach((request, offset) => stream.write({ offset, requests: [request] }));
  stream.end();
  const responses = [];
  for await (const response of stream) {
    responses.push(response);
  }
  assert.deepEqual(
    responses.map(({ offset, result }) => [offset, result]),
    [["0", "recorded"], ["1", "error"], ["2", "recorded"]],
  );
  assert.equal(responses[1].error.code, grpc.status.INVALID_ARGUMENT);
});

test("an error has its reason and metadata", async () => {
  const name = `${newSource()}/articles/nowhere`;
  await assert.rejects(call("GetArticle", { name }), (/** @type {any} */ error) => {
    assert.equal(error.code, grpc.status.NOT_FOUND);
    const { info, badRequest } = readDetails(error);
    assert.equal(info.reason, "ARTICLE_UNKNOWN");
    assert.match(info.domain, /^dateline/);
    assert.equal(info.metadata.article, name);
    assert.equal(badRequest, undefined);
    return true;
  });
});

test("an error names every invalid field", async () => {
  const request = { ...observation("not a source", 8, "12 people"), article_id: "?" };
  await assert.rejects(call("RecordObservation", request), (/** @type {any} */ error) => {
    assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
    const { info, badRequest } = readDetails(error);
    assert.equal(info.reason, "FIELD_INVALID");
    const fields = badRequest.field_violations.map((/** @type {any} */ violation) => violation.field);
    assert.deepEqual(fields.sort(), ["article_id", "parent"]);
    return true;
  });
});

test("a precondition that does not hold rejects the write", async () => {
  const source = newSource();
  const { etag } = await call("RecordObservation", {
    ...observation(source, 8, "12 people"),
    precondition: { must_not_exist: true },
  });
  const guarded = (/** @type {number} */ hour, /** @type {string} */ text) =>
    call("RecordObservation", { ...observation(source, hour, text), precondition: { etag } });
  await guarded(9, "92 people");
  await assert.rejects(guarded(10, "93 people"), (/** @type {any} */ error) => {
    assert.equal(error.code, grpc.status.ABORTED);
    assert.equal(readDetails(error).info.reason, "REVISION_CONFLICT");
    return true;
  });
});
