"""Which user each guest's QEMU runs as, and which a container has: numbers that nobody else here has.

A guest that has broken out of QEMU may do what that user may. So no two workspaces of a host share one, and
none is the user of anything else.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

import msgspec

from overlayd.ports.compute import ComputeError

_UNUSED_FROM, _UNUSED_TO = 0x7000_0000, 0x7FFC_0000
"""Numbers that nobody else uses ("Users, Groups, UIDs and GIDs on systemd Systems"). Those behind them are of
networks' DHCP servers (netns/services/dnsmasq.py)."""

_BLOCK = 0x4000
"""So many of them are one daemon's, which is far more than a host has guests."""

CONTAINER_IDS = 0x1_0000
"""A container's ids are as many as any distribution uses."""

_CONTAINERS_FROM, _CONTAINERS_TO = 0x2400_0000, 0x7000_0000
"""Numbers for containers, by the same convention, without those that useradd gives to people (/etc/subuid)."""

_NOBODY = 0xFFFE


class User(msgspec.Struct, frozen=True):
    """A process's user and its only group."""

    uid: int
    gid: int

    @property
    def label(self) -> str:
        """How libvirt writes it."""
        return f"+{self.uid}:+{self.gid}"


ROOT = User(0, 0)


class UserRange(msgspec.Struct, frozen=True):
    """User ids that belong to the guests of one daemon. The first is of those that are only tried."""

    first: int
    count: int

    @property
    def last(self) -> int:
        """The greatest of them."""
        return self.first + self.count - 1

    def meets(self, other: "UserRange") -> bool:
        """Whether any id is in both."""
        return self.first <= other.last and other.first <= self.last

    def outside(self, inside: int) -> int:
        """The host's id of a container's whose range this is. Of one that it cannot have, it is nobody's."""
        return self.first + (inside if 0 <= inside < self.count else _NOBODY)


def built_in_range(owner: str) -> UserRange:
    """The range of the daemon that has this owner tag. Those of two daemons of a host hardly ever meet."""
    blocks = (_UNUSED_TO - _UNUSED_FROM) // _BLOCK
    return UserRange(_UNUSED_FROM + _digits(owner) % blocks * _BLOCK, _BLOCK)


def built_in_containers() -> UserRange:
    """Ids for containers. Daemons of a host share them: what another one has is seen (`plans.py`)."""
    return UserRange(_CONTAINERS_FROM, _CONTAINERS_TO - _CONTAINERS_FROM)


def slots_of(range_: UserRange, machine: str) -> Iterator[UserRange]:
    """The ranges that a container could have, each once. The first of all is of those that are only tried."""
    count = range_.count // CONTAINER_IDS - 1
    begins = _digits(machine)
    for step in range(count):
        slot = 1 + (begins + step) % count
        yield UserRange(range_.first + slot * CONTAINER_IDS, CONTAINER_IDS)


class GuestUsers:
    """Who has which user id. It remembers nothing itself: whoever asks says which are taken."""

    def __init__(self, range_: UserRange) -> None:
        self.range = range_

    def of(self, machine: str, taken: Mapping[str, int]) -> int:
        """The machine's user id: what it has, or a free one. Raises ComputeError if none is left.

        The search begins where the machine's name leads, so that a number that gets free is not taken next.
        """
        if machine in taken:
            return taken[machine]
        others = frozenset(taken.values())
        count = self.range.count - 1
        begins = _digits(machine)
        for step in range(count):
            uid = self.range.first + 1 + (begins + step) % count
            if uid not in others:
                return uid
        raise ComputeError(
            f"{machine} has no user to run as: the {max(count, 0)} user ids from {self.range.first + 1} to "
            f"{self.range.last} are all taken; give this host more of them"
        )


def _digits(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8])
