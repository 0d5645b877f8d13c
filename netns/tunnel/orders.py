"""What a forwarder is asked over its control socket, and how that is written there.

One request a connection: four bytes of length, then JSON. Open descriptors come with the first byte, in the
order of the names in the request. The answer has the same form.
"""

import enum
import struct

import msgspec

from netns.tunnel.tables import Networks, Peers, Probe, ProbeAnswer, State

MESSAGE_BYTES_MAX = 32 << 20
"""Room for the largest tables that pass their checks."""
DESCRIPTORS_MAX = 128
"""In one request. The kernel carries 253."""
LENGTH = struct.Struct(">I")


class AskState(msgspec.Struct, frozen=True, tag="state"):
    """Changes nothing."""


class TakeSocket(msgspec.Struct, frozen=True, tag="socket"):
    """One descriptor: a UDP socket bound to `port`. It replaces the one before."""

    port: int


class HoldTaps(msgspec.Struct, frozen=True, tag="taps"):
    """As many descriptors as names: open taps. They are held until networks are told that lack them."""

    names: tuple[str, ...]


class TellNetworks(msgspec.Struct, frozen=True, tag="networks"):
    """Replaces the table of networks."""

    networks: Networks


class TellPeers(msgspec.Struct, frozen=True, tag="peers"):
    """Replaces the table of peers. Only the instance that its sessions were made for takes it: whoever
    counted from 0 again under old keys would give them away."""

    instance: int
    peers: Peers


class SendProbes(msgspec.Struct, frozen=True, tag="probes"):
    """Sends these, and fetches the answers that came since. A probe to who has no keys is left out. Numbers are
    one daemon's, for one instance."""

    instance: int
    probes: tuple[Probe, ...] = ()


Request = AskState | TakeSocket | HoldTaps | TellNetworks | TellPeers | SendProbes


class Refusal(enum.Enum):
    """Why a request was not carried out."""

    STALE = "stale"
    """Its epoch is older than what is in force, or the same for another table."""
    OTHER_INSTANCE = "other-instance"
    WRONG = "wrong"
    """It makes no sense, or its descriptors do not fit it."""


class Answer(msgspec.Struct, frozen=True):
    """What runs after the request. Nothing was changed if it is refused; `words` say why, for a person."""

    state: State
    refusal: Refusal | None = None
    words: str = ""
    answers: tuple[ProbeAnswer, ...] = ()
    """Of SendProbes."""


def written(message: Request | Answer) -> bytes:
    """Length and JSON."""
    body = msgspec.json.encode(message)
    return LENGTH.pack(len(body)) + body


def request_of(body: bytes) -> Request:
    """Raises msgspec.DecodeError for what is none."""
    request: Request = msgspec.json.decode(body, type=Request)
    return request


def answer_of(body: bytes) -> Answer:
    """Raises msgspec.DecodeError for what is none."""
    return msgspec.json.decode(body, type=Answer)
