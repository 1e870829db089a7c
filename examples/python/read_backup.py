"""Prints the changes of a backup's files, with nothing of ours but the messages; see README.md beside this file.

Usage: python read_backup.py FILE…      (such as backup/*.dlog)

docs/FORMAT.md describes the bytes. All that can be checked without the contents is checked: frames and the running digest.
"""

import hashlib
import pathlib
import struct
import sys

import google_crc32c
import zstandard
from stored.v1 import export_pb2 as export
from stored.v1 import stored_pb2 as stored

HEADER, SEGMENT, END = 1, 2, 3


def frames(data: bytes):
    """The kind and the payload of each frame."""
    line = b"dateline log 1\n"
    if not data.startswith(line):
        raise ValueError("this is not a backup, or of another version")
    at, number = len(line), 0
    while at < len(data):
        if at + 5 > len(data):
            raise ValueError(f"cut short in the frame at byte {at}")
        kind, length = struct.unpack_from(">BI", data, at)
        end = at + 5 + length
        if end + 4 > len(data):
            raise ValueError(f"cut short in the frame at byte {at}")
        checksum = google_crc32c.value(struct.pack(">Q", number) + data[at:end])
        if struct.pack(">I", checksum) != data[end : end + 4]:
            raise ValueError(f"damaged in the frame at byte {at}")
        yield kind, data[at + 5 : end]
        at, number = end + 4, number + 1


def next_history(before: bytes, seq: int, change: bytes) -> bytes:
    digest = hashlib.sha256(b"dateline change 1\n" + before + struct.pack(">Q", seq) + change)
    return digest.digest()[:16]


def read(data: bytes):
    """The position and the record of each change."""
    seq, history, end = 0, b"", None
    for kind, payload in frames(data):
        if end is not None:
            raise ValueError("something follows the end")
        if kind == HEADER:
            header = export.LogHeader.FromString(payload)
            seq, history = header.first_seq, header.first_history
        elif kind == SEGMENT:
            segment = export.LogSegment.FromString(payload)
            records = zstandard.ZstdDecompressor().decompress(segment.records, max_output_size=segment.length)
            for record in export.LogRecords.FromString(records).records:
                history = next_history(history, seq, record.change)
                yield seq, record
                seq += 1
            if history != segment.log_digest:
                raise ValueError(f"the changes below {seq} have another history than was recorded")
        elif kind == END:
            end = export.LogEnd.FromString(payload)
    if end is None or (end.next_seq, end.log_digest) != (seq, history):
        raise ValueError(f"cut short behind change {seq - 1}")


def main() -> None:
    for path in sys.argv[1:]:
        for seq, record in read(pathlib.Path(path).read_bytes()):
            change = stored.Change.FromString(record.change)
            kind = stored.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
            name = f"{change.name.source}/{change.name.article}"
            print(f"{seq}: {kind} {name}: {change.made.headline or change.reason}")


if __name__ == "__main__":
    main()
