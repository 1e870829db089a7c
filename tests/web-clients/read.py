"""Reads the archive that .ci/web-clients makes with clients that were written for other servers.

Those that know one server alone are pointed at this one, and are otherwise as they come.
"""
import datetime
import logging
import re
import sys

import cdx_toolkit
import feedparser
import wayback
import wayback._client
import wayback._utils
import waybackpy.cdx_api
from memento_client import MementoClient

HARBOUR = "https://express.example/harbour?id=1"
TIMES = ["20260501090000", "20260503090000", "20260602080000"]
UTC = datetime.timezone.utc


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found!r}, expected {expected!r}")
    print(f"ok: {what}")


def with_memento_client(server):
    """The TimeGate, and the links of its response."""
    client = MementoClient(timegate_uri=f"{server}/web/", check_native_timegate=False)
    # It takes the page itself for a memento unless it can say otherwise, and the page is not on the web.
    client.get_original_uri = lambda uri, **_: uri
    found = client.get_memento_info(HARBOUR, datetime.datetime(2026, 5, 4))["mementos"]
    places = {"closest": TIMES[1], "prev": TIMES[0], "next": TIMES[2], "first": TIMES[0], "last": TIMES[2]}
    for place, time in places.items():
        same(f"memento-client, {place}", found[place]["uri"], [f"{server}/web/{time}/{HARBOUR}"])
    same("memento-client, time", found["closest"]["datetime"], datetime.datetime(2026, 5, 3, 9))
    same("memento-client, status", found["closest"]["http_status_code"], 200)


def with_wayback(server):
    """The index, page by page, and mementos with their originals."""
    wayback._client.CDX_SEARCH_URL = f"{server}/cdx/search/cdx"
    wayback._utils.MEMENTO_URL_PATTERN = re.compile("^" + re.escape(server) + r"/web/(\d+)(\w\w_)?/(.+)$")
    wayback._utils.MEMENTO_URL_TEMPLATE = server + "/web/{timestamp}{mode}/{url}"
    with wayback.WaybackClient() as client:
        records = list(client.search(HARBOUR, limit=1))
        same("wayback, search", [record.timestamp.strftime("%Y%m%d%H%M%S") for record in records], TIMES)
        same("wayback, status", [record.statuscode for record in records], [200, None, 200])
        same("wayback, address", {record.original for record in records}, {HARBOUR})

        def memento(*time, **arguments):
            return client.get_memento(HARBOUR, timestamp=datetime.datetime(*time, tzinfo=UTC), **arguments)

        view = memento(2026, 6, 2, 8, mode=wayback.Mode.view)
        same("wayback, page", (view.ok, "Bridge closes today" in view.text), (True, True))
        raw = memento(2026, 5, 1, 9)
        same("wayback, original", '"headline": "Bridge to close"' in raw.text, True)
        moved = memento(2026, 5, 3, 10, mode=wayback.Mode.view, exact=False)
        same("wayback, another time", moved.timestamp, datetime.datetime(2026, 5, 3, 9, tzinfo=UTC))


def with_waybackpy(server):
    """The index with conditions, and the capture near a time."""
    def api(**arguments):
        found = waybackpy.cdx_api.WaybackMachineCDXServerAPI(HARBOUR, "dateline", **arguments)
        found.endpoint = f"{server}/cdx/search/cdx"
        return found

    def times(**arguments):
        return [snapshot.timestamp for snapshot in api(**arguments).snapshots()]

    same("waybackpy, all", times(), TIMES)
    same("waybackpy, page by page", times(limit=1), TIMES)
    same("waybackpy, period", times(start_timestamp=202605, end_timestamp=202605), TIMES[:2])
    same("waybackpy, filter", times(filters=["statuscode:200", "!mimetype:warc/revisit"]), [TIMES[0], TIMES[2]])
    same("waybackpy, collapse", times(collapses=["digest"]), [TIMES[0], TIMES[2]])
    same("waybackpy, host", times(match_type="host"), TIMES)
    same("waybackpy, near", api().near(year=2026, month=5, day=4, hour=1, minute=1).timestamp, TIMES[1])
    same("waybackpy, oldest", api().oldest().timestamp, TIMES[0])
    same("waybackpy, newest", api().newest().timestamp, TIMES[2])


def with_cdx_toolkit(server):
    """The index as JSON, with pages by number."""
    logging.disable(logging.WARNING)
    index = cdx_toolkit.CDXFetcher(source=f"{server}/cdx", wb=f"{server}/web")
    same("cdx-toolkit, get", [capture["timestamp"] for capture in index.get(HARBOUR)], TIMES)
    same("cdx-toolkit, iter", [capture["timestamp"] for capture in index.iter("express.example/*")], TIMES)
    period = index.get(HARBOUR, from_ts="20260502", to="20260504")
    found = [(capture["timestamp"], capture["mime"]) for capture in period]
    same("cdx-toolkit, period", found, [(TIMES[1], "warc/revisit")])
    logging.disable(logging.NOTSET)


def with_feedparser(server):
    """Feeds of everything, a source and an article."""
    for path in ["", "/s/express", "/a/express/harbour"]:
        feed = feedparser.parse(f"{server}{path}/feed.atom")
        same(f"feedparser, {path or '/'}", (feed.bozo, feed.version, feed.status), (False, "atom10", 200))
        titles = [entry.title for entry in feed.entries]
        same("feedparser, titles", titles, ["Revised: Bridge closes today", "New: Bridge to close"])
        same("feedparser, changes", "<ins>" in feed.entries[0].content[0].value, True)
        again = feedparser.parse(f"{server}{path}/feed.atom", etag=feed.etag)
        same("feedparser, nothing new", again.status, 304)


def main():
    server = sys.argv[1]
    with_memento_client(server)
    with_wayback(server)
    with_waybackpy(server)
    with_cdx_toolkit(server)
    with_feedparser(server)


main()
