"""Writes a WARC as crawlers do, with warcio: two responses of one page, and an image.

crawl.py FILE.warc.gz
"""
import io
import sys

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

PAGE = "<!doctype html><html><head><title>{0}</title></head><body><article><h1>{0}</h1><p>{1}</p></article></body></html>"
TEXT = "Lorries will cross by ferry for as long as the repair takes, the council said on Monday."


def write(writer, url, time, media_type, body):
    headers = StatusAndHeaders("200 OK", [("Content-Type", media_type)], protocol="HTTP/1.1")
    record = writer.create_warc_record(
        url, "response", payload=io.BytesIO(body), http_headers=headers, warc_headers_dict={"WARC-Date": time}
    )
    writer.write_record(record)


with open(sys.argv[1], "wb") as file:
    writer = WARCWriter(file, gzip=True)
    for time, headline in (("2026-05-01T09:00:00Z", "Crawled"), ("2026-05-02T09:00:00Z", "Crawled again")):
        page = PAGE.format(headline, TEXT).encode()
        write(writer, "https://www.express.example/crawled", time, "text/html; charset=utf-8", page)
    write(writer, "https://www.express.example/logo.png", "2026-05-01T09:00:01Z", "image/png", b"\x89PNG")
