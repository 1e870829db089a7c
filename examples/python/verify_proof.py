"""Checks proof files and evidence of Dateline (docs/PROOF.md) offline, with nothing but `cryptography`.

Usage: python verify_proof.py PROOF VKEY
       python verify_proof.py FOLDER VKEY

PROOF is a proof file, and FOLDER has what was unpacked from an evidence file. VKEY, `origin+key id+key`, is the verifier
key of the log and must come from somewhere else. The program prints what was proved; or it prints what is wrong and ends
with status 1. In a folder, it checks that each file is what the proof gives, and says which files it does not check.
"""

import base64
import datetime
import hashlib
import html
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
KINDS = f"{KINDS} labels_repeated absent absence_repeated url_ended url_bound urls_repeated expunged".split()

# The fields of a dateline.v1.Content that are texts, lists of texts and claimed times, by their numbers; and its blocks.
FIELDS = "headline standfirst bylines section language canonicalUrl publishTime modifyTime keywords rights"
FIELDS = dict(enumerate(FIELDS.split(), 1))
CLAIMS, LISTS, BLOCKS = (7, 8), (3, 9), 12
# The kinds of blocks, and the texts of each, by their numbers. A list, kind 5, has items and may be ordered.
KINDS_OF_BLOCK = "paragraph subheading caption quote list embed correctionNote"
KINDS_OF_BLOCK = dict(enumerate(KINDS_OF_BLOCK.split(), 1))
BLOCK_TEXTS = {3: ["text", "imageUrl", "credit"], 4: ["text", "attribution"], 6: ["url", "text"]}
BLOCK_TEXTS |= {kind: ["text"] for kind in (1, 2, 7)}
PRECISIONS = {1: "INSTANT", 2: "DAY", 3: "MONTH", 4: "YEAR"}
# The length of a claimed time of each precision but the first, as text.
PRECISION_LENGTHS = {2: 10, 3: 7, 4: 4}

# What precedes the body of the page in an evidence file, by its SHA-256: always the same.
PAGE_HEAD = "d11f61182dc4f2d54f93bdddb667da64a909956fbbffd0cbe2f33acbd25b7857"
NOT_SHOWN = (
    "This file does not show the text of the revision, only that it was recorded. The archive has destroyed the text, for "
    "example by order of a court, or the text was withheld."
)
NOT_CHECKED = re.compile(r"README\.txt|log-key\.txt|timestamp-[1-9][0-9]*\.tsr|verify_proof\.py")
EPOCH = datetime.datetime(1970, 1, 1)
# What a file that proves nothing may raise; a TypeError if a field has a value of another type.
NOT_PROVED = (InvalidSignature, KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error)


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


def read_json(text: bytes):
    """Reads JSON. An object with a member twice becomes null, which nothing accepts."""
    return json.loads(text, object_pairs_hook=lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else None)


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


def claimed_time(encoded: bytes) -> tuple[int, int] | None:
    """A claimed time: its precision and its microseconds since 1970; None if it is absent or relative."""
    message = fields(encoded)
    if not encoded or last(message, 5, 0):
        return None
    time = fields(last(message, 1, b""))
    seconds = last(time, 1, 0)
    seconds -= (seconds >> 63) << 64
    return last(message, 2, 0), seconds * 1_000_000 + last(time, 2, 0) // 1000


def claim(encoded: bytes) -> bytes:
    claimed = claimed_time(encoded)
    return b"\0" if claimed is None else struct.pack(">Bq", *claimed)


def open_block(encoded: bytes) -> tuple[int, dict[int, list]]:
    """The kind of a block, and its fields."""
    message = fields(encoded)
    kinds = [number for number in message if number != 15]
    require(len(kinds) == 1 and kinds[0] in KINDS_OF_BLOCK, "a block does not have one known kind")
    return kinds[0], fields(message[kinds[0]][-1])


def block(encoded: bytes) -> bytes:
    kind, of_kind = open_block(encoded)
    if kind == 5:
        return b"\5" + bytes([last(of_kind, 2, 0)]) + texts(of_kind.get(1, []))
    return bytes([kind]) + b"".join(text(last(of_kind, number, b"")) for number, _ in enumerate(BLOCK_TEXTS[kind], 1))


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


