"""What a machine asks of the world. Effects are values; the shell (or the simulator) carries them out in order.

A `Persist` is on disk before anything behind it in the same list happens: a host never says "held for
you" before that is true after a power cut. If it fails, what is behind it does not happen and
`otherwise`, when there is one, is handled next.
"""

import msgspec

from protocol.terms.ids import PeerId


class Deadline(msgspec.Struct, frozen=True, order=True):
    """When a machine wants to be woken, and why (the why is for traces)."""

    at_s: float
    why: str


def earliest(*deadlines: Deadline | None) -> Deadline | None:
    """The first of some deadlines, None if there is none. Asked a dozen times a step: a loop is quickest."""
    first = None
    for deadline in deadlines:
        if deadline is not None and (first is None or deadline.at_s < first.at_s):
            first = deadline
    return first


class Row(msgspec.Struct, frozen=True):
    """One row of the peer's own store; `value` None deletes it."""

    table: str
    key: str
    value: bytes | None


class Send(msgspec.Struct, frozen=True):
    """Give `message` to `peer`; dialled if need be, dropped and counted if that fails."""

    peer: PeerId
    message: msgspec.Struct
    cause: str = ""
    version: int = 1
    """Of the frame: what was agreed with that peer."""


class Dial(msgspec.Struct, frozen=True):
    """Keep a connection to `peer` at `address` (HOST:PORT) until told to hang up."""

    peer: PeerId
    address: str


class Knock(msgspec.Struct, frozen=True):
    """See whether `peer` itself can be dialled at `address`; nothing is said, and no connection is kept."""

    peer: PeerId
    address: str


class HangUp(msgspec.Struct, frozen=True):
    """Give up the connection, also one the other side made."""

    peer: PeerId
    why: str


class Quarantine(msgspec.Struct, frozen=True):
    """Refuse the connections of these peers, and of no others, from now on."""

    peers: tuple[PeerId, ...]


class Untidied(msgspec.Struct, frozen=True):
    """Handled when a write that only tidied up failed: the row left behind does no harm."""


class Persist(msgspec.Struct, frozen=True):
    """Write rows atomically and durably before going on.

    Without `otherwise` a failure ends the process: memory is ahead of the disk, and only a start from
    the disk makes them equal again.
    """

    rows: tuple[Row, ...]
    otherwise: msgspec.Struct | None = None


class Note(msgspec.Struct, frozen=True):
    """Something worth telling: logged, kept for `overlayctl events`."""

    kind: str
    subject: str
    detail: str = ""
    cause: str = ""


class Realise(msgspec.Struct, frozen=True):
    """This host's part of a grid changed: compare wanted with observed, and mend the difference."""

    grid: str
    cause: str = ""


class HandOver(msgspec.Struct, frozen=True):
    """Bulk traffic (image chunks, consoles) that the shell serves by itself."""

    peer: PeerId
    message: msgspec.Struct
    cause: str = ""


Effect = Send | Dial | Knock | HangUp | Quarantine | Persist | Note | Realise | HandOver
