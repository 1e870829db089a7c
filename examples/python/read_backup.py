"""Prints the changes in the files of a backup, with no Dateline code but the messages; see README.md next to this file.

Usage: python read_backup.py FILE…      (such as backup/*.dlog)

docs/FORMAT.md describes the bytes. The program checks everything that it can without decoding contents: the frames and
the log digest.
"""

import hashlib
import pathlib
import struct
import sys

import google_crc32c
import zstandard
from stored.v1 import logfile_pb2 as export
from stored.v1 import stored_pb2 as stored

HEADER, SEGMENT, END = 1, 2, 3


def frames(data: bytes):
    """Yields the kind and payload of each frame, in order; raises ValueError at the first damaged one."""
    line = b"dateline log 1\n"
    if not data.startswith(line):
        raise ValueError("this is not a log file, or one of another version")
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


def next_digest(before: bytes, seq: int, change: bytes) -> bytes:
    digest = hashlib.sha256(b"dateline change 1\n" + before + struct.pack(">Q", seq) + change)
    return digest.digest()[:16]


def read(data: bytes):
    """Yields the position and record of each change, in log order; raises ValueError if the file is damaged."""
    seq, log_digest, end = 0, b"", None
    for kind, payload in frames(data):
        if end is not None:
            raise ValueError("there is data after the end frame")
        if kind == HEADER:
            header = export.LogHeader.FromString(payload)
            seq, log_digest = header.first_seq, header.first_log_digest
        elif kind == SEGMENT:
            segment = export.LogSegment.FromString(payload)
            records = zstandard.ZstdDecompressor().decompress(segment.records, max_output_size=segment.length)
            for record in export.LogRecords.FromString(records).records:
                log_digest = next_digest(log_digest, seq, record.change)
                yield seq, record
                seq += 1
            if log_digest != segment.log_digest:
                raise ValueError(f"the changes below {seq} do not match the recorded log digest")
        elif kind == END:
            end = export.LogEnd.FromString(payload)
    if end is None or (end.next_seq, end.log_digest) != (seq, log_digest):
        raise ValueError(f"cut short after change {seq - 1}")


def main() -> None:
    for path in sys.argv[1:]:
        for seq, record in read(pathlib.Path(path).read_bytes()):
            change = stored.Change.FromString(record.change)
            kind = stored.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
            name = f"{change.name.source}/{change.name.article}"
            print(f"{seq}: {kind} {name}: {change.made.headline or change.reason}")


if __name__ == "__main__":
    main()
