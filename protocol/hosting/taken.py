"""What grids here have taken: names, network ids, and whom they are kept apart from."""

from collections.abc import Mapping

import msgspec

from protocol.terms.ids import GridId


class Cotenant(msgspec.Struct, frozen=True):
    """A grid that this host holds or carries part of, and the grids it is to be kept apart from."""

    owner_site: str
    name: str
    apart: tuple[str, ...]


class PortUser(msgspec.Struct, frozen=True):
    """Whose a port of this host is."""

    grid: GridId
    """The grid that has it, or is to have it."""
    workspace: str
    owner_site: str
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

    def apart_from(self, site: str, name: str, apart: tuple[str, ...]) -> tuple[str, ...]:
        """Names of grids here that must not share a host with `site`'s grid `name`: it says so, or they do."""
        return tuple(
            dict.fromkeys(
                there.name
                for there in self.near
                if there.owner_site == site
                and there.name != name
                and (there.name in apart or name in there.apart)
            )
        )

    def ports_of_others(self, site: str, name: str) -> tuple[int, ...]:
        """Ports here that are not of `site`'s grid `name`."""
        return tuple(
            n for n, user in self.ports.items() if (user.owner_site, user.name) != (site, name)
        )
