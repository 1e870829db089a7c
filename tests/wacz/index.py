"""Compares the index of a WACZ with the one that cdxj-indexer makes of the same records.

index.py EXPECTED.cdxj INDEXES
"""
import gzip
import json
import pathlib
import sys

expected_file, folder = sys.argv[1], pathlib.Path(sys.argv[2])


def lines(text):
    """The lines, each with its fields in no order."""
    split = (line.split(" ", 2) for line in text.splitlines())
    return [(key, time, json.loads(fields)) for key, time, fields in split]


expected = lines(pathlib.Path(expected_file).read_text())
compressed = (folder / "index.cdx.gz").read_bytes()
found = lines(gzip.decompress(compressed).decode())
assert len(found) > 300, len(found)
for one, other in zip(found, expected, strict=True):
    assert one == other, f"found {one}, expected {other}"

# Each block is a gzip member of its own, and begins with the line that index.idx names.
header, *blocks = lines((folder / "index.idx").read_text())
assert header[2] == {"format": "cdxj-gzip-1.0", "filename": "index.cdx.gz"}, header
assert len(blocks) == 2, blocks
end = 0
for key, time, place in blocks:
    assert place["offset"] == end, place
    end += place["length"]
    first = lines(gzip.decompress(compressed[place["offset"] : end]).decode())[0]
    assert (key, time) == first[:2], (key, first)
assert end == len(compressed)
print(f"ok: the index has the {len(found)} lines that cdxj-indexer makes")
