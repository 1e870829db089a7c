// @ts-check
// What a client does with an archive, with Connect's gRPC transport and generated code; `npm run check` checks the types.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import {
  ArchiveService,
  ImportObservationsRequestSchema,
  ObservationOutcome,
  PreconditionSchema,
  RecordObservationRequestSchema,
} from "../gen/dateline/v1/archive_service_pb.js";
import { ChangeFeedService, ChangeKind, FeedView } from "../gen/dateline/v1/change_feed_service_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { startServer } from "./server.js";

/** @typedef {typeof import("../gen/dateline/v1/change_feed_service_pb.js").FeedStartSchema} FeedStartSchema */
/** @typedef {import("@bufbuild/protobuf").MessageInitShape<FeedStartSchema>} FeedStartInit */
/** @typedef {import("../gen/dateline/v1/archive_service_pb.js").GetArticleResponse} GetArticleResponse */
/** @typedef {import("../gen/dateline/v1/archive_service_pb.js").Precondition} Precondition */
/** @typedef {import("../gen/dateline/v1/change_feed_service_pb.js").Change} Change */

// For each call; a debug build on a busy machine is slow.
const DEADLINE_MS = 30_000;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Http2SessionManager} */
let session;
/** @type {import("@connectrpc/connect").Client<typeof ArchiveService>} */
let archive;
/** @type {import("@connectrpc/connect").Client<typeof ChangeFeedService>} */
let feed;

before(async () => {
  server = await startServer();
  const baseUrl = `http://${server.address}`;
  session = new Http2SessionManager(baseUrl);
  const transport = createGrpcTransport({ baseUrl, sessionManager: session, defaultTimeoutMs: DEADLINE_MS });
  archive = createClient(ArchiveService, transport);
  feed = createClient(ChangeFeedService, transport);
});

after(async () => {
  session?.abort();
  await server?.stop();
});

/** @param {number} hour */
const instant = (hour) => timestampFromDate(new Date(Date.UTC(2026, 2, 1, hour)));

const newSource = () => `sources/connect-${randomUUID()}`;

/**
 * @param {string} source
 * @param {number} hour
 * @param {string} text
 * @param {{ articleId?: string, requestId?: string, precondition?: Precondition }} [fields]
 */
const observation = (source, hour, text, fields) =>
  create(RecordObservationRequestSchema, {
    parent: source,
    articleId: "ferry",
    content: { headline: "Ferry sinks", blocks: [{ kind: { case: "paragraph", value: { text } } }] },
    observeTime: instant(hour),
    ...fields,
  });

/** @param {GetArticleResponse} response */
function textOf(response) {
  const kind = response.article?.revision?.content?.blocks[0]?.kind;
  return kind?.case === "paragraph" ? kind.value.text : undefined;
}

/**
 * Receives changes of one source until there are `count`. Returns them, and the token to continue after them.
 * @param {string} source
 * @param {FeedStartInit["position"]} position
 * @param {number} count
 * @param {(change: Change) => Promise<unknown>} [received] is called with each change while the stream is open
 */
async function subscribe(source, position, count, received = async () => {}) {
  const request = { start: { position }, filter: { sources: [source] }, view: FeedView.FULL };
  // A subscription has no deadline. Leaving the loop does not end the call; the signal does.
  const cancel = new AbortController();
  const options = { signal: cancel.signal, timeoutMs: 0 };
  try {
    /** @type {Change[]} */
    const changes = [];
    for await (const { event } of feed.subscribe(request, options)) {
      if (event.case !== "delivery") continue;
      for (const change of event.value.changes) {
        changes.push(change);
        await received(change);
      }
      if (changes.length >= count) {
        return { changes, token: event.value.bookmark?.resumeToken ?? "" };
      }
    }
    throw new Error(`the stream ended after ${changes.length} of ${count} changes`);
  } finally {
    cancel.abort();
  }
}

/**
 * @param {unknown} error
 * @param {Code} code
 */
function readDetails(error, code) {
  assert.ok(error instanceof ConnectError);
  assert.equal(error.code, code, error.message);
  return { info: error.findDetails(ErrorInfoSchema)[0], badRequest: error.findDetails(BadRequestSchema)[0] };
}

test("an observation creates, revises or confirms", async () => {
  const source = newSource();
  const outcomes = [];
  for (const [hour, text] of /** @type {const} */ ([[8, "12 people"], [9, "92 people"], [10, "92 people"]])) {
    outcomes.push((await archive.recordObservation(observation(source, hour, text))).outcome);
  }
  assert.deepEqual(outcomes, [ObservationOutcome.CREATED, ObservationOutcome.REVISED, ObservationOutcome.UNCHANGED]);
});

test("a repeated request is carried out once", async () => {
  const request = observation(newSource(), 8, "12 people", { requestId: "first" });
  const first = await archive.recordObservation(request);
  const again = await archive.recordObservation(request);
  assert.deepEqual([first.replayed, again.replayed], [false, true]);
  assert.deepEqual(again.snapshot, first.snapshot);
});

