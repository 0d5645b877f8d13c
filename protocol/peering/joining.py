"""How joining the overlay goes: what was tried, what came back, and what would help.

A peer that finds nobody looks like a peer that is alone. So each address that `join` names is remembered with
what came of it, and a few more of peers that are known from before. It is told to the log when it changes, and
now and then while it stays as it is: never at each try.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import assert_never

from protocol.membership.messages import Contact
from protocol.terms.effects import Effect, Note
from protocol.terms.ids import PeerId
from protocol.terms.limits import JOIN_NAG_S, JOIN_TOLD_EVERY_S, TRIED_OTHERS
from protocol.terms.problem import Problem, Tried, Trouble

_NEVER = float("-inf")
_SHOWN = 16
"""Digits of a key that are shown: enough to compare, and to find it in a file."""


class State(StrEnum):
    """Whether this peer has the overlay that its configuration asks for."""

    ALONE = "alone"
    """No `join` is configured, and nobody is there."""
    JOINING = "joining"
    """Nobody was reached yet."""
    JOINED = "joined"
    LOST = "lost"
    """Somebody was reached, and nobody is now."""


class _Attempt:
    """What is remembered of one address."""

    __slots__ = ("address", "at_s", "said", "times", "told", "told_s", "would_work")

    def __init__(self, address: str) -> None:
        self.address = address
        self.said = self.would_work = self.told = ""
        self.times = 0
        self.at_s = self.told_s = _NEVER


class Joining:
    """What came of looking for others."""

    def __init__(
        self,
        joins: tuple[Contact, ...],
        connected: Callable[[PeerId], bool],
        count: Callable[[], int],
        name: Callable[[PeerId], str],
    ) -> None:
        """`joins` are those of the configuration. `connected` says whether a peer is connected and believed,
        `count` how many are, and `name` what one is called, empty if it is not known."""
        self._configured = tuple(join.peer for join in joins)
        self._connected, self._count, self._name = connected, count, name
        self._attempts = {join.peer: _Attempt(join.address) for join in joins}
        self._reached = False

    # -- what happens

    def reached(self, peer: PeerId, now: float) -> list[Effect]:
        """A peer showed who it is, and is believed."""
        self._reached = True
        attempt = self._attempts.get(peer)
        if attempt is None:
            return []
        if peer not in self._configured:
            del self._attempts[peer]
            return []
        told, attempt.told = attempt.told, ""
        attempt.said = attempt.would_work = ""
        attempt.times, attempt.at_s = 0, now
        attempt.told_s = _NEVER
        return [Note("overlay.reached", attempt.address, self._name(peer))] if told else []

    def failed(self, peer: PeerId, address: str, why: Trouble, now: float) -> list[Effect]:
        """The peer was dialled in vain."""
        said, would_work = _in_words(peer, address, why)
        return self.came(peer, address, said, would_work, now)

    def came(
        self, peer: PeerId, address: str, said: str, would_work: str, now: float
    ) -> list[Effect]:
        """Looking for that peer came to nothing, as `said`. Answers a note if that is news, or due again."""
        attempt = self._attempt(peer, address)
        if attempt is None:
            return []
        attempt.address = address or attempt.address
        attempt.said, attempt.would_work = said, would_work
        attempt.times += 1
        attempt.at_s = now
        pause_s = JOIN_NAG_S if said == attempt.told else JOIN_TOLD_EVERY_S
        if now < attempt.told_s + pause_s:
            return []
        attempt.told, attempt.told_s = said, now
        helps = f"; {would_work}" if would_work else ""
        return [Note("overlay.unreached", attempt.address, f"{said}{helps}")]

    # -- what is known

    def state(self) -> State:
        """Whether this peer has the overlay that its configuration asks for."""
        if self._count():
            return State.JOINED
        if not self._configured:
            return State.ALONE
        return State.LOST if self._reached else State.JOINING

    def tried(self, now: float) -> tuple[Tried, ...]:
        """What was tried, in the order of the configuration."""
        return tuple(
            Tried(
                peer,
                self._name(peer),
                attempt.address,
                self._connected(peer),
                attempt.said,
                attempt.would_work,
                attempt.times,
                now - attempt.at_s if attempt.at_s != _NEVER else -1.0,
            )
            for peer, attempt in self._attempts.items()
        )

    def problems(self, now: float) -> list[Problem]:
        """Why this peer is without the overlay that it is to join; none if it has it."""
        match self.state():
            case State.ALONE | State.JOINED:
                return []
            case State.JOINING:
                first = "nobody was reached yet, so this host is not in the overlay"
            case State.LOST:
                first = "nobody is reached any more, so this host is cut off from the overlay"
            case _ as never:
                assert_never(never)
        failed = [row for row in self.tried(now) if row.said and not row.connected]
        if not failed:
            return [Problem("overlay", f"{first}; nothing has come back so far")]
        tried = (Problem("overlay", f"{row.address}: {row.said}", row.would_work) for row in failed)
        return [Problem("overlay", first), *tried]

    def _attempt(self, peer: PeerId, address: str) -> _Attempt | None:
        """What is remembered of that peer. Those that `join` does not name count only while nobody is there."""
        attempt = self._attempts.get(peer)
        if attempt is not None or self._count():
            return attempt
        others = [other for other in self._attempts if other not in self._configured]
        if len(others) >= TRIED_OTHERS:
            del self._attempts[others[0]]
        attempt = self._attempts[peer] = _Attempt(address)
        return attempt


def _in_words(peer: PeerId, at: str, why: Trouble) -> tuple[str, str]:
    """What came back of dialling HOST:PORT, and what would help."""
    key, host = f"{peer[:_SHOWN]}...", at.rpartition(":")[0]
    match why:
        case Trouble.REFUSED:
            return (
                "nobody listens there (connection refused)",
                "overlayd running on that host, and `join` with the port of its `listen`",
            )
        case Trouble.NO_ROUTE if host.startswith("["):
            return (
                "the network does not lead there by IPv6, or a firewall says no (no route to host)",
                "a route by IPv6, or in `join` the name of that host, or its address by IPv4",
            )
        case Trouble.NO_ROUTE:
            return (
                "the network does not lead there, or a firewall says no (no route to host)",
                "a route to that host, and its port opened in the firewalls between",
            )
        case Trouble.NO_ANSWER:
            return (
                "no answer at all",
                "that host up, and its port opened in the firewalls between: one drops, it seems",
            )
        case Trouble.OTHER_KEY:
            return (
                f"somebody answers there, but with another key than {key}",
                "KEY in `join` as `overlayctl host enrol` printed it for that host, or its right address",
            )
        case Trouble.NO_OVERLAYD:
            return (
                "somebody answers there, but it is no overlayd",
                "`join` with the address and the port of that host's `listen`",
            )
        case Trouble.SILENT:
            return (
                "somebody takes the connection there and says nothing",
                "a look at that host: overlayd hangs, or it is no overlayd",
            )
        case Trouble.DENIED:
            return (
                "this host refuses that one for now, for its faults",
                "a look at `overlayctl events` here; a quarantine ends by itself",
            )
        case Trouble.TURNED_AWAY:
            return (
                "it refuses this host for now: for its faults, or because it is full",
                "a look at `overlayctl peers` and the log there; a quarantine ends by itself",
            )
        case Trouble.CLOSED:
            return (
                "it closes the connection before it says anything",
                "a look at the log of that host",
            )
        case Trouble.OWN_KEY:
            return (
                "that is this host's own key",
                "KEY in `join` of another host; a machine that was cloned needs a key of its own "
                "(`overlayctl host enrol`)",
            )
        case Trouble.NO_KEY:
            return (f"{key} is no key", "KEY in `join` as `overlayctl host enrol` printed it")
        case Trouble.NO_ADDRESS:
            return (
                "that is no address",
                "one as in 192.0.2.7:7700, [2001:db8::7]:7700 or uc-1.example.org:7700",
            )
        case Trouble.NO_NAME:
            return (
                f"there is no name {host}",
                f"{host} in DNS or in /etc/hosts of this host, or the address in its place",
            )
        case Trouble.NO_DNS:
            return (
                f"nobody answered what {host} stands for",
                "a name server in /etc/resolv.conf that answers, the name in /etc/hosts, or the address",
            )
        case Trouble.NAME_ASTRAY:
            return (
                f"{host} stands for no address that this host dials on another's word",
                "an address of that host that others reach, in DNS or in its `advertise`",
            )
        case Trouble.THIS_HOST:
            return (
                "this host has no descriptor or no memory left for a connection",
                "a higher LimitNOFILE, or less that runs beside overlayd",
            )
        case _:
            assert_never(why)
