#!/usr/bin/env python3
"""Black-box consistency checker for a Dateline server, in the manner of Jepsen: random writers, readers and subscribers
while the server is killed, stopped and restarted. Then every answer is checked against the log and a restored backup.

Usage: consistency.py --binary PATH/dateline --proto PATH/proto --dir NEW_FOLDER [--seed N] [--kills 30] [--clients 12]
                      [--port 21210] [--gap 4.0] [--keep] [--sabotage]
Needs: pip install grpcio grpcio-tools googleapis-common-protos
Prints counts and each finding. The exit status is 0 without findings and 1 with. A run takes about kills x (gap + 1) s,
and a minute for the checks. The program knows nothing about the server but the proto, README.md and docs/ERRORS.md.
--sabotage falsifies one received answer of each kind before the checks, which must then report findings.
"""
import argparse, asyncio, collections, json, os, random, signal, subprocess, sys, time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--binary", required=True)
ap.add_argument("--proto", required=True)
ap.add_argument("--dir", required=True)
ap.add_argument("--seed", type=int, default=None)
ap.add_argument("--kills", type=int, default=30)
ap.add_argument("--clients", type=int, default=12)
ap.add_argument("--port", type=int, default=21210)
ap.add_argument("--gap", type=float, default=4.0, help="mean time between kills, in seconds")
ap.add_argument("--pause", type=float, default=0.02, help="longest pause of a client between operations, in seconds")
ap.add_argument("--asof", type=int, default=200)
ap.add_argument("--keep", action="store_true")
ap.add_argument("--sabotage", action="store_true")
A = ap.parse_args()
A.seed = A.seed if A.seed is not None else int(time.time())
R = random.Random(A.seed)
os.makedirs(A.dir, exist_ok=False)
gen = os.path.join(A.dir, "gen")
os.makedirs(gen)
import grpc
import grpc_tools
from grpc_tools import protoc
well_known = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
import google.rpc
common = os.path.dirname(os.path.dirname(os.path.abspath(list(google.rpc.__path__)[0])))
files = sorted(os.path.relpath(os.path.join(at, name), A.proto)
               for at, _, names in os.walk(A.proto) for name in names if name.endswith(".proto"))
files = [name for name in files if not name.startswith("google/")]          # the packages have these
if protoc.main(["protoc", "-I", A.proto, "-I", well_known, "-I", common, f"--python_out={gen}", f"--grpc_python_out={gen}", *files]):
    sys.exit("protoc failed")
sys.path.insert(0, gen)
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from dateline.v1 import resources_pb2 as r, archive_service_pb2 as a, change_feed_service_pb2 as f, admin_service_pb2 as ad
from dateline.v1.archive_service_pb2_grpc import ArchiveServiceStub
from dateline.v1.change_feed_service_pb2_grpc import ChangeFeedServiceStub
from dateline.v1.admin_service_pb2_grpc import AdminServiceStub

FINDINGS = collections.OrderedDict()          # kind -> [texts]
N = collections.Counter()
INF = 1 << 62
ALL_KINDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def finding(kind, text):
    FINDINGS.setdefault(kind, []).append(text)
    if len(FINDINGS[kind]) <= 3:
        print(f"FINDING {kind}: {text[:900]}", flush=True)


def us(t):
    return t.seconds * 1_000_000 + t.nanos // 1000


def ts(micros):
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def raw(m):
    return m.SerializeToString(deterministic=True)


BASE = 1_767_225_600_000_000                  # 2026-01-01
SOURCES = [f"sources/s{i}" for i in range(4)]
NAMES = [f"{s}/articles/a{i}" for s in SOURCES for i in range(8)]
_unique = 0


def unique():
    global _unique
    _unique += 1
    return _unique


# ---------------------------------------------------------------- server
class Server:
    def __init__(self, archive, port, name):
        self.archive, self.port, self.p = archive, port, None
        self.out = open(os.path.join(A.dir, name + ".log"), "ab")
        self.address = f"127.0.0.1:{port}"

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("DATELINE_")}
        self.p = subprocess.Popen([A.binary, "serve", "--archive", self.archive, "--listen", self.address, "--no-auth", "--grace-period", "3s"],
                                  stdout=self.out, stderr=self.out, env=env, start_new_session=True)

    async def ready(self, limit=60):
        end = time.time() + limit
        while time.time() < end:
            if self.p.poll() is not None:
                finding("SERVER_ENDED", f"the server ended by itself with status {self.p.returncode}")
                return False
            async with grpc.aio.insecure_channel(self.address) as c:
                try:
                    await AdminServiceStub(c).GetStatus(ad.GetStatusRequest(), timeout=2)
                    return True
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)
        finding("SERVER_NOT_READY", f"not serving after {limit} s")
        return False

    def signal(self, s):
        self.p.send_signal(s)

    async def wait(self, limit=40):
        end = time.time() + limit
        while self.p.poll() is None:
            if time.time() > end:
                finding("SHUTDOWN_HANGS", f"still running {limit} s after SIGTERM")
                self.p.kill()
            await asyncio.sleep(0.02)
        return self.p.returncode


OPT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 300),
       ("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]


class Stubs:
    def __init__(self, address):
        self.c = grpc.aio.insecure_channel(address, options=OPT)
        self.a, self.f, self.d = ArchiveServiceStub(self.c), ChangeFeedServiceStub(self.c), AdminServiceStub(self.c)


def reason(e):
    for k, v in (e.trailing_metadata() or ()):
        if k == "grpc-status-details-bin":
            return reason_of(status_pb2.Status.FromString(v))
    return ""


def reason_of(status):
    for d in status.details:
        i = error_details_pb2.ErrorInfo()
        if d.Unpack(i):
            return i.reason
    return ""


UNSURE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN,
          grpc.StatusCode.INTERNAL}
BAD_REASONS = {"INTERNAL", "CHECKSUM_MISMATCH", "STORAGE_FAILED", "HISTORY_DIVERGED", "AS_OF_IN_FUTURE", "STORAGE_FULL", "START_IN_FUTURE"}

# ---------------------------------------------------------------- what the clients did
WRITES = []                                    # every write, as a dict
BYID = {}                                      # (article, request id) -> acknowledged write
STAMPS = {}                                    # next_seq -> (archive_time, log_digest)
SEEN_STAMP = 0                                 # greatest next_seq in any answer
ASKS = []                                      # (method, request, answer bytes or code): to be repeated
READS = []                                     # (name, observe time, next_seq, article, how), to be checked against the model
CAS = []
stop = False


def note_stamp(s, where):
    global SEEN_STAMP
    k = (us(s.archive_time), s.log_digest)
    if STAMPS.setdefault(s.next_seq, k) != k:
        finding("SNAPSHOT_DIFFERS", f"{where}: next_seq {s.next_seq} was {STAMPS[s.next_seq]}, is now {k}")
    SEEN_STAMP = max(SEEN_STAMP, s.next_seq)
    N["snapshots"] += 1


def content(name, rnd):
    i = rnd.choice([0, 0, 1, 1, 2, 3, 4, None])
    text = f"Text {i} of it." if i is not None else f"Text that is new: {unique()}."
    return r.Content(headline=f"Headline {i if i is not None else 'new'}", language=rnd.choice(["en", "en", "de"]),
                     blocks=[r.Block(paragraph=r.Paragraph(text=text)), r.Block(paragraph=r.Paragraph(text="A line that stays. " * 20))])


def some_labels(rnd, counts):
    return sorted(rnd.sample(["l0", "l1", "l2"], rnd.choice(counts)))


def key_of(c):
    return raw(r.Content(headline=c.headline, language=c.language, blocks=c.blocks))


def changed_parts(before, after):
    """The parts of Revision.changed_parts that differ between two keys. Contents differ in headline, body and language alone."""
    old, new = r.Content.FromString(before), r.Content.FromString(after)
    words = [[b.paragraph.text.split() for b in c.blocks] for c in (old, new)]
    differ = {r.CONTENT_PART_HEADLINE: old.headline != new.headline, r.CONTENT_PART_BODY: words[0] != words[1],
              r.CONTENT_PART_LANGUAGE: old.language != new.language}
    return [part for part, is_other in differ.items() if is_other]


def when(rnd, exact):
    """An observe_time in microseconds, or None for now."""
    x = rnd.random()
    if x < 0.25:
        return None
    if exact:
        return BASE + rnd.randrange(400) * 1_000_000 + unique()      # unique
    if x < 0.6:
        return BASE + rnd.randrange(60) * 1_000_000
    return BASE + rnd.randrange(400_000) * 1000


