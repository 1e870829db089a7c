#!/usr/bin/env python3
"""Attacks over plain HTTP: on the web pages, on the Connect protocol, and by receivers of webhooks. Each has a bound that must
hold, while another client keeps asking for a page and an article and must be answered in time. Linux only.

Usage: hostile_http.py --binary PATH/dateline --dir NEW_FOLDER [--only NAME,...] [--list]
Needs: pip install hpack

Prints one line per check: `ok NAME measurements`, or `FAILED NAME what was seen`; then `N passed, N failed`. The exit status is 1
if a check failed. Each check has a server of its own on free ports of 127.0.0.1; all of them take some two minutes. The checks
rely on the documentation alone.
"""
import argparse, base64, http.client, http.server, json, os, re, resource, shutil, socket, socketserver, ssl, subprocess, sys
import threading, time, traceback, urllib.parse, zlib

import hpack

CHECKS = {}
ANSWER_WITHIN_S = 2.0                         # for the other client, on two cores that the attack uses as well
ARTICLE, FEED = "/dateline.v1.ArchiveService/", "/dateline.v1.ChangeFeedService/"
OTHER = "127.0.0.2"                           # the address of the other client: limits per address are the attacker's


def check(function):
    CHECKS[function.__name__] = function
    return function


class Failed(Exception):
    pass


def must(holds, what):
    if not holds:
        raise Failed(what)


def quote(bytes_, most=120):
    return repr(bytes_[:most])


