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


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(seq: int, change: stored.Change) -> bytes:
    """The leaf of a change, as docs/PROOF.md specifies it."""

    def back(offset: int) -> int:
        return seq - offset

    def optional(field: str) -> int:
        return back(getattr(change, field)) if change.HasField(field) else 2**64 - 1

    absence, has_absence, has_run = change.absence, change.HasField("absence"), change.absence.HasField("run")
    flags = change.superseded | change.by_rollback << 1 | change.state << 2 | has_absence << 4 | has_run << 5
    fixed = struct.pack(
        ">QBqqQIQQQqQQB",
        seq,
        change.kind,
        change.archive_time,
        change.observe_time,
        change.article,
        change.revision,
        back(change.batch_offset),
        back(change.previous_offset) if change.previous_offset else 2**64 - 1,
        back(change.newest_offset),
        change.observe_time + change.newest_since_offset,
        optional("state_offset"),
        optional("labels_offset"),
        flags,
    )
    if has_absence:
        fixed += struct.pack(">BII", absence.reason, absence.http_status, absence.gone_after)
    if has_run:
        run = absence.run
        fixed += struct.pack(">qqqIB", run.last_seen, run.first_missed, run.last_missed, run.count, run.gone)
    name = f"sources/{change.name.source}/articles/{change.name.article}"
    groups = {1: name.encode(), 2: change.attributes, 3: change.content_digest, 4: change.original_sha256}
    for group, data in groups.items():
        if group <= 2 or data:
            salt = sha256(b"dateline salt 1\n", change.salt, bytes([group]))[:16]
            fixed += bytes([group]) + sha256(b"dateline commitment 1\n", bytes([group]), salt, data)
    return b"dateline leaf 1\n" + fixed


def next_digest(before: bytes, seq: int, change: bytes) -> bytes:
    leaf_hash = sha256(b"\0", leaf(seq, stored.Change.FromString(change)))
    return sha256(b"dateline change 2\n", before, leaf_hash)[:16]


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
            attributes = stored.Attributes.FromString(change.attributes)
            kind = stored.LogKind.Name(change.kind).removeprefix("LOG_KIND_").lower()
            name = f"{change.name.source}/{change.name.article}"
            print(f"{seq}: {kind} {name}: {attributes.made.headline or attributes.reason}")


if __name__ == "__main__":
    main()