def make_write(rnd):
    name = rnd.choice(NAMES)
    parent, aid = name.split("/articles/")
    x = rnd.random()
    rid = f"r{unique()}" if rnd.random() < 0.8 else ""
    t = when(rnd, not rid)
    if not rid and t is None:
        t = BASE + rnd.randrange(400) * 1_000_000 + unique()
    tt = ts(t) if t is not None else None
    if x < 0.74 or not rid:
        c = content(name, rnd)
        q = a.RecordObservationRequest(parent=parent, article_id=aid, content=c, observe_time=tt, request_id=rid,
                                       labels=some_labels(rnd, [0, 0, 0, 1, 1, 2]))
        if rnd.random() < 0.1:
            q.coalesce_within.CopyFrom(Duration(seconds=5))
        if rnd.random() < 0.05:
            q.urls.append(f"https://www.example.org/{name[8:]}/{rnd.randrange(5)}")
        if rnd.random() < 0.05:
            q.urls.append(f"https://www.example.org/{rnd.choice(NAMES[:6])[8:]}/{rnd.randrange(5)}")
        return dict(kind="record", method="RecordObservation", name=name, rid=rid, t=t, req=q, key=key_of(c),
                    coalesce=q.HasField("coalesce_within"))
    if x < 0.80:
        add = some_labels(rnd, [0, 1, 1, 2])
        remove = [label for label in some_labels(rnd, [0, 1, 2]) if label not in add]
        return dict(kind="label", method="LabelArticle", name=name, rid=rid, t=None,
                    req=a.LabelArticleRequest(name=name, add_labels=add, remove_labels=remove, request_id=rid, reason="why"))
    if x < 0.83:
        # Mostly of a URL that observations of some article have.
        url = f"https://www.example.org/{rnd.choice(NAMES[:6])[8:]}/{rnd.randrange(5)}"
        t = BASE + rnd.randrange(400) * 1_000_000 if t is None else t
        end = rnd.random() < 0.3
        return dict(kind="move_url", method="MoveUrl", name=name, rid=rid, t=t,
                    req=a.MoveUrlRequest(url=url, observe_time=ts(t), request_id=rid, reason="why",
                                         **(dict(ends=True, from_name=name) if end else dict(name=name))))
    if x < 0.87:
        return dict(kind="rollback", method="RollbackArticle", name=name, rid=rid, t=t,
                    req=a.RollbackArticleRequest(name=name, revision_number=rnd.randrange(1, 6), observe_time=tt, request_id=rid))
    if t is None and rnd.random() < 0.8:
        t = BASE + rnd.randrange(60) * 1_000_000
        tt = ts(t)
    if x < 0.90:
        return dict(kind="withdraw", method="WithdrawArticle", name=name, rid=rid, t=t,
                    req=a.WithdrawArticleRequest(name=name, observe_time=tt, request_id=rid, reason="why"))
    if x >= 0.95:
        return dict(kind="absence", method="RecordAbsence", name=name, rid=rid, t=t,
                    req=a.RecordAbsenceRequest(name=name, observe_time=tt, request_id=rid, reason=rnd.choice([1, 2]), http_status=404,
                                               gone_after=rnd.choice([1, 2, 3])))
    return dict(kind="reinstate", method="ReinstateArticle", name=name, rid=rid, t=t,
                req=a.ReinstateArticleRequest(name=name, observe_time=tt, request_id=rid))


def first_form(resp, first=None):
    """A reply as it was before it was a replay. The replies to batches and imports omit what the writer already has."""
    c = type(resp)()
    c.CopyFrom(resp)
    if hasattr(c, "replayed"):
        c.replayed = False
    if first is not None and hasattr(first, "revision") and not first.revision.HasField("content"):
        c.revision.ClearField("content")
        c.revision.ClearField("fetch")
    return raw(c)


async def call_write(st, op, timeout):
    """Makes one attempt. Returns whether its outcome is known."""
    floor = SEEN_STAMP
    op["tries"] = op.get("tries", 0) + 1
    try:
        resp = await getattr(st.a, op["method"])(op["req"], timeout=timeout)
    except grpc.aio.AioRpcError as e:
        why = reason(e)
        op.setdefault("errors", []).append((e.code().name, why))
        N["err " + e.code().name + " " + why] += 1
        if why in BAD_REASONS:
            finding("ERROR_" + why, f"{op['method']} {op['name']}: {e.details()}")
        if e.code() in UNSURE and why in ("", None, "DEADLINE_PASSED"):
            op["unsure"] = True
            return False
        if why == "DRAINING":
            op["drained"] = op.get("drained", 0) + 1
            return False
        op["status"] = "error"
        op["why"] = why
        return True
    op["status"] = "ok"
    op["resp"] = resp
    note_stamp(resp.snapshot, op["method"])
    if getattr(resp, "replayed", False):
        N["replayed"] += 1
    elif resp.snapshot.next_seq < floor and not getattr(resp, "replayed", False) and op["tries"] == 1:
        N["write snapshot below floor"] += 1
    return True


async def do_write(st, rnd, op=None):
    op = op or make_write(rnd)
    op["status"] = "unknown"
    WRITES.append(op)
    N["op " + op["kind"]] += 1
    give_up = rnd.random() < 0.3
    for i in range(200):
        known = await call_write(st, op, rnd.choice([0.05, 1.0, 3.0, 3.0]))
        if known:
            break
        N["unknown outcomes"] += 1
        if give_up or (stop and i > 20):
            N["unknown left"] += 1
            return
        await asyncio.sleep(rnd.random() * 0.3)
    if op["status"] == "ok" and op["rid"]:
        BYID[(op["name"], op["rid"])] = op
    return op


async def do_race(st, rnd):
    """Sends the same request twice at the same time."""
    op = make_write(rnd)
    if not op["rid"]:
        return
    op["status"] = "unknown"
    WRITES.append(op)
    twin = dict(op)
    ok1, ok2 = await asyncio.gather(call_write(st, op, 3), call_write(st, twin, 3))
    N["op race"] += 1
    if op["status"] != "ok" and twin["status"] == "ok":
        op["status"], op["resp"] = "ok", twin["resp"]
    elif op["status"] == "ok" and twin["status"] == "ok":
        if first_form(op["resp"], twin["resp"]) != first_form(twin["resp"], op["resp"]):
            finding("RACE_ANSWERS_DIFFER", f"{op['method']} {op['name']} {op['rid']}:\n{op['resp']}\n---\n{twin['resp']}")
        if op["resp"].replayed == twin["resp"].replayed:
            finding("RACE_REPLAYED", f"{op['name']} {op['rid']}: replayed is {op['resp'].replayed} in both")
        N["races compared"] += 1
    elif "error" in (op["status"], twin["status"]) and "ok" in (op["status"], twin["status"]):
        finding("RACE_OK_AND_ERROR", f"{op['name']} {op['rid']}: {op['method']} {op.get('errors')} {twin.get('errors')}")
    if op["status"] == "ok":
        BYID[(op["name"], op["rid"])] = op


async def do_replay(st, rnd):
    if not BYID:
        return
    op = BYID[rnd.choice(list(BYID)) if len(BYID) < 50 else R.choice(list(BYID))]
    N["op replay"] += 1
    try:
        if rnd.random() < 0.15 and op["kind"] == "record":
            q = a.RecordObservationRequest()
            q.CopyFrom(op["req"])
            q.content.headline += " otherwise"
            try:
                await st.a.RecordObservation(q, timeout=3)
                finding("REUSED_ID_ACCEPTED", f"another request with id {op['rid']} was accepted")
            except grpc.aio.AioRpcError as e:
                if e.code() not in UNSURE and reason(e) != "REQUEST_ID_REUSED":
                    finding("REUSED_ID_REASON", f"{e.code()} {reason(e)}")
            return
        resp = await getattr(st.a, op["method"])(op["req"], timeout=3)
        N["replays compared"] += 1
        if not resp.replayed:
            finding("REPLAY_NOT_REPLAYED", f"{op['name']} {op['rid']}: carried out twice")
        if first_form(resp, op["resp"]) != first_form(op["resp"]):
            finding("REPLAY_DIFFERS", f"{op['method']} {op['name']} {op['rid']}: first\n{op['resp']}\nnow\n{resp}")
    except grpc.aio.AioRpcError as e:
        if e.code() not in UNSURE and reason(e) != "DRAINING":
            finding("REPLAY_REJECTED", f"{op['method']} {op['name']} {op['rid']}: {e.code().name} {reason(e)} {e.details()}")


async def do_batch(st, rnd):
    ops = []
    for _ in range(rnd.randrange(2, 7)):
        op = make_write(rnd)
        if op["kind"] == "record" and op["rid"]:
            ops.append(op)
    if not ops:
        return
    group = unique()
    q = a.BatchRecordObservationsRequest(requests=[o["req"] for o in ops])
    N["op batch"] += 1
    for o in ops:
        o.update(status="unknown", batch=group)
        WRITES.append(o)
    for _ in range(rnd.choice([1, 30])):
        try:
            resp = await st.a.BatchRecordObservations(q, timeout=rnd.choice([0.05, 3]))
            note_stamp(resp.snapshot, "batch")
            for o, x in zip(ops, resp.responses):
                o["status"], o["resp"] = "ok", x
                BYID[(o["name"], o["rid"])] = o
            return
        except grpc.aio.AioRpcError as e:
            if e.code() in UNSURE:
                N["unknown outcomes"] += 1
                await asyncio.sleep(0.2)
                continue
            N["err " + e.code().name + " " + reason(e)] += 1
            if reason(e) in BAD_REASONS:
                finding("ERROR_" + reason(e), f"batch: {e.details()}")
            for o in ops:
                o["status"], o["why"] = "error", reason(e)
            return


