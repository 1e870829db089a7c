"""The content digest of docs/FORMAT.md, implemented independently in Python: any language can recompute it."""

import hashlib
import struct

from dateline.v1 import resources_pb2 as pb


def content_digest(content: pb.Content) -> bytes:
    """Returns the 32 bytes of SHA-256 over the length-prefixed encoding of the fields."""
    out = bytearray(b"dateline content 2\n")

    def text(value: str) -> None:
        data = value.encode()
        out.extend(struct.pack(">I", len(data)))
        out.extend(data)

    def texts(values) -> None:
        out.extend(struct.pack(">I", len(values)))
        for value in values:
            text(value)

    def claim(claim: pb.ClaimedTime | None) -> None:
        if claim is None or claim.relative:
            out.append(0)
            return
        out.append(claim.precision or pb.TIME_PRECISION_INSTANT)
        out.extend(struct.pack(">q", claim.time.seconds * 1_000_000 + claim.time.nanos // 1_000))

    text(content.headline)
    text(content.standfirst)
    texts(content.bylines)
    text(content.section)
    text(content.language)
    text(content.canonical_url)
    claim(content.publish_time if content.HasField("publish_time") else None)
    claim(content.modify_time if content.HasField("modify_time") else None)
    texts(content.keywords)
    text(content.rights)
    out.extend(struct.pack(">I", len(content.blocks)))
    for block in content.blocks:
        kind = block.WhichOneof("kind")
        value = getattr(block, kind)
        if kind == "paragraph":
            out.append(1)
            text(value.text)
        elif kind == "subheading":
            out.append(2)
            text(value.text)
        elif kind == "caption":
            out.append(3)
            text(value.text)
            text(value.image_url)
            text(value.credit)
        elif kind == "quote":
            out.append(4)
            text(value.text)
            text(value.attribution)
        elif kind == "list":
            out.append(5)
            out.append(1 if value.ordered else 0)
            texts(value.items)
        elif kind == "embed":
            out.append(6)
            text(value.url)
            text(value.text)
        elif kind == "correction_note":
            out.append(7)
            text(value.text)
    return hashlib.sha256(bytes(out)).digest()