test("an article is read as of both time axes", async () => {
  const source = newSource();
  const name = `${source}/articles/ferry`;
  await archive.recordObservation(observation(source, 8, "12 people"));
  const { snapshot: known } = await archive.recordObservation(observation(source, 20, "92 people"));
  assert.ok(known);
  await archive.recordObservation(observation(source, 11, "40 people"));

  const noon = { observeTime: instant(12) };
  assert.equal(textOf(await archive.getArticle({ name })), "92 people");
  assert.equal(textOf(await archive.getArticle({ name, asOf: noon })), "40 people");
  const then = await archive.getArticle({
    name,
    asOf: { ...noon, knownAt: { case: "nextSeq", value: known.nextSeq }, logDigest: known.logDigest },
  });
  assert.equal(textOf(then), "12 people");
  assert.deepEqual(then.snapshot, known);
});

test("a subscriber receives each change once and resumes", async () => {
  const source = newSource();
  await archive.recordObservation(observation(source, 8, "12 people"));
  const { changes, token } = await subscribe(source, { case: "beginning", value: true }, 2, async (change) => {
    if (change.kind === ChangeKind.CREATED) {
      await archive.recordObservation(observation(source, 9, "92 people"));
    }
  });
  assert.deepEqual(
    changes.map((change) => [change.kind, change.revision?.number]),
    [[ChangeKind.CREATED, 1], [ChangeKind.REVISED, 2]],
  );
  assert.ok(changes[0] && changes[1] && changes[1].seq > changes[0].seq);

  await archive.recordObservation(observation(source, 10, "93 people"));
  const resumed = await subscribe(source, { case: "resumeToken", value: token }, 1);
  assert.deepEqual(
    resumed.changes.map((change) => change.revision?.number),
    [3],
  );
});

test("a change that cannot be processed is parked and resolved", async () => {
  const source = newSource();
  const subscriptionId = source.replace("sources/", "");
  const name = `subscriptions/${subscriptionId}`;
  const start = { position: { case: /** @type {const} */ ("beginning"), value: true } };
  await feed.createSubscription({ subscriptionId, subscription: { filter: { sources: [source] } }, start });
  await archive.recordObservation(observation(source, 8, "12 people"));
  const abort = new AbortController();
  let epoch = 0n;
  let seq = -1n;
  for await (const { event } of feed.subscribe({ subscription: name }, { signal: abort.signal, timeoutMs: 0 })) {
    if (event.case === "started") {
      epoch = event.value.epoch;
    } else if (event.case === "delivery" && event.value.changes[0]) {
      seq = event.value.changes[0].seq;
      break;
    }
  }
  const reason = "no such field";
  const parked = await feed.parkChange({ name, epoch, seq, reason, attempts: 3 });
  assert.equal(parked.subscription?.parkedCount, 1);
  await feed.acknowledgeSubscription({ name, epoch, nextSeq: seq + 1n });
  abort.abort();
  const listed = await feed.listParkedChanges({ name });
  assert.deepEqual(
    listed.parkedChanges.map((parked) => [parked.change?.seq, parked.reason, parked.attempts]),
    [[seq, reason, 3]],
  );
  const resolved = await feed.resolveParkedChanges({ name, seqs: [seq] });
  assert.equal(resolved.subscription?.parkedCount, 0);
});

test("an import reports each message and continues after a rejected one", async () => {
  const source = newSource();
  async function* messages() {
    const requests = [
      observation(source, 8, "12 people"),
      observation(source, 9, "92 people", { articleId: "not/an/id" }),
      observation(source, 10, "93 people"),
    ];
    for (const [offset, request] of requests.entries()) {
      yield create(ImportObservationsRequestSchema, { offset: BigInt(offset), requests: [request] });
    }
  }
  const responses = [];
  for await (const response of archive.importObservations(messages())) {
    responses.push(response);
  }
  assert.deepEqual(
    responses.map(({ offset, result }) => [offset, result.case]),
    [[0n, "recorded"], [1n, "error"], [2n, "recorded"]],
  );
  const rejected = responses[1]?.result;
  assert.ok(rejected?.case === "error");
  assert.equal(rejected.value.code, Code.InvalidArgument);
});

test("an error has its reason and metadata", async () => {
  const name = `${newSource()}/articles/nowhere`;
  await assert.rejects(archive.getArticle({ name }), (error) => {
    const { info, badRequest } = readDetails(error, Code.NotFound);
    assert.equal(info?.reason, "ARTICLE_UNKNOWN");
    assert.match(info.domain, /^dateline/);
    assert.equal(info.metadata.article, name);
    assert.equal(badRequest, undefined);
    return true;
  });
});

test("an error names every invalid field", async () => {
  const request = observation("not a source", 8, "12 people", { articleId: "?" });
  await assert.rejects(archive.recordObservation(request), (error) => {
    const { info, badRequest } = readDetails(error, Code.InvalidArgument);
    assert.equal(info?.reason, "FIELD_INVALID");
    assert.deepEqual(badRequest?.fieldViolations.map((violation) => violation.field).sort(), ["article_id", "parent"]);
    return true;
  });
});

test("a precondition that does not hold rejects the write", async () => {
  const source = newSource();
  const absent = create(PreconditionSchema, { condition: { case: "mustNotExist", value: true } });
  const { etag } = await archive.recordObservation(observation(source, 8, "12 people", { precondition: absent }));
  const unchanged = create(PreconditionSchema, { condition: { case: "etag", value: etag } });
  const guarded = (/** @type {number} */ hour, /** @type {string} */ text) =>
    archive.recordObservation(observation(source, hour, text, { precondition: unchanged }));
  await guarded(9, "92 people");
  await assert.rejects(guarded(10, "93 people"), (error) => {
    assert.equal(readDetails(error, Code.Aborted).info?.reason, "REVISION_CONFLICT");
    return true;
  });
});