async def do_import(st, rnd):
    msgs = []
    for k in range(rnd.randrange(3, 12)):
        ops = [o for o in (make_write(rnd) for _ in range(rnd.randrange(1, 4))) if o["kind"] == "record" and o["rid"]]
        if ops:
            group = unique()
            for o in ops:
                o.update(status="unknown", batch=group)
                WRITES.append(o)
            msgs.append((k + 100, ops))
    N["op import"] += 1

    async def send():
        for k, ops in msgs:
            yield a.ImportObservationsRequest(offset=k, requests=[o["req"] for o in ops])
            if rnd.random() < 0.2:
                await asyncio.sleep(0.05)
    got = []
    try:
        async for x in st.a.ImportObservations(send(), timeout=10):
            got.append(x.offset)
            ops = dict(msgs)[x.offset]
            if x.HasField("recorded"):
                note_stamp(x.recorded.snapshot, "import")
                for o, y in zip(ops, x.recorded.responses):
                    o["status"], o["resp"] = "ok", y
                    BYID[(o["name"], o["rid"])] = o
            elif reason_of(x.error) == "DRAINING" or x.error.code in (14,):
                N["import item drained"] += 1
            else:
                for o in ops:
                    o["status"], o["why"] = "error", reason_of(x.error)
        if got != [k for k, _ in msgs]:
            finding("IMPORT_ANSWERS", f"ended OK; sent {[k for k, _ in msgs]}, answered {got}")
        N["imports whole"] += 1
    except grpc.aio.AioRpcError as e:
        if got != [k for k, _ in msgs][:len(got)]:
            finding("IMPORT_ORDER", f"answers {got}")
        if e.code() not in UNSURE and reason(e) != "DRAINING":
            finding("IMPORT_ERROR", f"{e.code()} {e.details()}")
        N["unknown outcomes"] += 1


async def do_cas(st, rnd):
    name = rnd.choice(NAMES[:3])
    parent, aid = name.split("/articles/")
    try:
        g = await st.a.GetArticle(a.GetArticleRequest(name=name, view=1), timeout=3)
    except grpc.aio.AioRpcError:
        return
    if not g.article.etag:
        finding("NO_ETAG", f"a read of the newest state of {name} has no etag")
        return
    c = content(name, rnd)
    c.blocks[0].paragraph.text = f"CAS {unique()}"
    op = dict(kind="record", method="RecordObservation", name=name, rid=f"r{unique()}", t=None, key=key_of(c), coalesce=False, cas=g.snapshot.next_seq,
              req=a.RecordObservationRequest(parent=parent, article_id=aid, content=c, request_id=None, precondition=a.Precondition(etag=g.article.etag)))
    op["req"].request_id = op["rid"]
    await do_write(st, rnd, op)
    N["op cas"] += 1
    if op["status"] == "ok":
        CAS.append(op)


# ---------------------------------------------------------------- reads
def strip(resp):
    """The answer without fields that only a read of the newest state has."""
    c = type(resp)()
    c.CopyFrom(resp)
    arts = list(c.articles) if hasattr(c, "articles") else [c.article] if hasattr(c, "article") else []
    for x in arts:
        x.ClearField("etag")
        x.ClearField("latest_fetch")
    return raw(c)


async def ask(st, method, q, timeout=10):
    try:
        return strip(await getattr(st.a, method)(q, timeout=timeout))
    except grpc.aio.AioRpcError as e:
        if e.code() in UNSURE or reason(e) == "DRAINING":
            return None
        if reason(e) in BAD_REASONS:
            finding("ERROR_" + reason(e), f"{method} {str(q)[:300]}: {e.details()}")
        return e.code().name


async def ask_again(st, item, where):
    method, q, want = item
    got = await ask(st, method, q)
    if got is None:
        return
    N["repeated " + where] += 1
    if got != want:
        t = getattr(a, method + "Response")
        show = lambda x: x if isinstance(x, str) or A.sabotage else str(t.FromString(x))
        finding("REPEATED_READ_DIFFERS", f"({where}) {method}\n{q}\nfirst:\n{show(want)}\nnow:\n{show(got)}")


async def do_read(st, rnd):
    if ASKS and rnd.random() < 0.4:
        return await ask_again(st, rnd.choice(ASKS), "in the run")
    floor = SEEN_STAMP
    name = rnd.choice(NAMES)
    x = rnd.random()
    as_of = r.AsOf()
    if rnd.random() < 0.5:
        as_of.observe_time.CopyFrom(ts(BASE + rnd.randrange(-5, 420) * 1_000_000 + rnd.choice([0, 0, 500_000])))
    bound = None
    if STAMPS and rnd.random() < 0.5:
        bound = rnd.choice(list(STAMPS)[-400:])
        if rnd.random() < 0.5:
            as_of.next_seq = bound
            as_of.log_digest = STAMPS[bound][1]
        elif bound:
            as_of.archive_time.CopyFrom(ts(STAMPS[bound][0]))
    if bound is None and rnd.random() < 0.15:  # what is known at the present time must stay so
        as_of.archive_time.CopyFrom(ts(int(time.time() * 1e6) - 2000))
    if x < 0.6:
        method, q = "GetArticle", a.GetArticleRequest(name=name, as_of=as_of, view=rnd.choice([1, 2]))
    elif x < 0.68:
        method, q = "GetRevision", a.GetRevisionRequest(name=f"{name}/revisions/{rnd.choice(['latest', '1', '2', '9'])}", as_of=as_of)
    elif x < 0.76:
        method, q = "BatchGetArticles", a.BatchGetArticlesRequest(names=rnd.sample(NAMES, 8), as_of=as_of)
    elif x < 0.86:
        method, q = "ListArticles", a.ListArticlesRequest(parent=rnd.choice(["sources/-", *SOURCES]), as_of=as_of, page_size=rnd.choice([3, 100]),
                                                          order=rnd.choice([1, 2]))
        if rnd.random() < 0.5:
            q.filter.labels.append("l1")
        if rnd.random() < 0.3:
            q.filter.changed_parts.append(r.CONTENT_PART_HEADLINE)
    elif x < 0.95:
        method, q = "ListRevisions", a.ListRevisionsRequest(parent=name, as_of=as_of, page_size=rnd.choice([5, 100]), order=rnd.choice([1, 2]),
                                                            changed_parts=rnd.choice([[], [], [r.CONTENT_PART_BODY, r.CONTENT_PART_LANGUAGE]]))
    else:
        method, q = "DiffRevisions", a.DiffRevisionsRequest(name=name, as_of=as_of)
        q.as_of.ClearField("observe_time")
    N["op read"] += 1
    try:
        resp = await getattr(st.a, method)(q, timeout=3)
    except grpc.aio.AioRpcError as e:
        if e.code() in UNSURE or reason(e) == "DRAINING":
            return
        if reason(e) in BAD_REASONS:
            finding("ERROR_" + reason(e), f"{method} {str(q)[:300]}: {e.details()}")
        if bound is not None and as_of.next_seq:
            ASKS.append((method, q, e.code().name))
            if method == "GetArticle":
                READS.append((name, us(as_of.observe_time) if as_of.HasField("observe_time") else None, as_of.next_seq, None, "snapshot"))
        return
    note_stamp(resp.snapshot, method)
    if as_of.WhichOneof("known_at") is None and resp.snapshot.next_seq < floor:
        finding("STALE_READ", f"{method} was answered at {resp.snapshot.next_seq}, but {floor} was known before it began")
    # The same read with the snapshot of its answer must return the same answer.
    again = type(q)()
    again.CopyFrom(q)
    if as_of.WhichOneof("known_at") != "archive_time" or rnd.random() < 0.5:
        again.as_of.ClearField("known_at")
        again.as_of.next_seq = resp.snapshot.next_seq
        again.as_of.log_digest = resp.snapshot.log_digest
    if method in ("ListArticles", "ListRevisions"):
        if resp.next_page_token:              # a page token always gives the same page
            page = type(q)()
            page.CopyFrom(q)
            page.page_token = resp.next_page_token
            got = await ask(st, method, page, 3)
            if got is not None:
                ASKS.append((method, page, got))
            return                             # only complete answers are compared; a short page may have a token too
    ASKS.append((method, again, strip(resp)))
    if len(ASKS) > 6000:
        ASKS.pop(rnd.randrange(5000))
    if method == "GetArticle":
        READS.append((name, us(as_of.observe_time) if as_of.HasField("observe_time") else None, resp.snapshot.next_seq, resp.article,
                      as_of.WhichOneof("known_at") or "newest"))


async def client(address, seed):
    rnd = random.Random(seed)
    st = Stubs(address)
    while not stop:
        x = rnd.random()
        if x < 0.42:
            await do_write(st, rnd)
        elif x < 0.80:
            await do_read(st, rnd)
        elif x < 0.84:
            await do_replay(st, rnd)
        elif x < 0.87:
            await do_race(st, rnd)
        elif x < 0.92:
            await do_batch(st, rnd)
        elif x < 0.94:
            await do_import(st, rnd)
        else:
            await do_cas(st, rnd)
        await asyncio.sleep(rnd.random() * A.pause)
    await st.c.close()