# ------------------------------------------------------------------------------------------------ a server and its clients
class Server:
    def __init__(self, *arguments, scheme="http"):
        number = len(os.listdir(A.dir))
        self.home = os.path.join(A.dir, str(number))
        os.makedirs(self.home)
        self.archive, self.log_path = os.path.join(self.home, "archive"), os.path.join(self.home, "log")
        self.log = open(self.log_path, "wb")
        command = [A.binary, "serve", "--archive", self.archive, "--listen", "127.0.0.1:0", "--no-auth", "--web-listen",
                   "127.0.0.1:0", "--webhook-allow-private", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DATELINE_")} | {"HOME": self.home}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=environment)
        self.web = self.port(rf"url={scheme}://127\.0\.0\.1:(\d+)/")
        self.rpc = self.port(r"serving address=127\.0\.0\.1:(\d+)")
        self.scheme = scheme

    def port(self, pattern):
        end = time.time() + 20
        while time.time() < end and self.process.poll() is None:
            if found := re.search(pattern, self.log_text()):
                return int(found[1])
            time.sleep(0.02)
        raise Failed(f"the server does not start: {self.log_text()[-300:]}")

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def memory_mib(self, of="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(of)) / 1024

    def forget_peak(self):
        """Resets VmHWM, the peak of the memory (proc(5), clear_refs)."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as clear:
            clear.write("5")

    def connect(self, port=None, source="127.0.0.1", seconds=20):
        link = socket.create_connection(("127.0.0.1", port or self.web), seconds, (source, 0))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def ask(self, method, path, headers=(), body=None, port=None, source="127.0.0.1", seconds=20):
        """Returns status, headers and body."""
        port = port or self.web
        if port == self.web and self.scheme == "https":
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds, source_address=(source, 0), context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds, source_address=(source, 0))
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read()
        finally:
            connection.close()

    def get(self, path, headers=(), **more):
        return self.ask("GET", path, headers, **more)

    def call(self, service_method, message, **more):
        status, _, body = self.ask("POST", service_method, [("content-type", "application/json")], json.dumps(message),
                                   port=self.rpc, **more)
        must(status == 200, f"{service_method}: {status} {quote(body)}")
        return json.loads(body)

    def publish(self, article, text, source="press", **more):
        content = {"headline": f"About {article}", "blocks": [{"paragraph": {"text": text}}]}
        return self.call(ARTICLE + "RecordObservation", {"parent": f"sources/{source}", "articleId": article, "content": content, **more})

    def fill(self, revisions=300, large=700_000):
        self.publish("bridge", "It closes in June.", urls=["https://press.example/bridge"])
        for start in range(0, revisions, 100):
            requests = [{"parent": "sources/press", "articleId": f"a{number % 30}", "urls": [f"https://press.example/{number % 30}"],
                         "content": {"headline": f"Revision {number}", "blocks": [{"paragraph": {"text": f"word{number} " * 60}}]}}
                        for number in range(start, start + 100)]
            self.call(ARTICLE + "BatchRecordObservations", {"requests": requests})
        self.publish("large", "word " * (large // 5))

    def end(self):
        """Ends the server, which must have run until now without a panic."""
        running = self.process.poll() is None
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        text = self.log_text()
        must(running, f"the server ended: {text[-300:]}")
        for line in text.splitlines():
            must("panicked" not in line and " ERROR " not in line, f"the log has: {line[:200]}")
        self.log.close()
        shutil.rmtree(self.archive, ignore_errors=True)


class Bystander:
    """Another client, at another address: it fetches a page and calls a method over and over."""

    def __init__(self, server):
        self.server, self.slowest, self.failures, self.count, self.stopped = server, {"page": 0.0, "call": 0.0}, [], 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def one(self, kind):
        begun = time.time()
        try:
            if kind == "page":
                status, _, body = self.server.get("/a/press/bridge", source=OTHER)
            else:
                status, _, body = self.server.ask("POST", ARTICLE + "GetArticle", [("content-type", "application/json")],
                                                  '{"name":"sources/press/articles/bridge"}', port=self.server.rpc, source=OTHER)
            if status != 200 or b"It closes" not in body:
                self.failures.append(f"{kind}: {status} {quote(body)}")
        except Exception as error:            # whatever a client can fail with
            self.failures.append(f"{kind}: {error!r}")
        self.slowest[kind] = max(self.slowest[kind], time.time() - begun)
        self.count += 1

    def run(self):
        while not self.stopped:
            self.one("page")
            self.one("call")
            time.sleep(0.02)

    def end(self):
        self.stopped = True
        self.thread.join()
        must(not self.failures, f"another client: {len(self.failures)} of {self.count} failed: {self.failures[:2]}")
        worst = max(self.slowest.values())
        must(worst < ANSWER_WITHIN_S, f"another client waited {worst:.2f} s")
        return f"others {self.count} answers, page {self.slowest['page'] * 1000:.0f} ms, call {self.slowest['call'] * 1000:.0f} ms at most"


class Attack:
    """A server with an archive, another client, and the memory that an attack costs."""

    def __init__(self, *arguments, more_mib=150, **options):
        self.arguments, self.options, self.more_mib = arguments, options, more_mib

    def __enter__(self):
        self.server = Server(*self.arguments, **self.options)
        self.server.fill()
        self.server.get("/feed.atom")
        self.before = self.server.memory_mib()
        self.server.forget_peak()
        self.other = Bystander(self.server)
        self.figures = []
        self.server.figure = self.figures.append
        return self.server

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                seen = self.other.end()
                more = self.server.memory_mib("VmHWM") - self.before
                must(more < self.more_mib, f"it took {more:.0f} MiB more (at most {self.more_mib})")
                FIGURES.extend([*self.figures, f"{more:.0f} MiB more", seen])
                self.server.end()
        finally:
            self.other.stopped = True
            if self.server.process.poll() is None:
                self.server.process.kill()
                self.server.process.wait()


FIGURES = []


def read_all(link, seconds=20, most=64 << 20):
    """What arrives until the other side closes, or nothing comes any more."""
    link.settimeout(seconds)
    received = bytearray()
    try:
        while len(received) < most and (data := link.recv(1 << 16)):
            received += data
    except (TimeoutError, ConnectionError):
        pass
    return bytes(received)


def is_closed(link, seconds):
    """Whether the server closes the connection in time. What it sends before is thrown away."""
    end = time.time() + seconds
    while time.time() < end:
        link.settimeout(max(0.05, end - time.time()))
        try:
            if not link.recv(1 << 16):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def raw(server, data, port=None, seconds=5):
    """Sends bytes as they are, and returns the status and all that comes back."""
    with server.connect(port) as link:
        try:
            link.sendall(data)
        except OSError:
            pass
        answer = read_all(link, seconds)
    status = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    return (int(status[1]) if status else None), answer


def at_once(function, items, threads=16):
    items, failures, lock = list(items), [], threading.Lock()

    def work():
        while True:
            with lock:
                if not items or failures:
                    return
                item = items.pop()
            try:
                function(item)
            except Exception as error:
                failures.append(error)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


# ------------------------------------------------------------------------------------------------ HTTP/2
def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def head(path, more=(), method="GET"):
    return hpack.Encoder().encode([(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost"), *more])


def h2_connection(server, port=None, settings=b""):
    link = server.connect(port)
    link.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return link


def flood(link, piece, seconds, answers=True):
    """Sends a piece over and over, for a time or until the server closes. Returns how many were sent, and whether it closed."""
    end, sent = time.time() + seconds, 0
    stop = threading.Event()

    def drain():
        while not stop.is_set():
            try:
                link.settimeout(0.5)
                if not link.recv(1 << 16):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    reader = threading.Thread(target=drain, daemon=True)
    if answers:
        reader.start()
    closed = False
    try:
        while time.time() < end:
            link.sendall(piece(sent) if callable(piece) else piece)
            sent += 1
    except OSError:
        closed = True
    stop.set()
    return sent, closed


# ------------------------------------------------------------------------------------------------ the pages
@check
def pages_slow_heads():
    """Hundreds of clients that send nothing, or their request byte by byte: all are disconnected in time"""
    with Attack() as server:
        links = [server.connect() for _ in range(400)]
        for link in links[100:200]:
            link.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        for link in links[200:300]:
            link.sendall(PREFACE[:10])
        for link in links[300:]:
            link.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, b"\x82"))
        begun = time.time()
        while time.time() < begun + 11:
            for link in links[100:200]:
                try:
                    link.sendall(b"a")
                except OSError:
                    pass
            time.sleep(0.5)
        left = [link for link in links if not is_closed(link, 4)]
        must(not left, f"{len(left)} of 400 are still connected after {time.time() - begun:.0f} s")
        server.figure(f"400 clients disconnected within {time.time() - begun:.0f} s")


@check
def pages_slow_handshakes():
    """TLS handshakes that stall, are cut, or are no handshakes at all"""
    folder = os.path.join(A.dir, "tls")
    for command in (["cert", "ca", folder], ["cert", "server", folder, "--host", "127.0.0.1"]):
        subprocess.run([A.binary, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Attack("--web-tls-cert", f"{folder}/server.pem", "--web-tls-key", f"{folder}/server.key", scheme="https") as server:
        links = [server.connect() for _ in range(400)]
        for number, link in enumerate(links):
            link.sendall([b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(200)][number % 4])
        begun = time.time()
        left = [link for link in links if not is_closed(link, max(0.1, begun + 14 - time.time()))]
        must(not left, f"{len(left)} of 400 are still connected after {time.time() - begun:.0f} s")
        complete = ssl._create_unverified_context()
        idle = [complete.wrap_socket(server.connect()) for _ in range(50)]
        must(all(is_closed(link, 14) for link in idle), "a client that says nothing after its handshake stays connected")
        server.figure(f"450 handshakes, all closed after {time.time() - begun:.0f} s")


@check
def pages_slow_readers():
    """Clients that ask for large pages and feeds many times, and read nothing: memory is bounded, and others are served"""
    with Attack(more_mib=250) as server:
        links = []
        for number in range(150):
            link = server.connect()
            path = ["/a/press/large", "/feed.atom", "/changes", "/cdx?url=press.example/*&limit=10000"][number % 4]
            try:
                link.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() * 50)
            except OSError:
                pass
            links.append(link)
        for number in range(50):
            link = h2_connection(server, settings=(4).to_bytes(2, "big") + (0).to_bytes(4, "big"))
            link.sendall(b"".join(frame(HEADERS, 5, stream, head("/a/press/large")) for stream in range(1, 63, 2)))
            links.append(link)
        time.sleep(8)
        server.figure(f"{len(links)} clients that read nothing of 9,050 responses")
        for link in links:
            link.close()


@check
def pages_age_of_words():
    """Long texts of which every second word changes, followed back by many clients at once: others are served meanwhile"""
    with Attack(more_mib=400) as server:
        for number in range(8):
            text = "".join(f"w{word} v{number if word % 2 else 0}x{word} " for word in range(40_000))
            server.publish("changing", text)
        begun = time.time()
        at_once(lambda _: must(server.get("/a/press/changing/blame", seconds=120)[0] in (200, 503), "no age of words"), range(8), 8)
        server.figure(f"8 at once after {time.time() - begun:.1f} s")


@check
def pages_unread_pages():
    """A thousand clients that each ask for one long page and do not read it: what waits for them is counted and bounded"""
    with Attack(more_mib=250) as server:
        for number in range(2):                # every word is another one, so that the page of what changed is long
            server.publish("long", "".join(f"<{number}{word}> " for word in range(80_000)))
        path = "/a/press/long/diff/1..2"
        size, links = len(server.get(path)[2]), []
        for _ in range(1_000):
            link = server.connect()
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            links.append(link)
        time.sleep(10)
        server.figure(f"1,000 clients that do not read a page of {size / (1 << 20):.1f} MiB")
        for link in links:
            link.close()


@check
def pages_heads():
    """Heads that are huge, ambiguous or malformed are refused, and never seen as two requests"""
    with Attack() as server:
        ok = b"GET /robots.txt HTTP/1.1\r\nhost: localhost\r\n"
        refused = {
            "a header of 1 MiB": ok + b"x: " + b"a" * (1 << 20) + b"\r\n\r\n",
            "a path of 1 MiB": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "10,000 headers": ok + b"".join(b"x%d: 1\r\n" % number for number in range(10_000)) + b"\r\n",
            "a folded header": ok + b"x: a\r\n b\r\n\r\n",
            "a space before the colon": ok + b"x : a\r\n\r\n",
            "a zero byte": ok + b"x: a\0b\r\n\r\n",
            "no version": b"GET /robots.txt\r\nhost: localhost\r\n\r\n",
            "another version": b"GET /robots.txt HTTP/3.0\r\nhost: localhost\r\n\r\n",
            "a URL of another host": b"GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "no host": b"GET /robots.txt HTTP/1.1\r\n\r\n",
            "two lengths": ok + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "a negative length": ok + b"content-length: -1\r\n\r\n",
            "an endless length": ok + b"content-length: 99999999999999999999999\r\n\r\n",
        }
        for what, data in refused.items():
            status, answer = raw(server, data)
            must(status is None or 400 <= status < 500, f"{what}: {status} {quote(answer)}")
        # What a proxy might read as one request, and the server as two.
        for what, data in {
            "a length and chunks": ok + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /sources HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "chunks in another word": ok + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
            "a chunk of 2^64": ok + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        }.items():
            status, answer = raw(server, data, seconds=2)
            must(answer.count(b"HTTP/1.1 200") <= 1, f"{what}: {quote(answer)}")
        server.figure(f"{len(refused) + 3} heads")


@check
def pages_pipelining():
    """A thousand requests at once on one connection are answered in order, and an endless body is not read"""
    with Attack() as server:
        with server.connect() as link:
            requests = b"".join(b"GET /a/press/a%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % (number % 30) for number in range(1_000))
            threading.Thread(target=lambda: link.sendall(requests + b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"), daemon=True).start()
            answer = read_all(link)
        links = re.findall(rb"/a/press/(a\d+)>; rel=\"canonical\"", answer)
        must(links == [b"a%d" % (number % 30) for number in range(1_000)], f"{len(links)} answers, or in another order")
        with server.connect() as link:
            link.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
            sent, _ = flood(link, b"10000\r\n" + b"x" * 65536 + b"\r\n", 3)
        server.figure(f"1,000 pipelined answers; {sent >> 4} MiB of an unwanted body sent")


@check
def pages_http2_floods():
    """Rapid resets, endless heads, settings, pings and window updates cost the server little, and end the connection"""
    with Attack() as server:
        get = head("/feed.atom")
        kinds = {
            "rapid reset": lambda n: b"".join(frame(HEADERS, 5, s, get) + frame(RST_STREAM, 0, s, bytes(4)) for s in range(n * 200 + 1, n * 200 + 201, 2)),
            "settings": frame(SETTINGS, 0, 0, bytes([0, 3, 0, 0, 0, 100]) * 100) * 50,
            "pings": frame(PING, 0, 0, bytes(8)) * 500,
            "windows": frame(WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big")) * 500,
            "empty data": frame(DATA, 0, 1) * 500,
        }
        for what, piece in kinds.items():
            with h2_connection(server) as link:
                sent, closed = flood(link, piece, 2)
            server.figure(f"{what} {sent}{' closed' if closed else ''}")
        with h2_connection(server) as link:
            link.sendall(frame(HEADERS, 0, 1, get))
            sent, closed = flood(link, frame(CONTINUATION, 0, 1, hpack.Encoder().encode([("x-more", "a" * 8000)])), 4)
        must(closed, f"{sent} continuations of a head were accepted")
        server.figure(f"continuation {sent} closed")
        with h2_connection(server) as link:     # one table entry, named many times: a head that is short on the wire and long in memory
            bomb = hpack.Encoder().encode([("x-bomb", "a" * 4000)]) + b"\xbe" * 12_000
            link.sendall(frame(HEADERS, 5, 1, get + bomb))
            answer = read_all(link, 2)
        must(b"<feed" not in answer, "a head that is long in memory is answered")


@check
def pages_addresses():
    """Deep, long, encoded and climbing paths are not found, and never a server error"""
    with Attack() as server:
        paths = ["/a" + "/a" * 3000, "/" + "%2e%2e/" * 500 + "etc/passwd", "/static/../../../../etc/passwd", "/static/x/..%2f..%2fetc%2fpasswd",
                 "/a/..%2f..%2fetc/passwd", "/a/press/%00", "/a/press/%ff%fe", "/a/%c0%ae%c0%ae/x", "/s/" + "x" * 7000, "/l/%F0%9F%92%A9/feed",
                 "/a/press/bridge/r/99999999999999999999", "/a/press/bridge/r/-1", "/a/press/bridge/diff/1..99999999999999999999",
                 "/a/press/bridge/diff/..", "/a/press/bridge/diff/2..1", "/a/press/bridge/calendar/99999999999999999999",
                 "/a/press/bridge/calendar/-1", "/sitemap/99999999999999999999.xml", "/changes?before=99999999999999999999999", "/changes?before=-1",
                 "/a/press/bridge?at=" + "9" * 4000, "/a/press/bridge?at=999999-01-01", "/a/press/bridge?known_at=-271821-04-20T00:00:00Z",
                 "/lookup?url=" + "http:" * 1000, "/lookup?url=javascript:alert(1)", "/lookup?url=file:///etc/passwd", "/lookup?url=http://[::1",
                 "/web/", "/web/99999999999999/http://x.example/", "/web/20269999999999/http://press.example/bridge", "/web/*/" + "a" * 6000,
                 "/web/2026*/http://press.example/bridge", "/web/timemap/link/" + "%25" * 2000 + "41", "/web/timemap/json/http://" + "a." * 2000 + "example/",
                 "/web/timemap/nothing/http://press.example/", "/web/http://press.example/" + "../" * 1500, "/web/https%3A%2F%2Fpress.example%2Fbridge" + "%2e" * 800,
                 "/feed.json?before=99999999999999999999", "/feed.atom?page=-5", "/?" + "&".join(f"a{n}=b" for n in range(1500)), "//evil.example/", "/\\evil.example/"]
        slowest = 0
        for path in paths:
            begun = time.time()
            status, answer = raw(server, f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
            slowest = max(slowest, time.time() - begun)
            must(status is not None and status < 500, f"{path[:80]}: {status} {quote(answer)}")
            must(b"root:" not in answer, f"{path[:80]} climbs")
            location = re.search(rb"\r\nlocation: (\S+)", answer)
            must(not location or location[1].startswith(b"/") and not location[1].startswith((b"//", b"/\\")), f"{path[:80]} leads to {location and location[1]}")
        must(slowest < 2, f"{slowest:.1f} s for a path")
        server.figure(f"{len(paths)} paths, {slowest * 1000:.0f} ms at most")


@check
def pages_index_queries():
    """Queries of the index of captures with regular expressions, limits and keys that are hostile: 200 or 400, and soon"""
    with Attack() as server:
        base = "url=press.example/*"
        queries = ["", "url=", "url=*", "url=*.", "url=*.*", "url=" + "*" * 4000, "url=http://&matchType=domain", "url=%00", "url=//*", base + "&matchType=nothing",
                   *[base + "&filter=" + urllib.parse.quote(pattern) for pattern in ("original:(a+)+$", "original:(.*)*x", "!original:" + ".*" * 500, "~original:" + "a" * 5000,
                     "original:[", "nothing:x", ":", "=original:", "statuscode:\\d{1,100000}", "original:.*(?=x)")],
                   base + "".join(f"&filter=original:.*{number}.*" for number in range(200)), base + "&fl=" + ",".join(["original"] * 1000), base + "&fl=nothing",
                   *[f"{base}&limit={limit}" for limit in ("0", "-0", "-1", "99999999999999999999", "-99999999999999999999", "0x10", "1e9", "", "NaN")],
                   *[f"url=press.example/bridge&limit={limit}" for limit in ("-1", "-10000", "-10001")],
                   *[f"{base}&resumeKey={key}" for key in ("x", "%00", "a" * 5000, urllib.parse.quote("com,example)/ 20260101000000"), "-1", "%F0%9F%92%A9")],
                   *[f"{base}&{name}={value}" for name in ("page", "offset", "from", "to", "closest", "collapse", "output", "showResumeKey")
                     for value in ("-1", "99999999999999999999", "x", "%00", "a" * 3000)],
                   base + "&collapse=original:99999999999999999999", base + "&collapse=digest:-1", base + "&closest=20260101&sort=closest&limit=1", base + "&" + "&".join(["from=2026"] * 800)]
        slowest, by_status = 0, {}
        for query in queries:
            begun = time.time()
            status, _, body = server.get("/cdx?" + query)
            slowest = max(slowest, time.time() - begun)
            by_status[status] = by_status.get(status, 0) + 1
            must(status in (200, 400, 404), f"{query[:80]}: {status} {quote(body)}")
        must(slowest < 2, f"{slowest:.1f} s for a query")
        server.figure(f"{len(queries)} queries {by_status}, {slowest * 1000:.0f} ms at most")


@check
def pages_methods_and_hosts():
    """Methods other than GET and HEAD, ranges, and hosts that are not those of the pages"""
    with Attack() as server:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X" * 1000):
            status, answer = raw(server, f"{method} / HTTP/1.1\r\nhost: localhost\r\ncookie: secret\r\nconnection: close\r\n\r\n".encode())
            must(status in (405, 400, 501), f"{method[:10]}: {status}")
            must(b"secret" not in answer, f"{method[:10]} is echoed")
        status, answer = raw(server, b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n", seconds=2)
        must(status is None or status >= 400, f"CONNECT: {status}")
        for host in ("evil.example", "localhost.evil.example", "evil.example:8480", "localhost@evil.example", "127.0.0.1.evil.example", "[::2]", "0.0.0.0", "2130706433",
                     "0x7f.1", "", "localhost, evil.example", "evil.example#localhost", "localhost\x00.evil.example"):
            status, answer = raw(server, f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            must(status is None or status in (400, 421), f"host {host!r}: {status}")
        status, answer = raw(server, b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n")
        must(b"evil.example" not in answer, "a second host is believed")
        for value in ("bytes=0-0", "bytes=-1", "bytes=" + ",".join("0-1" for _ in range(1500)), "bytes=9999999999-", "lines=1-2"):
            status, _, body = server.get("/a/press/large", [("range", value)])
            must(status in (200, 206, 416) and len(body) < 2_000_000, f"range {value[:20]}: {status}, {len(body)} bytes")
        with server.connect() as link:
            link.sendall(b"HEAD /a/press/large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            answer = read_all(link)
        must(answer.endswith(b"\r\n\r\n"), "HEAD has a body")
        for value in ("*", "\"" + "x" * 8000, "W/" * 2000, ", ".join(f"\"{number}\"" for number in range(1000))):
            must(server.get("/", [("if-none-match", value)])[0] in (200, 304, 400), f"if-none-match {value[:20]}")
        server.figure("10 methods, 14 hosts, 5 ranges")


@check
def pages_events():
    """Streams from positions of no log, and a thousand streams that are open at once"""
    with Attack() as server:
        newest = server.call("/dateline.v1.AdminService/GetStatus", {})["snapshot"]["nextSeq"]
        for value in ("x", "-1", "0", "99999999999999999999", "0-" + "00" * 16, f"{newest}-" + "ff" * 16, "1-" + "0" * 5000, "%00", "1-zz", "١"):
            for request in (b"GET /changes/events HTTP/1.1\r\nlast-event-id: " + value.encode(), b"GET /changes/events?after=" + urllib.parse.quote(value).encode() + b" HTTP/1.1"):
                status, answer = raw(server, request + b"\r\nhost: localhost\r\nconnection: close\r\n\r\n", seconds=2)
                must(status == 400, f"{quote(request, 60)}: {status} {quote(answer)}")
        streams = []
        for _ in range(1_000):
            link = server.connect()
            link.sendall(b"GET /changes/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            streams.append(link)
        for link in streams:
            link.settimeout(10)
            received = b""
            while b"retry:" not in received:
                data = link.recv(4096)
                must(data, "a stream ended at once")
                received += data
        begun = time.time()
        server.publish("news", "A stream shows it.")
        for link in streams:
            received = b""
            while b"sources/press/articles/news" not in received:
                data = link.recv(4096)
                must(data, "a stream ended")
                received += data
        server.figure(f"1,000 streams have a change after {time.time() - begun:.2f} s")


@check
def pages_many_clients():
    """Many clients that ask for whatever takes longest, as fast as they can"""
    with Attack() as server:
        paths = ["/feed.atom", "/feed.json", "/cdx?url=press.example/*&filter=original:.*nothing.*", "/web/timemap/link/https://press.example/1",
                 "/a/press/large", "/a/press/a1/history", "/changes", "/a/press/a1/diff/1..10?view=side", "/a/press/a2/calendar/2026", "/sources"]
        end, count, lock = time.time() + 6, [0], threading.Lock()

        def client(number):
            while time.time() < end:
                status, _, body = server.get(paths[number % len(paths)])
                must(status in (200, 302, 404, 503), f"{paths[number % len(paths)]}: {status} {quote(body)}")
                with lock:
                    count[0] += 1
        at_once(client, range(20), threads=20)
        server.figure(f"{count[0]} responses to 20 clients in 6 s")


# ------------------------------------------------------------------------------------------------ Connect
def connect_error(status, body):
    """A refusal of Connect is an error of the client, as JSON with a code."""
    try:
        return 400 <= status < 500 and "code" in json.loads(body)
    except ValueError:
        return status in (404, 405, 413, 415, 431)


@check
def connect_bodies():
    """JSON that is deep, huge, wrong or no JSON at all is an error with a code, and soon"""
    with Attack() as server:
        method = ARTICLE + "RecordObservation"
        bodies = {
            "depth": b'{"content":' * 100_000, "brackets": b"[" * 200_000, "nested lists": b'{"content":{"blocks":' + b"[" * 5000 + b"]" * 5000 + b"}}",
            "a number of 1 MB": b'{"archiveId":' + b"9" * 1_000_000 + b"}", "1e999999": b'{"observeTime":1e999999}', "digits": b'{"expectedSeq":"' + b"1" * 3_000_000 + b'"}',
            "a text": b'"' + b"a" * 3_000_000 + b'"', "no UTF-8": b'{"parent":"\xff\xfe"}', "a lone surrogate": b'{"parent":"\\ud800"}', "nothing": b"", "null": b"null",
            "a list": b"[]", "two values": b"{}{}", "an unknown field": b'{"nothing":1}', "keys": b'{"parent":"sources/x",' * 1 + b'"parent":"sources/y"}',
            "commas": b"{" + b"," * 3_000_000, "60,000 values": b'{"content":{"keywords":[' + b'"a",' * 60_000 + b'"a"]}}', "5 MB": b'{"parent":"' + b"a" * 5_000_000 + b'"}',
            "a date": b'{"parent":"sources/x","articleId":"y","observeTime":"99999-01-01T00:00:00Z"}', "zeros": bytes(1_000_000),
        }
        slowest = 0
        for what, body in bodies.items():
            begun = time.time()
            try:
                status, _, answer = server.ask("POST", method, [("content-type", "application/json")], body, port=server.rpc)
            except (ConnectionError, http.client.HTTPException):
                continue                      # closed while a body over the limit was sent
            slowest = max(slowest, time.time() - begun)
            must(connect_error(status, answer), f"{what}: {status} {quote(answer)}")
        must(slowest < 2, f"{slowest:.1f} s for a body")
        server.figure(f"{len(bodies)} bodies, {slowest * 1000:.0f} ms at most")


@check
def connect_requests():
    """Wrong content types, encodings, methods, versions, bombs and GETs"""
    with Attack() as server:
        method, body = ARTICLE + "GetArticle", b'{"name":"sources/press/articles/bridge"}'
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(1024)) + bomb.flush()
        for what, headers, sent in [
            ("gzip bomb", [("content-type", "application/json"), ("content-encoding", "gzip")], bomb), ("br", [("content-type", "application/json"), ("content-encoding", "br")], body),
            ("stream bomb", [("content-type", "application/connect+json"), ("connect-content-encoding", "gzip")], b"\1" + len(bomb).to_bytes(4, "big") + bomb),
            ("compressed flag", [("content-type", "application/connect+json")], b"\1\0\0\0\2{}"), ("text", [("content-type", "text/plain")], body),
            ("form", [("content-type", "application/x-www-form-urlencoded")], body), ("no type", [], body), ("xml", [("content-type", "application/xml")], body),
            ("grpc on HTTP/1.1", [("content-type", "application/grpc")], body), ("version 2", [("content-type", "application/json"), ("connect-protocol-version", "2")], body),
            ("timeout", [("content-type", "application/json"), ("connect-timeout-ms", "x")], body), ("timeout of 11 digits", [("content-type", "application/json"), ("connect-timeout-ms", "9" * 11)], body),
            ("origin", [("content-type", "application/json"), ("origin", "https://evil.example")], body), ("proto as json", [("content-type", "application/json")], b"\x0a\x05hello"),
            ("json as proto", [("content-type", "application/proto")], body), ("unary as stream", [("content-type", "application/connect+json")], body),
        ]:
            try:
                status, _, answer = server.ask("POST", method, headers, sent, port=server.rpc)
            except (ConnectionError, http.client.HTTPException):
                continue
            refused = 400 <= status < 600 and status != 500 or b'"error"' in answer
            must(refused, f"{what}: {status} {quote(answer)}")
        stream = FEED + "Subscribe"
        for what, sent in {"a length of 4 GiB": b"\0\xff\xff\xff\xff{}", "half a prefix": b"\0\0", "two messages": b"\0\0\0\0\2{}" * 2, "another flag": b"\x80\0\0\0\2{}"}.items():
            status, _, answer = server.ask("POST", stream, [("content-type", "application/connect+json")], sent, port=server.rpc)
            must(b'"error"' in answer, f"{what}: {status} {quote(answer)}")
        query = lambda **parameters: urllib.parse.urlencode(parameters)
        for what, path in {
            "no message": method + "?connect=v1&encoding=json", "base64 of nothing": method + "?" + query(encoding="proto", base64="1", message="!!!"), "an encoding": method + "?" + query(encoding="xml", message="{}"),
            "compression": method + "?" + query(encoding="json", compression="gzip", base64="1", message=base64.urlsafe_b64encode(bomb[:6000]).decode()), "another version": method + "?" + query(connect="v9", encoding="json", message="{}"),
            "a write": ARTICLE + "RecordObservation?" + query(connect="v1", encoding="json", message="{}"), "a deep message": method + "?" + query(encoding="json", message="[" * 2000),
            "a long message": method + "?" + query(encoding="json", message='{"name":"' + "a" * 14_000 + '"}'), "a very long message": method + "?encoding=json&message=" + "a" * 500_000,
        }.items():
            status, answer = raw(server, f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode(), server.rpc)
            must(status is None or 400 <= status < 500 or status == 501, f"GET {what}: {status} {quote(answer)}")
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example"):
            status, answer = raw(server, f"GET {method}?{query(encoding='json', message=body.decode())} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode(), server.rpc)
            must(status is not None and status >= 400, f"GET as {host}: {status}")
        server.figure("32 requests")


@check
def connect_unfinished_bodies():
    """Thousands of bodies that never end, short ones and long ones: memory is bounded, and another address finds room"""
    with Attack(more_mib=250) as server:
        links, post = [], [("content-type", "application/json")]
        for number in range(200):             # long ones: up to 4 MiB each would be 800 MiB
            link = server.connect(server.rpc)
            link.settimeout(5)
            try:
                link.sendall(f"POST {ARTICLE}RecordObservation HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n".encode() + b" " * 1_000_000)
            except OSError:
                pass
            links.append(link)
        for number in range(60):              # short ones: 60 * 500 * 60 KB would be 1.8 GB
            link = h2_connection(server, server.rpc)
            headers = head(ARTICLE + "RecordObservation", post, "POST")
            try:
                link.settimeout(5)
                for stream in range(1, 1001, 2):
                    link.sendall(frame(HEADERS, 4, stream, headers) + b"".join(frame(DATA, 0, stream, b" " * 15_000) for _ in range(4)))
            except OSError:
                pass
            links.append(link)
        begun = time.time()
        large = {"parent": "sources/press", "articleId": "wide", "content": {"headline": "Wide", "blocks": [{"paragraph": {"text": "w" * 800_000}}]}}
        server.call(ARTICLE + "RecordObservation", large, source=OTHER)
        server.figure(f"260 connections; a message of 800 KB from another address after {time.time() - begun:.2f} s")
        time.sleep(2)
        for link in links:
            link.close()


@check
def connect_unread_responses():
    """Clients that subscribe or ask for large articles, and read nothing: changes may take 256 MiB, and responses 64 MiB"""
    with Attack(more_mib=330) as server:
        links = []
        subscribe = json.dumps({"start": {"beginning": True}, "view": "FEED_VIEW_FULL"}).encode()
        subscribe = b"\0" + len(subscribe).to_bytes(4, "big") + subscribe
        for number in range(100):
            link = server.connect(server.rpc)
            link.sendall(f"POST {FEED}Subscribe HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+json\r\ncontent-length: {len(subscribe)}\r\n\r\n".encode() + subscribe)
            links.append(link)
        body = b'{"name":"sources/press/articles/large"}'
        for number in range(100):
            link = server.connect(server.rpc)
            link.sendall(f"POST {ARTICLE}GetArticle HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() * 1 + body)
            links.append(link)
        time.sleep(5)
        server.figure("200 clients that read nothing")
        for link in links:
            link.close()


# ------------------------------------------------------------------------------------------------ webhooks
class Receiver:
    """Receives messages, and replies to each as `reply(handler)` does."""

    def __init__(self, reply):
        self.paths, self.seqs, outer = [], [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.paths.append(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seqs += [int(change.get("seq", 0)) for change in json.loads(body)["data"].get("changes", [])]
                try:
                    reply(self)
                except OSError:
                    pass
                self.close_connection = True

            def do_GET(self):
                outer.paths.append("GET " + self.path)
                self.send_error(404)

            def log_message(self, *_):
                pass
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def endless(first, more):
    def reply(handler):
        handler.wfile.write(first)
        end = time.time() + 30
        while time.time() < end:
            handler.wfile.write(more)
    return reply


def plain(data):
    return lambda handler: handler.wfile.write(data)


@check
def webhook_receivers():
    """Receivers that are silent, redirect, never end, lie or close: the others get everything, and nothing else is contacted"""
    ok = b"HTTP/1.1 204 OK\r\ncontent-length: 0\r\n\r\n"
    inner = Receiver(plain(ok))
    manners = {
        "silent": lambda handler: time.sleep(40), "closes": lambda handler: handler.connection.close(), "half": lambda handler: (handler.wfile.write(b"HTTP/1.1 2"), time.sleep(40)),
        "redirect": plain(f"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{inner.port}/inner\r\ncontent-length: 0\r\n\r\n".encode()),
        "found": plain(f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner.port}/found\r\ncontent-length: 0\r\n\r\n".encode()),
        "endless head": endless(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"a" * 60_000 + b"\r\n"), "endless body": endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 16)),
        "endless error": endless(b"HTTP/1.1 500 No\r\n\r\n", bytes(1 << 16)), "endless 1xx": endless(b"", b"HTTP/1.1 103 Early\r\nlink: </a>\r\n\r\n" * 100),
        "garbage": plain(bytes(range(256)) * 1000), "zeros": endless(b"", bytes(1 << 16)), "status 999": plain(b"HTTP/1.1 999 " + b"A" * 10_000 + b"\r\n\r\n"),
        "retry never": plain(b"HTTP/1.1 429 Slow\r\nretry-after: 99999999999999999999\r\ncontent-length: 0\r\n\r\n"), "retry in the past": plain(b"HTTP/1.1 503 Slow\r\nretry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n"),
        "slow": lambda handler: (time.sleep(5), handler.wfile.write(ok)), "huge length": plain(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n"),
    }
    with Attack() as server:
        receivers = {}
        for number, (what, reply) in enumerate(manners.items()):
            receivers[what] = Receiver(reply)
            webhook = {"url": f"http://127.0.0.1:{receivers[what].port}/hook", "view": "FEED_VIEW_FULL"}
            server.call(FEED + "CreateSubscription", {"subscriptionId": f"w{number}", "subscription": {"webhook": webhook}, "start": {"beginning": True}})
        good = Receiver(plain(ok))
        server.call(FEED + "CreateSubscription", {"subscriptionId": "good", "subscription": {"webhook": {"url": f"http://127.0.0.1:{good.port}/hook"}}, "start": {"beginning": True}})
        begun, tests = time.time(), []
        for number in range(len(manners)):
            tests.append(threading.Thread(target=lambda number=number: server.ask("POST", FEED + "TestWebhook", [("content-type", "application/json")], json.dumps({"name": f"subscriptions/w{number}"}), port=server.rpc, seconds=60), daemon=True))
            tests[-1].start()
        while time.time() < begun + 16:
            server.publish("news", f"At {time.time()}.")
            time.sleep(0.2)
        tail = int(server.call("/dateline.v1.AdminService/GetStatus", {})["snapshot"]["nextSeq"])
        end = time.time() + 10
        while time.time() < end and (not good.seqs or good.seqs[-1] + 1 < tail):
            time.sleep(0.1)
        must(good.seqs == list(range(tail)), f"a good receiver has {len(good.seqs)} of {tail} changes")
        must(not inner.paths, f"a redirect was followed to {inner.paths[:2]}")
        listed = server.call(FEED + "ListSubscriptions", {"pageSize": 100})["subscriptions"]
        errors = {one["name"].split("/")[1]: one["webhook"].get("error", "") for one in listed}
        must(all(len(error) <= 300 for error in errors.values()), "an error is longer than 300 characters")
        silent = [what for number, what in enumerate(manners) if not errors[f"w{number}"] and what not in ("endless body", "huge length", "slow")]
        must(not silent, f"nothing is said of {silent}")
        server.figure(f"{len(manners)} hostile receivers; a good one has {tail} changes")


# ------------------------------------------------------------------------------------------------ running the checks
def main():
    global A
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=os.path.abspath)
    parser.add_argument("--dir", type=os.path.abspath, help="a folder that does not exist yet")
    parser.add_argument("--only", default="", help="names of checks, or the beginnings of names")
    parser.add_argument("--list", action="store_true")
    A = parser.parse_args()
    if A.list:
        for name, function in CHECKS.items():
            print(f"{name:28} {function.__doc__}")
        return
    if not (A.binary and A.dir):
        parser.error("--binary and --dir are required")
    wanted = [one for one in A.only.split(",") if one]
    names = [name for name in CHECKS if not wanted or any(name.startswith(one) for one in wanted)]
    if not names:
        parser.error("there is no such check; --list names them")
    os.makedirs(A.dir)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    failed = 0
    for name in names:
        FIGURES.clear()
        begun = time.time()
        try:
            CHECKS[name]()
            print(f"ok {name} {'; '.join(FIGURES)} [{time.time() - begun:.0f} s]", flush=True)
        except Failed as error:
            failed += 1
            print(f"FAILED {name} {error} [{time.time() - begun:.0f} s]", flush=True)
        except Exception as error:
            failed += 1
            traceback.print_exc()
            print(f"FAILED {name} it ended with {error!r} [{time.time() - begun:.0f} s]", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


main()