class Proof:
    """A proof file that is in order: what was proved by title, and what it shows."""

    def __init__(self, proof: str, vkey: str) -> None:
        require(re.search(r"[\0-\t\v-\x1f]", proof) is None, "the file has control characters")
        head, _, self.checkpoint = proof.partition("\n\n")
        magic, extra, index, *path = head.split("\n") if head.count("\n") > 1 else ["", "", ""]
        require(magic == "c2sp.org/tlog-proof@v1" and extra.startswith("extra "), "the file is not a proof of Dateline")
        self.origin, self.size, self.root = open_checkpoint(self.checkpoint, vkey)
        shown = read_json(decode(extra[6:], "what is shown"))
        leaf, self.groups = rebuild_leaf(members(shown, "what is shown", [*FIXED, "groups"], ["absence", "content"]))
        require(index == f"index {shown['seq']}", "`index` is not the position that is shown")
        require(root_above(leaf, shown["seq"], self.size, path) == self.root, "the proof does not lead to the root")
        self.shown, self.content = shown, None
        if "content" in shown:
            self.content = fields(decode(member(shown, "content", str), "the content"))
            require(content_digest(self.content) == self.groups.get(3), "the content is not the one that was recorded")

    def group(self, number: int, form=bytes.hex) -> str:
        """The data of a group as text; nothing if there is no such group."""
        data = self.groups.get(number, b"")
        return "withheld" if data is None else form(data)

    def proved(self) -> dict[str, object]:
        shown = self.shown
        proved = {"origin": self.origin, "position": shown["seq"], "tree size": self.size}
        proved["article"] = self.group(1, bytes.decode)
        proved["kind"] = KINDS[shown["kind"]] if shown["kind"] < len(KINDS) else shown["kind"]
        proved["archive time"] = rfc3339(shown["archive_time"])
        proved["observe time"] = rfc3339(shown["observe_time"])
        if self.content is not None:
            proved["headline"] = last(self.content, 1, b"").decode()
        proved |= {"content digest": self.group(3), "original": self.group(4)}
        return {title: value for title, value in proved.items() if value != ""}


def verify(proof: str, vkey: str) -> dict[str, object]:
    """Returns what a proof proves, by title."""
    return Proof(proof, vkey).proved()


def rfc3339(micros: int) -> str:
    time = (EPOCH + datetime.timedelta(microseconds=micros)).isoformat()
    return (time.rstrip("0").rstrip(".") if "." in time else time) + "Z"


def content_json(content: dict[int, list]) -> dict:
    """The content as proto3 JSON, without what its digest does not cover."""

    def known(pairs) -> dict:
        return {name: value for name, value in pairs if value not in ("", [], None)}

    def value(number: int):
        if number in LISTS:
            return [item.decode() for item in content.get(number, [])]
        if number not in CLAIMS:
            return last(content, number, b"").decode()
        if (claimed := claimed_time(last(content, number, b""))) is None:
            return None
        precision, micros = claimed
        second, _, fraction = rfc3339(micros)[:-1].partition(".")
        # Proto3 JSON writes fractions with three or six digits.
        fraction = "" if not fraction else "." + fraction.ljust(3 if len(fraction) <= 3 else 6, "0")
        return {"time": f"{second}{fraction}Z", "precision": f"TIME_PRECISION_{PRECISIONS[precision]}"}

    blocks = []
    for encoded in content.get(BLOCKS, []):
        kind, of_kind = open_block(encoded)
        if kind == 5:
            items = [("items", [item.decode() for item in of_kind.get(1, [])])]
            pairs = items + [("ordered", True)] * last(of_kind, 2, 0)
        else:
            pairs = [(name, last(of_kind, at, b"").decode()) for at, name in enumerate(BLOCK_TEXTS[kind], 1)]
        blocks.append({KINDS_OF_BLOCK[kind]: known(pairs)})
    return known([*((name, value(number)) for number, name in FIELDS.items()), ("blocks", blocks)])


def headers_json(attributes: bytes) -> dict[str, str]:
    """How the page was fetched, from encoded stored.v1.Attributes."""
    message = fields(attributes)
    fetch, made = fields(last(message, 9, b"")), fields(last(message, 3, b""))
    headers = {"Content-Type": last(fields(last(made, 11, b"")), 1, b""), "ETag": last(fetch, 2, b"")}
    headers |= {"Last-Modified": last(fetch, 3, b""), "URL": last(fetch, 1, b"")}
    return {name: value.decode() for name, value in headers.items() if value}


def element(name: str, css: str, value: str) -> str:
    return f'<{name} class="{css}" dir="auto">{html.escape(value, quote=False)}</{name}>\n'


def optional(name: str, css: str, value: str) -> str:
    return element(name, css, value) if value else ""


def page_block(block: dict) -> str:
    (kind, of_kind), = block.items()
    value = lambda name: of_kind.get(name, "")  # noqa: E731
    if kind == "caption":
        more = optional("p", "credit", value("credit")) + optional("p", "address", value("imageUrl"))
        return f"<figure>\n{element('p', 'caption', value('text'))}{more}</figure>\n"
    if kind == "quote":
        more = optional("p", "attribution", value("attribution"))
        return f"<blockquote>\n{element('p', 'quote', value('text'))}{more}</blockquote>\n"
    if kind == "list":
        name = "ol" if value("ordered") else "ul"
        return f"<{name}>\n{''.join(element('li', 'item', item) for item in value('items'))}</{name}>\n"
    if kind == "embed":
        return element("p", "embed", value("text")) + element("p", "address", value("url"))
    css = "correction" if kind == "correctionNote" else kind
    return element("h2" if kind == "subheading" else "p", css, value("text"))