# ---------------------------------------------------------------- subscribers
class Follower:
    """Subscribes from the beginning, a position, a time or a snapshot; disconnects at random, and resumes with its token."""

    def __init__(self, name, seed, start="beginning", kinds=(), source=None, label=None, view=1, slow=0.0, cut=0.002, changed=()):
        self.name, self.rnd, self.start, self.kinds, self.source, self.label, self.view = name, random.Random(seed), start, list(kinds), source, label, view
        self.slow, self.cut, self.changed = slow, cut, list(changed)
        self.seen, self.token, self.next, self.first = [], None, 0, None
        self.mirror = {}
        self.claims = []                       # (next_seq, number of changes seen) of each bookmark
        self.caught = 0
        self.joins = 0

    def filter(self):
        q = r.ArticleFilter()
        if self.source:
            q.sources.append(self.source)
        if self.label:
            q.labels.append(self.label)
        q.changed_parts.extend(self.changed)
        return q

    def selects(self, c):
        """Whether a change is delivered, as far as the changed parts of its revision go"""
        changed = c.revision.changed_parts
        return not self.changed or c.kind not in (1, 2, 6) or not changed or set(changed) & set(self.changed)

    def request(self):
        q = f.SubscribeRequest(filter=self.filter(), kinds=self.kinds, view=self.view, heartbeat_interval=Duration(seconds=1))
        if self.token:
            q.start.resume_token = self.token
        elif self.start == "beginning":
            q.start.beginning = True
        elif self.start == "snapshot":
            q.start.snapshot.SetInParent()
        elif self.start == "seq":
            q.start.seq = max(0, SEEN_STAMP - 50)
        elif self.start == "now":
            q.start.now = True
        elif self.start == "time":
            q.start.archive_time.CopyFrom(ts(STAMPS[max(STAMPS)][0] - 2_000_000) if STAMPS and max(STAMPS) else ts(BASE))
        return q

    def mark(self, b):
        if not b.resume_token:
            finding("NO_TOKEN", f"{self.name}: a bookmark has no token")
        self.token = b.resume_token
        if b.next_seq < self.next:
            finding("BOOKMARK_BACK", f"{self.name}: {self.next} then {b.next_seq}")
        self.next = b.next_seq
        self.claims.append((b.next_seq, len(self.seen)))

    def change(self, c):
        if self.seen and c.seq <= self.seen[-1][0]:
            finding("FEED_ORDER", f"{self.name}: seq {c.seq} after {self.seen[-1][0]}")
        self.seen.append((c.seq, us(c.archive_time), c.kind, c.article, c.revision.number, c.is_newest, c.newest_revision_number, c.state, tuple(c.labels)))
        if self.start == "snapshot":
            if c.left_filter:
                self.mirror.pop(c.article, None)
            elif c.is_newest or c.article in self.mirror or True:
                self.mirror[c.article] = (c.newest_revision_number, c.state, tuple(c.labels))

    async def run(self, address):
        st = Stubs(address)
        while not stop or self.next < final_tail():
            if gave_up():
                finding("FEED_INCOMPLETE", f"{self.name}: at {self.next} of {final_tail()}")
                break
            self.joins += 1
            try:
                stream = st.f.Subscribe(self.request())
                first = True
                async for e in stream:
                    k = e.WhichOneof("event")
                    if first and k != "started":
                        finding("FEED_NO_STARTED", self.name)
                    if first:
                        if self.token is None and self.start != "snapshot":
                            self.first = e.started.bookmark.next_seq
                        elif self.start != "snapshot" and e.started.bookmark.next_seq != self.next:
                            finding("FEED_RESUME", f"{self.name}: resumed at {e.started.bookmark.next_seq}, was at {self.next}")
                        if self.token is None and self.start == "snapshot":
                            self.first = e.started.snapshot.next_seq
                            note_stamp(e.started.snapshot, "snapshot")
                        self.mark(e.started.bookmark)
                        first = False
                    elif k == "delivery":
                        for c in e.delivery.changes:
                            self.change(c)
                        for x in e.delivery.articles:
                            self.mirror[x.name] = (x.revision.number, x.state, tuple(x.labels))
                        self.mark(e.delivery.bookmark)
                    elif k == "bookmark":
                        self.mark(e.bookmark)
                    elif k == "caught_up":
                        self.caught += 1
                        self.mark(e.caught_up.bookmark)
                    elif k == "snapshot_end":
                        self.mark(e.snapshot_end.bookmark)
                    N["events"] += 1
                    if self.slow and not stop:
                        await asyncio.sleep(self.slow)
                    if stop and self.next >= final_tail():
                        stream.cancel()
                        break
                    if self.rnd.random() < self.cut:
                        stream.cancel()
                        break
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as e:
                if isinstance(e, grpc.aio.AioRpcError):
                    if e.code() not in UNSURE:
                        finding("FEED_ERROR", f"{self.name}: {e.code().name} {reason(e)} {e.details()}")
                        await asyncio.sleep(1)
            await asyncio.sleep(0.05 + self.rnd.random() * 0.2)
        await st.c.close()


class Durable:
    def __init__(self, name, seed, source=None):
        self.name, self.rnd, self.source = name, random.Random(seed), source
        self.acked, self.tried, self.runs, self.next, self.made = 0, 0, [], 0, False
        self.handled = []
        self.joins = 0
        # seq -> (the change as received, whether it is parked; None if a reply was lost)
        self.parked = {}

    async def park(self, st, epoch, change):
        """Parks a change, or resolves it if it is parked; sometimes twice, as if the first reply was lost."""
        res, seq = f"subscriptions/{self.name}", change.seq
        resolves = self.parked.get(seq, (None, False))[1] is True
        self.parked[seq] = (change, None)
        for _ in range(self.rnd.choice([1, 1, 2])):
            if resolves:
                await st.f.ResolveParkedChanges(f.ResolveParkedChangesRequest(name=res, seqs=[seq]), timeout=3)
            else:
                await st.f.ParkChange(f.ParkChangeRequest(name=res, epoch=epoch, seq=seq, reason="at random", attempts=2), timeout=3)
        self.parked[seq] = (change, not resolves)
        N["parked or resolved"] += 1

    async def check_parked(self, st):
        """Exactly what was parked is listed, as it was received."""
        found, q = {}, f.ListParkedChangesRequest(name=f"subscriptions/{self.name}", page_size=50)
        while True:
            page = await st.f.ListParkedChanges(q, timeout=5)
            found.update((p.change.seq, p.change) for p in page.parked_changes)
            if not page.next_page_token:
                break
            q.page_token = page.next_page_token
        for seq in found.keys() - self.parked.keys():
            finding("PARKED_UNASKED", f"{self.name}: nobody parked {seq}")
        for seq, (change, parked) in self.parked.items():
            if parked is not None and parked != (seq in found):
                finding("PARKED_LOST", f"{self.name}: {seq} was parked: {parked}, and is not so now")
            if seq in found and found[seq] != change:
                finding("PARKED_DIFFERS", f"{self.name}: {seq} was received as\n{change}\nand is listed as\n{found[seq]}")
        N["parked at the end"] += len(found)

    async def run(self, address):
        st = Stubs(address)
        res = f"subscriptions/{self.name}"
        while not self.made:
            try:
                sub = f.Subscription(kinds=ALL_KINDS)
                if self.source:
                    sub.filter.sources.append(self.source)
                await st.f.CreateSubscription(f.CreateSubscriptionRequest(subscription_id=self.name, subscription=sub, start=f.FeedStart(beginning=True)), timeout=3)
                self.made = True
            except grpc.aio.AioRpcError as e:
                if e.code() not in UNSURE:
                    finding("DURABLE_CREATE", f"{self.name}: {e.code().name} {reason(e)}")
                await asyncio.sleep(0.1)
        while not stop or self.acked < final_tail():
            if gave_up():
                finding("FEED_INCOMPLETE", f"{self.name}: at {self.acked} of {final_tail()}")
                break
            self.joins += 1
            try:
                stream = st.f.Subscribe(f.SubscribeRequest(subscription=res, consumer="checker", heartbeat_interval=Duration(seconds=1)))
                epoch, run = 0, None
                async for e in stream:
                    k = e.WhichOneof("event")
                    if k == "started":
                        epoch = e.started.epoch
                        at = e.started.bookmark.next_seq
                        if not self.acked <= at <= max(self.tried, self.acked):
                            finding("DURABLE_START", f"{self.name}: begins at {at}; acknowledged {self.acked}, tried {self.tried}")
                        run = [at, [], at]
                        self.runs.append(run)
                        self.acked = at
                        continue
                    b = e.bookmark if k == "bookmark" else getattr(e, k).bookmark if k in ("delivery", "caught_up") else None
                    if k == "delivery":
                        run[1].extend(c.seq for c in e.delivery.changes)
                    if b is not None:
                        run[2] = b.next_seq
                        upto = b.next_seq
                        if k == "delivery" and e.delivery.changes and self.rnd.random() < 0.1:
                            await self.park(st, epoch, self.rnd.choice(e.delivery.changes))
                        if k == "delivery" and e.delivery.changes and self.rnd.random() < 0.3:
                            upto = self.rnd.choice(e.delivery.changes).seq + 1
                        if upto > self.acked and (self.rnd.random() < 0.5 or stop):
                            self.tried = max(self.tried, upto)
                            got = await st.f.AcknowledgeSubscription(f.AcknowledgeSubscriptionRequest(name=res, epoch=epoch, next_seq=upto), timeout=3)
                            if got.subscription.next_seq != upto:
                                finding("ACK_ANSWER", f"{self.name}: acknowledged {upto}, answered {got.subscription.next_seq}")
                            self.acked = upto
                            N["acks"] += 1
                    if stop and self.acked >= final_tail():
                        stream.cancel()
                        break
                    if self.rnd.random() < 0.003:
                        stream.cancel()
                        break
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as e:
                if isinstance(e, grpc.aio.AioRpcError) and e.code() not in UNSURE and reason(e) != "CONSUMER_FENCED":
                    finding("DURABLE_ERROR", f"{self.name}: {e.code().name} {reason(e)} {e.details()}")
            await asyncio.sleep(0.05 + self.rnd.random() * 0.2)
        await st.c.close()


