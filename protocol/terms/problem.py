"""What is wrong at a peer, and what it tried, in words for people."""

from enum import StrEnum

import msgspec

from protocol.terms.ids import PeerId


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong at this peer."""

    kind: str
    """`overlay`, `certificate`, `clock`, `key`, ...: what it is about."""
    what: str
    would_work: str = ""
    """What would help; empty if nothing is known that would."""


class Trouble(StrEnum):
    """What came of dialling a peer in vain, as far as a transport can tell."""

    REFUSED = "refused"
    """Nobody listens at the port."""
    NO_ROUTE = "no-route"
    """The network says that it does not lead there, or a firewall says no."""
    NO_ANSWER = "no-answer"
    """Nothing came back in time, not even a no."""
    OTHER_KEY = "other-key"
    """Somebody listens there, but does not have the key."""
    NO_OVERLAYD = "no-overlayd"
    """Somebody listens there who speaks something else."""
    SILENT = "silent"
    """Somebody takes the connection, and says nothing."""
    TURNED_AWAY = "turned-away"
    """The peer itself refuses this one: for its faults, or because it is full."""
    CLOSED = "closed"
    """The connection ended before the peer said anything."""
    DENIED = "denied"
    """This peer refuses that one itself, for its faults."""
    OWN_KEY = "own-key"
    """The key is this peer's own."""
    NO_KEY = "no-key"
    """The key is none."""
    NO_ADDRESS = "no-address"
    """The address is none."""
    NO_NAME = "no-name"
    """There is no such name."""
    NO_DNS = "no-dns"
    """What the name stands for could not be asked, or was not answered."""
    NAME_ASTRAY = "name-astray"
    """The name stands for no address that may be dialled."""
    THIS_HOST = "this-host"
    """This host had no descriptor or no memory left for it."""


class Tried(msgspec.Struct, frozen=True):
    """One address at which this peer looked for others, and what came back."""

    peer: PeerId
    name: str
    """What it is called; empty if it was never met."""
    address: str
    connected: bool
    said: str
    """What came of the last try; empty while nothing has come back."""
    would_work: str
    times: int
    """How many tries in a row came to nothing."""
    age_s: float
    """Seconds since something last came of it; -1 if nothing has."""