def page_body(proof: Proof, content: dict | None, headers: dict[str, str]) -> str:
    """The page of an evidence file, after its head."""
    page, known = "<body>\n<main>\n", content or {}
    if content is None:
        page += element("p", "notice", NOT_SHOWN)
    else:
        language = known.get("language", "")
        page += f'<article lang="{language if re.fullmatch("[A-Za-z0-9-]*", language) else ""}">\n'
        page += element("h1", "headline", known.get("headline", ""))
        page += optional("p", "standfirst", known.get("standfirst", ""))
        page += optional("p", "byline", ", ".join(known.get("bylines", [])))
        dates = []
        for label, number in zip(("Published", "Updated"), CLAIMS, strict=True):
            if (claimed := claimed_time(last(proof.content, number, b""))) is not None:
                dates.append(f"{label} {rfc3339(claimed[1])[: PRECISION_LENGTHS.get(claimed[0])]}")
        page += optional("p", "dates", ", ".join(dates))
        page += "".join(map(page_block, known.get("blocks", [])))
        page += optional("p", "rights", known.get("rights", "")) + "</article>\n"
    rows = {
        "Article": proof.group(1, bytes.decode),
        "Revision": proof.shown["revision"],
        "Observed": rfc3339(proof.shown["observe_time"]),
        "Archived": rfc3339(proof.shown["archive_time"]),
        "Address": known.get("canonicalUrl", ""),
        "Fetched from": headers.get("URL", ""),
        "Section": known.get("section", ""),
        "Language": known.get("language", ""),
        "Keywords": ", ".join(known.get("keywords", [])),
        "SHA-256 of the content": proof.group(3),
        "SHA-256 of the original": proof.group(4),
        "Log": proof.origin,
        "Position in the log": proof.shown["seq"],
        "Size of the log": proof.size,
        "Root of the log": proof.root.hex(),
    }
    rows = [f"<dt>{label}</dt>\n" + element("dd", "fact", str(value)) for label, value in rows.items() if value != ""]
    page += f'<section dir="ltr">\n<h2>What is proved</h2>\n<dl>\n{"".join(rows)}</dl>\n</section>\n'
    return page + "</main>\n</body>\n</html>\n"


def verify_evidence(folder: pathlib.Path, vkey: str) -> dict[str, object]:
    """Returns what unpacked evidence proves, by title."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    found = files.copy()

    def take(name: str) -> bytes:
        require(name in found, f"there is no {name}")
        return found.pop(name)

    proof = Proof(take("proof.tlog-proof").decode(), vkey)
    require(3 in proof.groups, "the proof is of a change that created no revision")
    require(take("checkpoint.txt") == proof.checkpoint.encode(), "checkpoint.txt is not that of the proof")
    content = None if proof.content is None else content_json(proof.content)
    headers = {} if proof.groups[2] is None else headers_json(proof.groups[2])
    for name, expected in [("content.json", content), ("headers.json", headers)]:
        if expected:
            require(read_json(take(name)) == expected, f"{name} is not what the proof gives")
    if proof.groups.get(4):
        require(sha256(take("original.bin")) == proof.groups[4], "original.bin is not the one that was recorded")
    head, body, rest = take("page.html").partition(b"<body>\n")
    require(sha256(head).hex() == PAGE_HEAD, "the head of page.html is not the usual one")
    require((body + rest).decode() == page_body(proof, content, headers), "page.html is not what the proof gives")
    unchecked = [name for name in found if NOT_CHECKED.fullmatch(name)]
    require(unchecked == [*found], f"not a part of evidence: {', '.join(found.keys() - unchecked)}")
    checked = [name for name in files if name not in found]
    return proof.proved() | {"checked": ", ".join(checked), "not checked": ", ".join(unchecked)}


def main() -> None:
    try:
        require(len(sys.argv) == 3, "usage: python verify_proof.py PROOF|FOLDER VKEY")
        path, vkey = pathlib.Path(sys.argv[1]), sys.argv[2]
        proved = verify_evidence(path, vkey) if path.is_dir() else verify(path.read_bytes().decode(), vkey)
    except (OSError, *NOT_PROVED) as error:
        sys.exit(f"not proved: {str(error) or 'the signature of the checkpoint is wrong'}")
    sys.stdout.reconfigure(errors="backslashreplace")
    for title, value in proved.items():
        print(f"{title}:", "".join(c if c.isprintable() else "\ufffd" for c in str(value)))


if __name__ == "__main__":
    main()