class Poller:
    def __init__(self, name, seed):
        self.name, self.rnd, self.token, self.seen, self.next = name, random.Random(seed), "", [], 0

    async def run(self, address):
        st = Stubs(address)
        while not stop or self.next < final_tail():
            if gave_up():
                finding("FEED_INCOMPLETE", f"{self.name}: at {self.next} of {final_tail()}")
                break
            q = f.ListChangesRequest(kinds=ALL_KINDS, page_size=self.rnd.choice([1, 7, 100, 1000]), wait=Duration(seconds=1))
            if self.token:
                q.resume_token = self.token
            else:
                q.start.beginning = True
            try:
                p = await st.f.ListChanges(q, timeout=10)
            except grpc.aio.AioRpcError as e:
                if e.code() not in UNSURE and reason(e) != "DRAINING":
                    finding("POLL_ERROR", f"{e.code().name} {reason(e)} {e.details()}")
                await asyncio.sleep(0.1)
                continue
            for c in p.changes:
                if c.seq != len(self.seen):
                    finding("POLL_GAP", f"{self.name}: seq {c.seq} where {len(self.seen)} was expected")
                self.seen.append(c.seq)
            self.token, self.next = p.resume_token, p.next_seq
            if p.next_seq != len(self.seen):
                finding("POLL_NEXT", f"{self.name}: next_seq {p.next_seq} after {len(self.seen)} changes of all kinds")
            N["polls"] += 1
        await st.c.close()


TAIL = [INF]
DEADLINE = [float("inf")]


def final_tail():
    return TAIL[0]


def gave_up():
    return time.time() > DEADLINE[0]


# ---------------------------------------------------------------- faults
async def faults(server, rnd):
    kills = 0
    while kills < A.kills:
        await asyncio.sleep(rnd.uniform(0.5, 2 * A.gap - 0.5))
        x = rnd.random()
        if x < 0.2:
            server.signal(signal.SIGSTOP)
            N["SIGSTOP"] += 1
            await asyncio.sleep(rnd.uniform(0.5, 4))
            if rnd.random() < 0.6:
                server.signal(signal.SIGCONT)
                continue
            server.signal(signal.SIGKILL)
        elif x < 0.3:
            server.signal(signal.SIGTERM)
            N["SIGTERM"] += 1
            begun = time.time()
            code = await server.wait()
            N["SIGTERM seconds x100"] += int(100 * (time.time() - begun))
            if code != 0:
                finding("SIGTERM_STATUS", f"status {code}")
            server.start()
            await server.ready()
            continue
        else:
            server.signal(signal.SIGKILL)
        await server.wait()
        kills += 1
        N["kill -9"] += 1
        server.start()
        while rnd.random() < 0.2 and kills < A.kills:
            await asyncio.sleep(rnd.uniform(0.005, 0.25))
            server.signal(signal.SIGKILL)
            await server.wait()
            kills += 1
            N["kill -9"] += 1
            N["kills while opening"] += 1
            server.start()
        begun = time.time()
        if not await server.ready():
            return
        N["ready seconds x100"] += int(100 * (time.time() - begun))
        if kills % 5 == 0:
            print(f"  {kills} kills, {len(WRITES)} writes, {len(ASKS)} reads kept, position {SEEN_STAMP}, findings {sum(map(len, FINDINGS.values()))}", flush=True)


