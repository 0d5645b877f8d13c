"""Golden vectors: for every message, and everything inside one, a value to read and the bytes it has.

    ./scripts/vectors             writes the vectors that are missing, and names those that differ
    ./scripts/vectors --rewrite   writes those too

A vector that differs means that the wire changed. With the same version a change may only add a field that has
a default; anything else is another version (protocol/wire/versions.py). Files are tests/vectors/KIND/NAME.json:

    {"value": the value, bytes as {"hex": ...}, "bytes": hex}

Both also write protocol/MESSAGES.md, the tables of all fields.

The bytes of a message are those of a frame with the cause `vector`, of the newest version; greetings are of
the first.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from golden import examples, tables, tunnel_keys
from protocol.capacity.advert import KIND as ADVERT
from protocol.capacity.advert import Advert
from protocol.contract.notices import NOTICE, Notice
from protocol.grid.decision import Acceptance, Promised
from protocol.grid.equivocation import Accusation
from protocol.grid.grant import HoldGrant
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, Register
from protocol.membership.messages import Presence, Suspicion
from protocol.membership.presence import KIND as PRESENCE
from protocol.node.messages import Message
from protocol.node.site_summaries import KIND as SUMMARY
from protocol.node.site_summaries import Summary
from protocol.peering.equivocators import KIND as EQUIVOCATION
from protocol.peering.news import KIND as NEWS
from protocol.peering.news import News
from protocol.policy.policy_record import KIND as POLICY
from protocol.policy.site_policy import SitePolicy
from protocol.relay.messages import Accepting, Ended, Opening, Word
from protocol.trust.certificate import Certificate, read_certificate
from protocol.trust.order import Order, read_order
from protocol.trust.record import Record, read_record
from protocol.trust.revocation import KIND as REVOCATION
from protocol.trust.revocation import Revocation
from protocol.tunnel_keys.transcript import Answered, Offered
from protocol.wire.codec import Malformed, decode, encode, to_plain
from protocol.wire.envelope import pack, unpack
from protocol.wire.versions import GREETING, GREETINGS, SPOKEN

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "tests" / "vectors"
TABLES = TOP / "protocol" / "MESSAGES.md"
CAUSE = "vector"
MEND = "./scripts/vectors --rewrite   (then look at `git diff tests/vectors`: what changed on the wire?)"

BODIES: dict[str, Any] = {
    PRESENCE: Presence,
    "suspicion": Suspicion,
    ADVERT: Advert,
    NOTICE: Notice,
    REVOCATION: Revocation,
    POLICY: SitePolicy,
    EQUIVOCATION: Accusation,
    NEWS: News,
    SUMMARY: Summary,
}
"""The bodies of directory records, by the record's kind."""

PARTS: dict[str, Any] = {
    "certificate": Certificate,
    "order": Order,
    "record": Record,
    "grid-spec": GridSpec,
    "grid-record": GridRecord,
    "hold-grant": HoldGrant,
    "acceptance": Acceptance,
    "promised": Promised,
    "register": Register,
    "relay-opening": Opening,
    "relay-accepting": Accepting,
    "relay-word": Word,
    "relay-ended": Ended,
    "tunnel-offered": Offered,
    "tunnel-answered": Answered,
}
"""What is signed, and other things that travel as bytes inside a message."""

_READ: dict[str, Any] = {
    "tunnel-offer": tunnel_keys.OFFER,
    "tunnel-offered": tunnel_keys.OFFERED,
    "tunnel-answer": tunnel_keys.ANSWER,
    "tunnel-answered": tunnel_keys.ANSWERED,
    "certificate": read_certificate(examples.SITE_CHAIN[0]),
    "order": read_order(examples.order()),
    "hold-grant": examples.GRANT,
    "acceptance": decode(examples.ACCEPTED.payload, Acceptance),
    "promised": decode(examples.PROMISED.payload, Promised),
    "record": read_record(examples.record(PRESENCE, "", encode(examples.presence()))),
}


class Vector(msgspec.Struct, frozen=True):
    """One value, and the bytes that it has."""

    folder: str
    name: str
    kind: Any
    value: Any
    data: bytes

    @property
    def path(self) -> Path:
        """The file of the vector."""
        return FOLDER / self.folder / f"{self.name}.json"

    def text(self) -> str:
        """The content of that file."""
        plain = {"value": readable(self.value), "bytes": self.data.hex()}
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"

    def read(self, data: bytes) -> Any:
        """The value in bytes, as a peer reads it. Raises Malformed."""
        return unpack(data, Message)[1] if self.folder == "messages" else decode(data, self.kind)

    def write(self, value: Any) -> bytes:
        """The bytes of a value, as a peer writes it."""
        return frame_of(value) if self.folder == "messages" else encode(value)


