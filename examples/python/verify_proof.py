"""Checks a proof file (docs/PROOF.md) offline, with nothing but `cryptography`; see README.md next to this file.

Usage: python verify_proof.py PROOF VKEY

VKEY, `origin+key id+key`, is the verifier key of the log and must come from somewhere else than the proof. The program
prints what was proved; or it prints what is wrong and ends with status 1.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import re
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# The numbers in a leaf in order, each with its format for `struct`.
FIXED = "seq kind archive_time observe_time article revision batch_first previous created_seq since state_seq"
FIXED = dict(zip(f"{FIXED} labels_seq flags".split(), "QBqqQIQQQqQQB", strict=True))
LOOK = {"reason": "B", "http_status": "I", "gone_after": "I"}
RUN = {"last_seen": "q", "first_missed": "q", "last_missed": "q", "count": "I", "gone": "B"}
HAS_ABSENCE, HAS_RUN, ALL_FLAGS = 1 << 4, 1 << 5, (1 << 6) - 1
KINDS = "unspecified created revised sighted repeated rolled_back withdrawn reinstated state_repeated aliased labelled"
KINDS = f"{KINDS} labels_repeated absent absence_repeated url_ended url_bound urls_repeated".split()

# The strings and the lists of a dateline.v1.Content, and its claimed times and blocks, by field number.
CLAIMS, LISTS, BLOCKS = (7, 8), (3, 9), 12
# The strings of each kind of block, by the number of its field. A list, kind 5, has items and may be ordered.
BLOCK_STRINGS = {1: [1], 2: [1], 3: [1, 2, 3], 4: [1, 2], 6: [1, 2], 7: [1]}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
# What a file that proves nothing may raise; a TypeError if a field has a value of another type.
NOT_PROVED = (InvalidSignature, OverflowError, RecursionError, TypeError, ValueError, struct.error)


def require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def decode(text: str, what: str, length: int | None = None) -> bytes:
    """Decodes base64, of which only the canonical form is accepted."""
    data = base64.b64decode(text) if len(text) % 4 == 0 and re.fullmatch("[A-Za-z0-9+/]*={0,2}", text) else b""
    require(base64.b64encode(data) == text.encode(), f"{what} is not base64")
    require(length in (None, len(data)), f"{what} does not have {length} bytes")
    return data


def members(value: object, what: str, required, optional=()) -> dict:
    """Returns a JSON object, which has all required members and no others but the optional ones."""
    require(isinstance(value, dict), f"{what} is not an object, or has a member twice")
    require({*required} <= {*value} <= {*required, *optional}, f"{what} does not have the members that are specified")
    return value


def member(of: dict, name: str, kind: type):
    """Returns a member of a JSON object, or the default of its type if it is left out."""
    value = of.get(name, kind())
    require(type(value) is kind, f"`{name}` is of the wrong type")
    return value


def open_checkpoint(note: str, vkey: str) -> tuple[str, int, bytes]:
    """Returns the origin, tree size and root of a checkpoint that the owner of the verifier key signed."""
    name, key_id, encoded, *_ = [*vkey.split("+", 2), "", ""]
    key = decode(encoded, "the key in the verifier key", 33)
    expected_id = sha256(name.encode(), b"\n", key)[:4]
    require(key[0] == 1 and key_id.lower() == expected_id.hex(), "the verifier key contradicts itself")
    body, _, signatures = note.rpartition("\n\n")
    signed = False
    for line in signatures.split("\n")[:-1]:
        match = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        require(match is not None, "the checkpoint has a malformed signature")
        signature = decode(match[2], "a signature of the checkpoint")
        if (match[1], signature[:4]) == (name, expected_id):
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], f"{body}\n".encode())
            signed = True
    require(signed and note.endswith("\n"), "the checkpoint is not signed with this verifier key, or is cut short")
    lines = body.split("\n")
    require(len(lines) >= 3 and all(lines) and lines[0] == name, "the checkpoint is not one of the verifier key's log")
    require(re.fullmatch("0|[1-9][0-9]{0,19}", lines[1]) is not None, "the tree size is not a number")
    return name, int(lines[1]), decode(lines[2], "the root", 32)


def root_above(leaf: bytes, index: int, size: int, path: list[str]) -> bytes:
    """Returns the root that an inclusion proof, in base64, leads to, as in RFC 9162, section 2.1.3.2."""
    require(index < size, "the index is not below the tree size")
    root, at, last = sha256(b"\0", leaf), index, size - 1
    while last:
        if at & 1 or at < last:  # otherwise the node is the last of its level and has no sibling
            require(path != [], "the inclusion proof has too few hashes")
            sibling = decode(path.pop(0), "a hash of the inclusion proof", 32)
            root = sha256(b"\1", sibling, root) if at & 1 else sha256(b"\1", root, sibling)
        at, last = at >> 1, last >> 1
    require(path == [], "the inclusion proof has too many hashes")
    return root


def rebuild_leaf(shown: dict) -> tuple[bytes, dict[int, bytes | None]]:
    """Returns the leaf, and the data of its groups by number: None for a group that is not shown."""
    flags, absence = member(shown, "flags", int), member(shown, "absence", dict)
    require(flags <= ALL_FLAGS and bool(flags & HAS_ABSENCE) == ("absence" in shown), "`flags` contradicts `absence`")
    formats = FIXED | (LOOK if flags & HAS_ABSENCE else {}) | (RUN if flags & HAS_RUN else {})
    members(absence, "`absence`", formats.keys() - FIXED.keys())
    numbers = [member(shown | absence, name, int) for name in formats]
    leaf = b"dateline leaf 1\n" + struct.pack(">" + "".join(formats.values()), *numbers)
    groups: dict[int, bytes | None] = {}
    for entry in member(shown, "groups", list):
        hidden = isinstance(entry, dict) and "commitment" in entry
        members(entry, "a group", ["group", "commitment"] if hidden else ["group", "salt", "data"])
        group = member(entry, "group", int)
        require(max(groups, default=0) < group <= 4, "the groups are not in order, from 1 to 4")
        if hidden:
            groups[group], commitment = None, decode(member(entry, "commitment", str), "a commitment", 32)
        else:
            # If the lengths were not checked, bytes could be moved between the salt and the data.
            salt = decode(member(entry, "salt", str), "a salt", 16)
            groups[group] = decode(member(entry, "data", str), "the data of a group", 32 if group > 2 else None)
            commitment = sha256(b"dateline commitment 1\n", bytes([group]), salt, groups[group])
        leaf += bytes([group]) + commitment
    require({1, 2} <= set(groups), "group 1 or 2 is missing")
    return leaf, groups


def fields(message: bytes) -> dict[int, list]:
    """The values of an encoded protobuf message by field number: integers, and bytes for all else."""
    found: dict[int, list] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            require(at < len(message) and shift < 70, "a message is cut short")
            value, shift, at = value | (message[at] & 0x7F) << shift, shift + 7, at + 1
            if message[at - 1] < 0x80:
                return value

    while at < len(message):
        number, wire_type = divmod(varint(), 8)
        value: int | bytes = varint()
        if wire_type == 2:
            require(at + value <= len(message), "a message is cut short")
            value, at = message[at : at + value], at + value
        else:
            require(wire_type == 0, "a message has a field of another type")
        found.setdefault(number, []).append(value)
    return found


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def texts(values: list[bytes]) -> bytes:
    return struct.pack(">I", len(values)) + b"".join(map(text, values))


def last(message: dict[int, list], number: int, default):
    return message.get(number, [default])[-1]


def claim(encoded: bytes) -> bytes:
    """A claimed time: nothing if it is absent or relative, or else its precision and its microseconds since 1970."""
    message = fields(encoded)
    if not encoded or last(message, 5, 0):
        return b"\0"
    time = fields(last(message, 1, b""))
    seconds = last(time, 1, 0)
    seconds -= (seconds >> 63) << 64
    return struct.pack(">Bq", last(message, 2, 0), seconds * 1_000_000 + last(time, 2, 0) // 1000)


def block(encoded: bytes) -> bytes:
    message = fields(encoded)
    kinds = [number for number in message if number != 15]
    require(len(kinds) == 1 and (kinds[0] in BLOCK_STRINGS or kinds[0] == 5), "a block does not have one known kind")
    of_kind = fields(message[kinds[0]][-1])
    if kinds[0] == 5:
        return b"\5" + bytes([last(of_kind, 2, 0)]) + texts(of_kind.get(1, []))
    return bytes(kinds) + b"".join(text(last(of_kind, number, b"")) for number in BLOCK_STRINGS[kinds[0]])


def content_digest(content: dict[int, list]) -> bytes:
    """The content digest of docs/FORMAT.md."""
    encoded = []
    for number in range(1, 11):
        if number in LISTS:
            encoded.append(texts(content.get(number, [])))
        else:
            encoded.append((claim if number in CLAIMS else text)(last(content, number, b"")))
    blocks = content.get(BLOCKS, [])
    return sha256(b"dateline content 2\n", *encoded, struct.pack(">I", len(blocks)), *map(block, blocks))


def verify(proof: str, vkey: str) -> dict[str, object]:
    """Returns what a proof proves, by title."""
    require(re.search(r"[\0-\t\v-\x1f]", proof) is None, "the file has control characters")
    head, _, checkpoint = proof.partition("\n\n")
    magic, extra, index, *path = head.split("\n") if head.count("\n") > 1 else ["", "", ""]
    require(magic == "c2sp.org/tlog-proof@v1" and extra.startswith("extra "), "the file is not a proof of Dateline")
    origin, size, root = open_checkpoint(checkpoint, vkey)
    # An object with a member twice becomes null, which nothing accepts.
    once = lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else None  # noqa: E731
    shown = json.loads(decode(extra[6:], "what is shown"), object_pairs_hook=once)
    leaf, groups = rebuild_leaf(members(shown, "what is shown", [*FIXED, "groups"], ["absence", "content"]))
    require(index == f"index {shown['seq']}", "`index` is not the position that is shown")
    require(root_above(leaf, shown["seq"], size, path) == root, "the inclusion proof does not lead to the root")
    proved = {"origin": origin, "position": shown["seq"], "tree size": size}
    proved["article"] = "withheld" if groups[1] is None else groups[1].decode()
    proved["kind"] = KINDS[shown["kind"]] if shown["kind"] < len(KINDS) else shown["kind"]
    proved["archive time"] = EPOCH + datetime.timedelta(microseconds=shown["archive_time"])
    proved["observe time"] = EPOCH + datetime.timedelta(microseconds=shown["observe_time"])
    if "content" in shown:
        content = fields(decode(member(shown, "content", str), "the content"))
        require(content_digest(content) == groups.get(3), "the content does not have the digest that was recorded")
        proved["headline"] = last(content, 1, b"").decode()
    if 3 in groups:
        proved["content digest"] = "withheld" if groups[3] is None else groups[3].hex()
    return proved


def main() -> None:
    try:
        require(len(sys.argv) == 3, "usage: python verify_proof.py PROOF VKEY")
        proved = verify(pathlib.Path(sys.argv[1]).read_bytes().decode(), sys.argv[2])
    except (OSError, *NOT_PROVED) as error:
        sys.exit(f"not proved: {str(error) or 'the signature of the checkpoint is wrong'}")
    sys.stdout.reconfigure(errors="backslashreplace")
    for title, value in proved.items():
        print(f"{title}:", "".join(c if c.isprintable() else "\ufffd" for c in str(value)))


if __name__ == "__main__":
    main()