# ---------------------------------------------------------------- the model, built from the log
class Model:
    def __init__(self, log):
        self.obs = collections.defaultdict(list)       # name -> [(t, seq, number, key)]; each (t, key) once
        self.marks = collections.defaultdict(list)     # name -> [(t, seq, state)]
        self.made = collections.defaultdict(list)      # name -> [(seq, number, key)]
        self.missed = collections.defaultdict(list)    # name -> [(t, seq, reason, gone after)]
        self.labelled = collections.defaultdict(list)  # name -> [(seq, labels)]: the changes of labels
        self.said = collections.defaultdict(list)      # URL key -> [(seq, name, whether it leads there, since, until)]
        self.log = log
        for c in log:
            self.take(c)

    def take(self, c):
        name, kind = c.article, c.request.WhichOneof("request")
        obs, made = self.obs[name], self.made[name]
        self.take_labels(c, kind)
        self.take_urls(c, kind)
        if kind in ("label", "move_url"):
            pass
        elif kind == "record_absence":
            q = c.request.record_absence
            t = us(q.observe_time)
            repeats = any(x[0] == t and x[2] == q.reason for x in self.missed[name])
            if c.kind != (3 if repeats else 9):
                finding("LOG_KIND", f"seq {c.seq}: {kind} has kind {c.kind}")
            if not repeats:
                self.missed[name].append((t, c.seq, q.reason, q.gone_after))
                run = self.run(name, t, c.seq + 1)
                told = (us(c.absence.last_seen_time), us(c.absence.first_missed_time), c.absence.count)
                if told != run[:3]:
                    finding("ABSENCE_RUN", f"seq {c.seq} {name} at {t}: the run is {told}, should be {run}")
        elif kind in ("withdraw", "reinstate"):
            q = getattr(c.request, kind)
            state = 2 if kind == "withdraw" else 1
            t = us(q.observe_time)
            if c.kind == 3:
                if not any(m[0] == t and m[2] == state for m in self.marks[name]):
                    finding("STATE_CHANGE_DROPPED", f"seq {c.seq} {name}: {kind} at {t} has kind SIGHTED, but there was no such state change before")
            else:
                if c.kind != (4 if state == 2 else 5):
                    finding("LOG_KIND", f"seq {c.seq}: {kind} has kind {c.kind}")
                self.marks[name].append((t, c.seq, state))
        else:
            q = getattr(c.request, kind)
            t = us(q.observe_time)
            if kind == "record":
                key = key_of(q.content)
            else:
                key = {n: k for _, n, k in made}.get(q.revision_number)
            same = [o for o in obs if o[0] == t and o[3] == key]
            number = c.request.recorded.revision_number
            if c.kind == 7 and number == 0:
                pass                           # only URLs
            elif not same:
                p = max((o for o in obs if o[0] <= t), default=None)
                later = [o for o in obs if o[0] > t]
                first = min((o[0] for o in later), default=None)
                s = [o for o in later if o[0] == first]
                if p and p[3] == key:
                    want, wn = "confirm", {p[2]}
                elif any(o[3] == key for o in s):
                    want, wn = ("confirm" if max(s)[3] == key else "either"), {o[2] for o in s if o[3] == key}
                else:
                    want, wn = "make", {len(made) + 1}
                makes = c.kind in (1, 2, 6)
                if want == "make" and not makes or want == "confirm" and makes:
                    finding("DECISION", f"seq {c.seq} {name} {kind} at {t}: should {want} {wn}, kind {c.kind} revision {number}; p={p and p[:3]} s={[o[:3] for o in s]}")
                elif want != "either" and number not in wn:
                    finding("DECISION_NUMBER", f"seq {c.seq} {name} {kind} at {t}: should {want} {wn}, has revision {number}")
                if makes:
                    parts = changed_parts(p[3], key) if p else []
                    if list(c.revision.changed_parts) != parts:
                        finding("CHANGED_PARTS", f"seq {c.seq} {name}: {list(c.revision.changed_parts)}, should be {parts}")
                    if number != len(made) + 1:
                        finding("REVISION_NUMBER", f"seq {c.seq} {name}: revision {number} where {len(made) + 1} was expected")
                    made.append((c.seq, number, key))
                obs.append((t, c.seq, number, key))
            elif c.kind not in (3, 7, 8):
                finding("RECORDED_TWICE", f"seq {c.seq} {name}: same time and content as seq {same[0][1]}, kind {c.kind}")
        n = self.in_force(name, INF, c.seq + 1)
        if n and n[2] != c.newest_revision_number:
            finding("NEWEST_NUMBER", f"seq {c.seq} {name}: newest_revision_number {c.newest_revision_number}, should be {n[2]}")
        if self.state(name, INF, c.seq + 1) != c.state:
            finding("NEWEST_STATE", f"seq {c.seq} {name}: state {c.state}, should be {self.state(name, INF, c.seq + 1)}")

    def take_labels(self, c, kind):
        before, added, removed = self.labels(c.article, c.seq), list(c.labels_added), list(c.labels_removed)
        if added or removed:
            if set(added) & set(before) or not set(removed) <= set(before):
                finding("LABELS_EDIT", f"seq {c.seq} {c.article}: +{added} -{removed} of {before}")
            self.labelled[c.article].append((c.seq, sorted((set(before) | set(added)) - set(removed))))
        if list(c.labels) != self.labels(c.article, c.seq + 1):
            finding("LABELS", f"seq {c.seq} {c.article}: labels {list(c.labels)}, should be {self.labels(c.article, c.seq + 1)}")
        q = getattr(c.request, kind)
        asked = {"label": lambda: (list(q.add_labels), list(q.remove_labels)), "record": lambda: (list(q.labels), [])}
        if kind in asked and asked[kind]() != (added, removed):
            finding("LABELS_REQUEST", f"seq {c.seq} {c.article}: +{added} -{removed} by {c.request}")
        if kind == "label" and c.kind != (8 if added or removed else 3):
            finding("LOG_KIND", f"seq {c.seq}: {kind} has kind {c.kind}")

    def take_urls(self, c, kind):
        t = us(c.observe_time) if c.HasField("observe_time") else None
        for u in c.urls:
            self.check_free(c, u.key, us(u.observe_time))
            self.said[u.key].append((c.seq, c.article, True, us(u.observe_time), us(u.end_time) if u.HasField("end_time") else INF))
        for u in c.urls_ended:
            period = next((p for p in self.periods(u.key, c.article, c.seq) if p[0] <= t < p[1]), None)
            if period is None:
                finding("URL_ENDED_ELSEWHERE", f"seq {c.seq} {c.article}: {u.key} ends at {t}, where it does not lead there")
            else:
                self.said[u.key].append((c.seq, c.article, False, t, period[1]))
        if kind == "move_url" and c.kind != (10 if c.urls or c.urls_ended else 3):
            finding("LOG_KIND", f"seq {c.seq}: {kind} has kind {c.kind}")

    def check_free(self, c, key, t):
        """An address leads to one article at a time."""
        held = self.lead(key, t, c.seq)
        if held and held[2]:
            finding("URL_HELD", f"seq {c.seq} {c.article}: {key} is bound at {t}, where it leads to {held[1]}")

    def lead(self, key, t, bound):
        return next((s for s in reversed(self.said[key]) if s[0] < bound and s[3] <= t < s[4]), None)

    def periods(self, key, name, bound):
        turns = sorted({x for s in self.said[key] if s[0] < bound for x in s[3:5]} - {INF})
        found = []
        for i, t in enumerate(turns):
            s = self.lead(key, t, bound)
            if s and s[1] == name and s[2]:
                end = turns[i + 1] if i + 1 < len(turns) else INF
                if found and found[-1][1] == t:
                    found[-1] = (found[-1][0], end)
                else:
                    found.append((t, end))
        return found

    def urls(self, name, bound):
        keys = {k for k, said in self.said.items() if any(s[1] == name and s[2] and s[0] < bound for s in said)}
        return sorted((k, lo, hi) for k in keys for lo, hi in self.periods(k, name, bound))

    def labels(self, name, bound):
        return next((labels for seq, labels in reversed(self.labelled[name]) if seq < bound), [])

    def label_seq(self, name, bound):
        return next((seq for seq, _ in reversed(self.labelled[name]) if seq < bound), None)

    def in_force(self, name, t, bound):
        return max((o for o in self.obs[name] if o[1] < bound and o[0] <= t), default=None)

    def run(self, name, t, bound):
        """The absences in a row up to t: when the page was last seen and first missed, how many there are, and whether they make
        the article gone, with those that follow; None if the last look at or before t found it."""
        looks = sorted([(o[0], o[1], None) for o in self.obs[name] if o[1] < bound] + [(x[0], x[1], x[3]) for x in self.missed[name] if x[1] < bound])
        until = sum(1 for x in looks if x[0] <= t)
        if not until or looks[until - 1][2] is None:
            return None
        first = until
        while looks[first - 1][2] is not None:
            first -= 1
        end = next((i for i in range(first, len(looks)) if looks[i][2] is None), len(looks))
        gone = any(x[2] <= n for n, x in enumerate(looks[first:end], 1))
        return looks[first - 1][0], looks[first][0], until - first, gone

    def state(self, name, t, bound):
        if max((m for m in self.marks[name] if m[1] < bound and m[0] <= t), default=(0, 0, 1))[2] == 2:
            return 2
        run = self.run(name, t, bound)
        return 3 if run and run[3] else 1

    def span(self, name, t, bound):
        steps = {}
        for o in sorted(o for o in self.obs[name] if o[1] < bound):
            steps[o[0]] = o[2]
        times = sorted(steps)
        i = max(k for k, x in enumerate(times) if x <= t)
        j = i
        while i and steps[times[i - 1]] == steps[times[j]]:
            i -= 1
        k = j
        while k + 1 < len(times) and steps[times[k + 1]] == steps[times[j]]:
            k += 1
        return times[i], times[k + 1] if k + 1 < len(times) else None


def check_reads(m):
    keys = {(n, num): k for n, made in m.made.items() for _, num, k in made}
    for name, t, bound, art, how in READS:
        T = INF if t is None else t
        want = m.in_force(name, T, bound)
        N["reads checked against the model"] += 1
        if art is None:
            if want is not None:
                finding("READ_NOT_FOUND", f"{name} at {t} below {bound} ({how}) was not found; the model has revision {want[2]}")
            continue
        if want is None:
            finding("READ_FOUND", f"{name} at {t} below {bound} ({how}): revision {art.revision.number}; the model has none")
            continue
        if art.revision.number != want[2]:
            finding("READ_REVISION", f"{name} at {t} below {bound} ({how}): revision {art.revision.number}, should be {want[2]}")
            continue
        if art.state != m.state(name, T, bound):
            finding("READ_STATE", f"{name} at {t} below {bound} ({how}): state {art.state}, should be {m.state(name, T, bound)}")
        run = m.run(name, T, bound)
        told = (us(art.absence.last_seen_time), us(art.absence.first_missed_time), art.absence.count) if art.HasField("absence") else None
        if told != (run and run[:3]):
            finding("READ_ABSENCE", f"{name} at {t} below {bound} ({how}): missing {told}, should be {run}")
        if list(art.labels) != m.labels(name, bound):
            finding("READ_LABELS", f"{name} at {t} below {bound} ({how}): labels {list(art.labels)}, should be {m.labels(name, bound)}")
        urls = sorted((u.key, us(u.observe_time), us(u.end_time) if u.HasField("end_time") else INF) for u in art.urls)
        if urls != m.urls(name, bound):
            finding("READ_URLS", f"{name} at {t} below {bound} ({how}): URLs {urls}, should be {m.urls(name, bound)}")
        if art.revision.content.blocks and key_of(art.revision.content) != keys[(name, want[2])]:
            finding("READ_CONTENT", f"{name} at {t} below {bound} ({how}): the content is not that of revision {want[2]}")
        lo, hi = m.span(name, T, bound)
        if us(art.valid_from) != lo or (us(art.valid_until) if art.HasField("valid_until") else None) != hi:
            finding("READ_SPAN", f"{name} at {t} below {bound} ({how}): valid {us(art.valid_from)}..{us(art.valid_until)}, should be {lo}..{hi}")
        if t is None and art.revision_count != sum(1 for s, _, _ in m.made[name] if s < bound):
            finding("READ_COUNT", f"{name} below {bound}: revision_count {art.revision_count}")