def readable(value: Any) -> Any:
    """A value as it is on the wire, for JSON."""
    match plain := to_plain(value):
        case dict():
            return {key: readable(item) for key, item in plain.items()}
        case list() | tuple():
            return [readable(item) for item in plain]
        case bytes():
            return {"hex": plain.hex()}
        case _:
            return plain


def tag_of(kind: type[msgspec.Struct]) -> str:
    """A message's type on the wire."""
    return str(kind.__struct_config__.tag)


def frame_of(message: msgspec.Struct) -> bytes:
    """A message as a peer says it to another of its own build."""
    greets = tag_of(type(message)) in GREETINGS
    return pack(message, CAUSE, GREETING if greets else SPOKEN.newest)


def all_vectors() -> Iterator[Vector]:
    """Every vector there must be."""
    for kind in sorted(get_args(Message), key=tag_of):
        value = _READ.get(tag_of(kind)) or examples.example(kind)
        yield Vector("messages", tag_of(kind), kind, value, frame_of(value))
    for folder, kinds in (("bodies", BODIES), ("parts", PARTS)):
        for name, kind in kinds.items():
            value = _READ.get(name) or examples.example(kind)
            yield Vector(folder, name, kind, value, encode(value))


def keys_text() -> str:
    """The signers of the examples: seeds, keys, and what a signature covers."""
    holders = {"federation": examples.FEDERATION, "site": examples.SITE, "host": examples.HOST}
    plain = {
        "what": "An Ed25519 seed is SHA-256 of `overlayd vector NAME`; a signature covers "
        "`overlayd/1/`, the domain, a zero byte and the payload.",
        "keys": {
            name: {
                "seed": examples.seed(name).hex(),
                "key": holder.key,
                "curve25519": holder.transport_public.hex(),
            }
            for name, holder in holders.items()
        },
        "signed": {
            "certificate of the site, by the federation": readable(examples.SITE_CHAIN[0]),
            "certificate of the host, by the site": readable(examples.HOST_CHAIN[0]),
            "record, by the host": readable(
                examples.record(PRESENCE, "", encode(examples.presence()))
            ),
            "order, by the site": readable(examples.order()),
        },
    }
    return json.dumps(plain, indent=1) + "\n"


def wanted() -> dict[Path, str]:
    """Every file there must be, with what must be in it."""
    files = {vector.path: vector.text() for vector in all_vectors()}
    keys = {FOLDER / "keys.json": keys_text(), FOLDER / "tunnel-keys.json": tunnel_keys.text()}
    return {**files, **keys}


def tables_text() -> str:
    """The text that protocol/MESSAGES.md is to have."""
    return tables.text({tag_of(kind): kind for kind in get_args(Message)}, BODIES, PARTS)


def _still_read(vector: Vector) -> str:
    """Whether the bytes of the vector as it was are still understood, in words."""
    try:
        vector.read(bytes.fromhex(json.loads(vector.path.read_text())["bytes"]))
    except Malformed as error:
        return f"what was said so far is NOT understood any more ({error}): another version"
    return "what was said so far is still understood"


def main() -> int:
    """The program. The status is 1 if something differs and was left."""
    parser = argparse.ArgumentParser(prog="scripts/vectors", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rewrite", action="store_true", help="also write those that differ")
    rewrite = parser.parse_args().rewrite
    files = wanted()
    TABLES.write_text(tables_text())
    by_path = {vector.path: vector for vector in all_vectors()}
    differing = 0
    for path, text in files.items():
        name = path.relative_to(TOP)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {name}")
        elif path.read_text() != text:
            vector = by_path.get(path)
            print(f"differs: {name}" + (f": {_still_read(vector)}" if vector else ""))
            if rewrite:
                path.write_text(text)
            else:
                differing += 1
    for path in sorted(FOLDER.rglob("*.json")):
        if path not in files:
            print(f"of no message any more: {path.relative_to(TOP)}")
            if rewrite:
                path.unlink()
            else:
                differing += 1
    print(f"{len(files)} vectors" + (f", {differing} differ; {MEND}" if differing else ""))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
