"""What grids here have taken: names, network ids, and whom they are kept apart from."""

from collections.abc import Mapping

import msgspec

from protocol.terms.ids import GridId, KeyId


class Cotenant(msgspec.Struct, frozen=True):
    """A grid that this host holds or carries part of, and the grids it is to be kept apart from."""

    owner: KeyId
    label: str
    """What its owner is called. A VO chooses that, so two may be called alike."""
    name: str
    apart: tuple[str, ...]


class PortUser(msgspec.Struct, frozen=True):
    """Whose a port of this host is."""

    grid: GridId
    """The grid that has it, or is to have it."""
    workspace: str
    owner: KeyId
    label: str
    name: str
    """The grid's."""


class Taken(msgspec.Struct, frozen=True):
    """Grid names and network ids in use on this host."""

    names: dict[str, tuple[GridId, bool]]
    """For each register key, the grid that uses it, and whether that grid is up."""
    vnis: dict[int, GridId]
    near: tuple[Cotenant, ...] = ()
    """Every grid here."""
    ports: Mapping[int, PortUser] = {}
    """Ports of this host that lead to guests, or are to."""

    def apart_from(
        self, owner: KeyId, label: str, name: str, apart: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Names of grids here that must not share a host with that owner's grid `name`: either says so."""
        return tuple(
            dict.fromkeys(
                there.name
                for there in self.near
                if _is_of(there, owner, label)
                and there.name != name
                and (there.name in apart or name in there.apart)
            )
        )

    def ports_of_others(self, owner: KeyId, label: str, name: str) -> tuple[int, ...]:
        """Ports here that are not of the owner's grid `name`."""
        return tuple(
            number
            for number, user in self.ports.items()
            if user.name != name or not _is_of(user, owner, label)
        )


def _is_of(there: Cotenant | PortUser, owner: KeyId, label: str) -> bool:
    """Whether an owner has it. By the label alone if the key is not known, as for a plan."""
    return there.owner == owner if owner else there.label == label