def check_writes(m, log):
    ids, plain = collections.defaultdict(list), collections.defaultdict(list)
    for c in log:
        q = getattr(c.request, c.request.WhichOneof("request"))
        if q.request_id:
            ids[(c.article, q.request_id)].append(c.seq)
        elif c.request.WhichOneof("request") == "record":
            plain[(c.article, us(q.observe_time))].append(c.seq)
    groups = collections.defaultdict(list)
    for op in WRITES:
        where = ids[(op["name"], op["rid"])] if op["rid"] else plain[(op["name"], op["t"])]
        N["writes checked against the log"] += 1
        if len(where) > 1:
            finding("WRITTEN_TWICE", f"{op['method']} {op['name']} id={op['rid']} t={op['t']}: seqs {where}, tries {op.get('tries')}")
        if op["status"] == "ok":
            if not where and not (op.get("coalesce") and not op["rid"]):
                finding("ACKNOWLEDGED_LOST", f"{op['method']} {op['name']} id={op['rid']} t={op['t']}: acknowledged, but not in the log; reply {op['resp']}")
                continue
            if where:
                c = log[where[0]]
                resp = op["resp"]
                if op["method"] in ("RecordObservation", "RollbackArticle"):
                    kind = {1: "make", 2: "make", 6: "make"}.get(c.kind, "confirm")
                    if (resp.outcome in (1, 2)) != (kind == "make") and (op["rid"] or op.get("tries") == 1):
                        finding("OUTCOME", f"{op['name']} {op['rid']}: the reply has outcome {resp.outcome}, the log has kind {c.kind}")
                    want = m.in_force(op["name"], us(c.observe_time), c.seq + 1)
                    if resp.revision.number != want[2]:
                        finding("REPLY_REVISION", f"{op['name']} {op['rid']} seq {c.seq}: the reply has revision {resp.revision.number}, should be {want[2]}")
                if resp.snapshot.next_seq <= c.seq:
                    finding("SNAPSHOT_BEFORE_WRITE", f"{op['name']} {op['rid']} seq {c.seq}: snapshot {resp.snapshot.next_seq}")
                if us(c.observe_time) != op["t"] and op["t"] is not None:
                    finding("OBSERVE_TIME", f"{op['name']} {op['rid']}: {op['t']} became {us(c.observe_time)}")
                if op["kind"] == "record" and key_of(c.request.record.content) != op["key"]:
                    tie = c.kind in (3, 7, 8) and sum(o[0] == us(c.observe_time) for o in m.obs[op["name"]]) > 1
                    finding("LOG_CONTENT_OF_TIE" if tie else "LOG_CONTENT", f"{op['name']} id={op['rid']} t={op['t']} seq {c.seq} kind {c.kind}: the log has another content; sent\n{op['req']}\nlog\n{c.request}\nanswer\n{op['resp']}")
        elif op["status"] == "error":
            if where and op["rid"]:
                finding("REJECTED_BUT_WRITTEN", f"{op['method']} {op['name']} id={op['rid']}: {op.get('why')} {op.get('errors')} but at seq {where}")
        else:
            N["unknown: written" if where else "unknown: not written"] += 1
            if where and op.get("errors") and all(e[1] == "DRAINING" for e in op["errors"]):
                finding("DRAINING_BUT_WRITTEN", f"{op['name']} {op['rid']}: every attempt was DRAINING, but it is at {where}")
            if where and op.get("errors") and all(e[0] == "DEADLINE_EXCEEDED" for e in op["errors"]):
                N["deadline exceeded: written"] += 1
        if op.get("batch") and op["rid"]:
            groups[op["batch"]].append((where, op))
    for g, items in groups.items():
        N["batches checked"] += 1
        there = [w[0] for w, _ in items if w]
        if there and len(there) != len(items):
            finding("BATCH_TORN", f"{len(there)} of {len(items)} are in the log: {[(o['rid'], w, o['status']) for w, o in items]}")
        elif there and there != list(range(there[0], there[0] + len(there))):
            finding("BATCH_APART", f"seqs {there}")
        elif there and len({us(log[s].archive_time) for s in there}) != 1:
            finding("BATCH_TIMES", f"seqs {there}")
    for op in CAS:
        w = ids[(op["name"], op["rid"])]
        if not w:
            continue
        N["CAS checked"] += 1
        before = m.in_force(op["name"], INF, op["cas"])
        st0, labels0 = m.state(op["name"], INF, op["cas"]), m.label_seq(op["name"], op["cas"])
        now = m.in_force(op["name"], INF, w[0])
        if before[2] != now[2] or st0 != m.state(op["name"], INF, w[0]) or labels0 != m.label_seq(op["name"], w[0]):
            finding("LOST_UPDATE", f"{op['name']} seq {w[0]}: etag of {op['cas']} (revision {before[2]}), but the newest was {now[2]}")


def check_log(log):
    last, commits = 0, 0
    for i, c in enumerate(log):
        if c.seq != i:
            finding("LOG_GAP", f"seq {c.seq} where {i} was expected")
        t = us(c.archive_time)
        if t < last:
            finding("ARCHIVE_TIME_BACK", f"seq {c.seq}: {t} after {last}")
        if t != last:
            commits += 1
        last = t
    N["changes"], N["commits"] = len(log), commits
    for n, (t, h) in STAMPS.items():
        if n > len(log):
            finding("SNAPSHOT_BEYOND", f"snapshot {n} of {len(log)}")
        elif n and us(log[n - 1].archive_time) != t:
            finding("SNAPSHOT_TIME", f"snapshot {n} has {t}, the change before it {us(log[n - 1].archive_time)}")
        elif n < len(log) and us(log[n].archive_time) <= t:
            N["snapshots inside a commit"] += 1
        N["distinct snapshots"] += 1


def check_followers(subs, log, mirror_want):
    # By default, a sighting is delivered if it alters the state.
    alters, states = set(), {}
    for c in log:
        if states.setdefault(c.article, 1) != c.state:
            alters.add(c.seq)
        states[c.article] = c.state
    for s in subs:
        if isinstance(s, Durable):
            want = [c.seq for c in log if not s.source or c.article.startswith(s.source + "/")]
            handled = set()
            for at, seqs, upto in s.runs:
                exp = [x for x in want if at <= x < upto]
                got = [x for x in seqs if x < upto]
                if got != exp:
                    finding("DURABLE_SEQ", f"{s.name}: from {at} to {upto}: {len(got)} of {len(exp)}; missing {sorted(set(exp) - set(got))[:5]} extra {sorted(set(got) - set(exp))[:5]}")
                handled.update(seqs)
            if set(want) - handled:
                finding("DURABLE_MISSED", f"{s.name}: never received {sorted(set(want) - handled)[:5]}")
            N["durable deliveries"] += sum(len(x[1]) for x in s.runs)
            N["durable attachments"] += len(s.runs)
        elif isinstance(s, Poller):
            if len(s.seen) != len(log):
                finding("POLL_COUNT", f"{len(s.seen)} of {len(log)}")
        else:
            N["subscriber joins"] += s.joins
            N["deliveries"] += len(s.seen)
            N["caught up"] += s.caught
            if s.label:
                continue
            kinds = set(s.kinds) or {1, 2, 4, 5, 6, 7, 8, 9, 10}
            altered = set() if s.kinds else alters
            want = [(c.seq, us(c.archive_time), c.kind, c.article, c.revision.number, c.is_newest, c.newest_revision_number, c.state, tuple(c.labels)) for c in log
                    if (c.kind in kinds and s.selects(c) or c.seq in altered) and c.seq >= (s.first or 0) and (not s.source or c.article.startswith(s.source + "/"))]
            if s.seen != want:
                w, g = {x[0]: x for x in want}, {x[0]: x for x in s.seen}
                miss, extra = sorted(set(w) - set(g)), sorted(set(g) - set(w))
                diff = [(w[k], g[k]) for k in w if k in g and w[k] != g[k]][:2]
                finding("FEED_SEQUENCE", f"{s.name}: {len(s.seen)} of {len(want)}; missing {miss[:5]}, extra {extra[:5]}, differ {diff}")
            seqs = [x[0] for x in want]
            import bisect
            for n, count in s.claims:
                if n and bisect.bisect_left(seqs, n) > count:
                    finding("BOOKMARK_UNTRUE", f"{s.name}: bookmark {n} with {count} delivered, {bisect.bisect_left(seqs, n)} match below it")
                    break
            N["bookmarks checked"] += len(s.claims)
    for s in subs:
        if isinstance(s, Follower) and s.start == "snapshot":
            want = mirror_want[s.label]
            N["mirrors compared"] += 1
            if s.mirror != want:
                finding("MIRROR", f"{s.name}: {len(s.mirror)} articles instead of {len(want)}; differ {[(k, s.mirror.get(k), want.get(k)) for k in set(want) | set(s.mirror) if want.get(k) != s.mirror.get(k)][:5]}")


async def whole_log(st, view):
    log = []
    q = f.SubscribeRequest(start=f.FeedStart(beginning=True), kinds=ALL_KINDS, view=view, end_when_caught_up=True)
    async for e in st.f.Subscribe(q, timeout=300):
        if e.WhichOneof("event") == "delivery":
            log.extend(e.delivery.changes)
    return log


async def mirror_of(st, label):
    out, token = {}, ""
    while True:
        q = a.ListArticlesRequest(parent="sources/-", page_size=10, page_token=token)
        if label:
            q.filter.labels.append(label)
        p = await st.a.ListArticles(q, timeout=10)
        for x in p.articles:
            out[x.name] = (x.revision.number, x.state, tuple(x.labels))
        token = p.next_page_token
        if not token:
            return out


def cli(*args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("DATELINE_")}
    p = subprocess.run([A.binary, *args], capture_output=True, text=True, env=env, timeout=300)
    if p.returncode:
        finding("COMMAND", f"{args}: status {p.returncode}: {p.stdout[-300:]} {p.stderr[-300:]}")
    return p


async def main():
    global stop
    print(f"seed {A.seed}, {A.clients} clients, {A.kills} kills", flush=True)
    archive = os.path.join(A.dir, "archive")
    server = Server(archive, A.port, "server")
    server.start()
    try:
        await server.ready()
        subs = [Follower("all", R.random(), kinds=ALL_KINDS, cut=0),
                Follower("all-cut", R.random(), kinds=ALL_KINDS, cut=0.03, view=2),
                Follower("default", R.random(), cut=0.01, view=3),
                Follower("source", R.random(), source=SOURCES[1], kinds=ALL_KINDS, cut=0.01),
                Follower("kinds", R.random(), kinds=[1, 4, 5], cut=0.01, source=SOURCES[0]),
                Follower("language", R.random(), cut=0.01, changed=[r.CONTENT_PART_LANGUAGE]),
                Follower("slow", R.random(), kinds=ALL_KINDS, slow=0.03, cut=0.001),
                Follower("now", R.random(), start="now", kinds=ALL_KINDS),
                Follower("mirror", R.random(), start="snapshot", cut=0.02),
                Follower("mirror-l1", R.random(), start="snapshot", label="l1", cut=0.02),
                Durable("d-all", R.random()), Durable("d-source", R.random(), source=SOURCES[2]), Poller("poller", R.random())]
        begun = time.time()
        tasks = [asyncio.create_task(client(server.address, R.random())) for _ in range(A.clients)]
        feeds = [asyncio.create_task(s.run(server.address)) for s in subs]
        more = []

        async def join_late():
            for i in range(12):
                await asyncio.sleep(max(1.0, A.kills * A.gap / 14))
                if stop:
                    return
                s = Follower(f"late-{i}", R.random(), start=["seq", "time", "snapshot", "beginning"][i % 4], kinds=ALL_KINDS if i % 4 != 2 else (), cut=0.02,
                             label="l1" if i % 8 == 2 else None)
                subs.append(s)
                more.append(asyncio.create_task(s.run(server.address)))
        late = asyncio.create_task(join_late())
        await faults(server, R)
        if server.p.poll() is not None:
            return
        await asyncio.sleep(1)
        stop = True
        await asyncio.gather(*tasks)
        late.cancel()
        st = Stubs(server.address)
        status = await st.d.GetStatus(ad.GetStatusRequest(), timeout=10)
        note_stamp(status.snapshot, "status")
        TAIL[0] = status.snapshot.next_seq
        DEADLINE[0] = time.time() + 60
        N["seconds of operations"] = int(time.time() - begun)
        await asyncio.gather(*feeds, *more)
        print("operations ended; checking the answers against the log", flush=True)
        log = await whole_log(st, 4)
        if len(log) != TAIL[0]:
            finding("LOG_LENGTH", f"the feed has {len(log)} changes, GetStatus reports {TAIL[0]}")
        if A.sabotage:
            gone = next(o for o in WRITES if o["status"] == "ok" and o["rid"] and o["kind"] == "record" and o["resp"].outcome == 2)
            for c in log:
                if c.article == gone["name"] and c.request.record.request_id == gone["rid"]:
                    c.request.record.request_id = "sabotaged"
            name, t, bound, art, how = next(x for x in READS if x[3] is not None)
            art.revision.number += 1
            s = next(x for x in subs if isinstance(x, Follower) and x.name == "all")
            del s.seen[len(s.seen) // 2]
            d = next(x for x in subs if isinstance(x, Durable))
            next(x for x in d.runs if len(x[1]) > 2)[1].pop(0)
            n = list(STAMPS)[len(STAMPS) // 2]
            STAMPS[n] = (STAMPS[n][0] + 1, STAMPS[n][1])
            ASKS[0] = (ASKS[0][0], ASKS[0][1], ASKS[0][2] + b"x" if isinstance(ASKS[0][2], bytes) else "OTHER")
            twice = next(o for o in WRITES if o["status"] == "ok" and o["rid"] and o["kind"] == "record" and o is not gone)
            again = next(c for c in log if c.article == twice["name"] and c.kind == 3 and c.request.record.request_id)
            again.request.record.request_id = twice["rid"]
        check_log(log)
        m = Model(log)
        check_writes(m, log)
        check_reads(m)
        mirrors = {None: await mirror_of(st, None), "l1": await mirror_of(st, "l1")}
        check_followers(subs, log, mirrors)
        for s in subs:
            if isinstance(s, Durable):
                g = (await st.f.GetSubscription(f.GetSubscriptionRequest(name=f"subscriptions/{s.name}"), timeout=5)).subscription
                if g.next_seq != TAIL[0] or g.lag_changes:
                    finding("DURABLE_LAG", f"{s.name}: {g.next_seq} of {TAIL[0]}, lag {g.lag_changes}")
                await s.check_parked(st)
        for item in ASKS:
            await ask_again(st, item, "at the end")
        for op in R.sample(list(BYID.values()), min(400, len(BYID))):
            resp = await getattr(st.a, op["method"])(op["req"], timeout=5)
            N["replays compared"] += 1
            if not resp.replayed or first_form(resp, op["resp"]) != first_form(op["resp"]):
                finding("REPLAY_DIFFERS", f"(end) {op['method']} {op['name']} {op['rid']}: first\n{op['resp']}\nnow\n{resp}")
        # random as-of points, here and in the restored archive
        points = []
        for _ in range(A.asof):
            n = R.choice(list(STAMPS))
            q = r.AsOf(observe_time=ts(BASE + R.randrange(420_000) * 1000), next_seq=n, log_digest=STAMPS[n][1])
            points.append(("BatchGetArticles", a.BatchGetArticlesRequest(names=R.sample(NAMES, 16), as_of=q, view=2)))
        answers = [(mth, q, await ask(st, mth, q)) for mth, q in points]
        print(cli("verify", "--server", f"http://{server.address}").stdout.strip(), "(verify through the server)", flush=True)
        backup, restored = os.path.join(A.dir, "backup"), os.path.join(A.dir, "restored")
        cli("backup", backup, "--server", f"http://{server.address}")
        server.signal(signal.SIGTERM)
        if await server.wait():
            finding("SIGTERM_STATUS", f"status {server.p.returncode} at the end")
        print(cli("verify", "--archive", archive).stdout.strip(), "(verify of the directory)", flush=True)
        cli("restore", backup, "--archive", restored)
        print(cli("verify", "--archive", restored).stdout.strip(), "(verify of the restored archive)", flush=True)
        server = Server(restored, A.port + 1, "restored")
        server.start()
        await server.ready()
        st = Stubs(server.address)
        for item in answers:
            await ask_again(st, item, "as-of points in the restored archive")
        for item in ASKS[:3000]:
            await ask_again(st, item, "in the restored archive")
        log2 = await whole_log(st, 4)
        if [raw(c) for c in log] != [raw(c) for c in log2]:
            finding("RESTORED_LOG", f"{len(log)} and {len(log2)} changes, which differ")
        for op in R.sample(list(BYID.values()), min(200, len(BYID))):
            try:
                resp = await getattr(st.a, op["method"])(op["req"], timeout=5)
            except grpc.aio.AioRpcError as e:
                finding("REPLAY_RESTORED", f"{op['method']} {op['rid']}: {e.code().name} {reason(e)} {e.details()}")
                continue
            N["replays compared in the restored archive"] += 1
            if not resp.replayed or first_form(resp, op["resp"]) != first_form(op["resp"]):
                finding("REPLAY_RESTORED", f"{op['method']} {op['name']} {op['rid']}: first\n{op['resp']}\nnow\n{resp}")
        for s in subs:
            if isinstance(s, Follower) and s.token:
                try:
                    async for e in st.f.Subscribe(f.SubscribeRequest(start=f.FeedStart(resume_token=s.token), filter=s.filter(), kinds=s.kinds, end_when_caught_up=True), timeout=10):
                        if e.WhichOneof("event") == "delivery" and e.delivery.changes:
                            finding("RESTORED_TOKEN", f"{s.name}: changes after the last token")
                    N["tokens accepted by the restored archive"] += 1
                except grpc.aio.AioRpcError as e:
                    finding("RESTORED_TOKEN", f"{s.name}: {e.code().name} {reason(e)} {e.details()}")
        server.signal(signal.SIGTERM)
        await server.wait()
    finally:
        if server.p.poll() is None:
            server.p.send_signal(signal.SIGCONT)
            server.p.kill()
    for name in ("server.log", "restored.log"):
        p = os.path.join(A.dir, name)
        if os.path.exists(p):
            for line in open(p, errors="replace"):
                if "panick" in line or "ERROR" in line:
                    finding("SERVER_LOG", line.strip())


asyncio.run(main())
ops = sum(v for k, v in N.items() if k.startswith("op "))
print(f"\noperations {ops}, kills {N['kill -9']} ({N['kills while opening']} while opening), SIGTERM {N['SIGTERM']}, SIGSTOP {N['SIGSTOP']}, "
      f"reads compared {sum(v for k, v in N.items() if k.startswith('repeated')) + N['reads checked against the model']}, "
      f"findings {sum(map(len, FINDINGS.values()))}")
print(json.dumps(dict(sorted(N.items())), indent=1))
for k, v in FINDINGS.items():
    print(f"FINDINGS {k}: {len(v)}, the first: {v[0][:2000]}")
if not FINDINGS and not A.keep:
    import shutil
    shutil.rmtree(A.dir)
sys.exit(1 if FINDINGS else 0)
