"""Ports of this host for guests: which of them a workspace gets, and why it gets none.

Rules. A port number has one owner, a workspace, for TCP and UDP together, from its hold until it is gone from
here. What the order names is given or refused. Else the host chooses: what the workspace has it keeps, whatever
the configuration says by now; a new one follows from grid and name, so that one that came free is not at once
somebody else's, whom old clients would then reach. A port that the host uses itself is given to nobody.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import msgspec

from protocol.capacity.advert import GivenPorts
from protocol.contract.authority import Authority
from protocol.grid.check_expose import fixed_ports
from protocol.grid.exposed import ExposedPort, ports_of_workspaces
from protocol.grid.lifecycle import Power
from protocol.grid.model import GridSpec, Transport, Workspace
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.lease import Lease
from protocol.hosting.taken import PortUser, Taken
from protocol.placement.fit import Offer
from protocol.policy.site_policy import PortSpan
from protocol.terms.effects import Note
from protocol.terms.ids import GridId, short_hash
from protocol.terms.refusal import Constraint, Refusal


def why_shut(ports: GivenPorts, number: int, taken: Collection[int]) -> str:
    """Why that port is not given, and which is free near it; empty if it is. `taken` has those of others."""
    used = dict(ports.used)
    if said := ports.why_not(number):
        if not ports.first:
            return said
    elif number in used:
        said = f"port {number} is its own: {used[number]}"
    elif number in taken:
        said = f"port {number} has another workspace there"
    else:
        return ""
    start = min(max(number, ports.first), ports.last)
    steps = range(ports.last - ports.first + 1)
    near = (n for step in steps for n in (start - step, start + step) if n in ports)
    nearest = next((n for n in near if n not in used and n not in taken), 0)
    return f"{said}; `as: {nearest}` is free there" if nearest else f"{said}; none is free"


def all_shut(
    ports: GivenPorts, numbers: Iterable[int], taken: Collection[int]
) -> tuple[tuple[int, str], ...]:
    """Those of the numbers that are not given, each with the reason."""
    said = ((number, why_shut(ports, number, taken)) for number in dict.fromkeys(numbers))
    return tuple((number, why) for number, why in said if why)


class PortsFor:
    """Chooses for the workspaces of one grid, one after another."""

    def __init__(
        self,
        ports: GivenPorts,
        taken: Mapping[int, PortUser],
        mine: Collection[str],
        had: Iterable[ExposedPort] = (),
        fixed: Collection[int] = (),
        spans: Collection[PortSpan] = (),
    ) -> None:
        """`mine` are ids under which the grid has ports here already, `had` those that it keeps, `fixed` those
        that it names: none of these is chosen. Without `spans` any other is, else only one in them."""
        self._fixed, self._spans = fixed, spans
        self._ports, self._taken, self._mine = ports, taken, mine
        self._had = tuple(had)
        self.chosen: list[ExposedPort] = []

    def refused(self, workspace: Workspace, host: str) -> list[Refusal]:
        """Chooses for a workspace, all or nothing. Answers why it gets none; nothing if it has all."""
        if not workspace.expose:
            return []
        others, had = self._others(workspace.name), self._kept(workspace.name)
        numbers: dict[tuple[int, Transport], int] = {}
        for each in workspace.expose:
            if each.outside:
                numbers[each.port, each.transport] = each.outside
                mine = each.outside in had.values() and each.outside not in others
                if why := "" if mine else why_shut(self._ports, each.outside, others):
                    return [Refusal(Constraint.PORT, host, detail=why)]
        free = self._free(
            {*others, *numbers.values(), *self._fixed}, f"{self._seed()}/{workspace.name}"
        )
        chosen: dict[int, int] = {}
        for each in workspace.expose:
            if each.outside:
                continue
            before = had.get((each.port, each.transport), 0)
            if before and before not in others and before not in numbers.values():
                chosen.setdefault(each.port, before)
            elif each.port not in chosen:
                number = next((n for n in free if n not in had.values()), 0)
                if not number:
                    return [Refusal(Constraint.PORT, host, detail=self._none())]
                chosen[each.port] = number
            numbers[each.port, each.transport] = chosen[each.port]
        self.chosen += [
            ExposedPort(workspace.name, port, transport, number)
            for (port, transport), number in numbers.items()
        ]
        return []

    def _others(self, workspace: str) -> dict[int, None]:
        """The ports that any other workspace has."""
        others = {
            number: None
            for number, user in self._taken.items()
            if user.workspace != workspace or user.grid not in self._mine
        }
        return others | {e.outside: None for e in self.chosen if e.workspace != workspace}

    def _kept(self, workspace: str) -> dict[tuple[int, Transport], int]:
        mine = ports_of_workspaces(self._had, (workspace,))
        return {(e.port, e.transport): e.outside for e in mine}

    def _seed(self) -> str:
        return next(iter(self._mine), "")

    def _free(self, not_those: Collection[int], seed: str) -> Iterator[int]:
        """What may be chosen, beginning anywhere."""
        ports = self._ports
        if not ports.first:
            return
        used, count = dict(ports.used), ports.last - ports.first + 1
        start = int(short_hash(seed, digits=8), 16) % count
        for step in range(count):
            number = ports.first + (start + step) % count
            within = not self._spans or any(number in span for span in self._spans)
            if within and number not in used and number not in not_those:
                yield number

    def _none(self) -> str:
        ports = self._ports
        if not ports.first:
            return ports.why_not(0)
        spans = ", ".join(map(str, self._spans))
        lent = f" and of those that its site lends to this owner, {spans}," if spans else ""
        return f"none of the ports that it gives, {ports.first}-{ports.last},{lent} is free"


def ports_for(
    offer: Offer, taken: Taken, spec: GridSpec, grid: GridId, *rows: HoldRow | Lease | None
) -> PortsFor:
    """The choice for what is to be held of a grid, for which these rows have ports already."""
    there = [row for row in rows if row is not None]
    ids = [row.record.id if isinstance(row, Lease) else row.of or row.grid for row in there]
    had = [port for row in there for port in row.exposes]
    mine, fixed = dict.fromkeys((grid, *ids)), fixed_ports(spec)
    return PortsFor(offer.facts.ports, taken.ports, mine, had, fixed, offer.spans)


Choosing = Callable[[GridId, tuple[ExposedPort, ...]], PortsFor]
"""Makes the choice for a grid that is carried here, which has those ports."""


def no_ports(grid: GridId, had: tuple[ExposedPort, ...]) -> PortsFor:
    """The Choosing of a host that gives none."""
    return PortsFor(GivenPorts(), {}, (grid,), had)


def settled(
    row: Lease,
    authority: Authority,
    held: Collection[str],
    ports: tuple[ExposedPort, ...],
    choosing: Choosing,
) -> tuple[Lease, list[Note]]:
    """A lease with the ports that its workspaces are to have now, and what to say of those that get none.

    `ports` are those held for the workspaces `held`; others keep theirs. What nobody held ports for, as what a
    memory promised that this host has lost, gets them if there are any.
    """
    members = authority.remembered(row.record.standing).members
    if not row.exposes and not any(
        members[w.workspace].expose for w in row.wanted if w.workspace in members
    ):
        return row, []
    had = (*ports_of_workspaces(ports, held), *(e for e in row.exposes if e.workspace not in held))
    choice, left, notes = choosing(row.record.id, had), list[ExposedPort](), list[Note]()
    for wanted in row.wanted:
        name = wanted.workspace
        if wanted.power is Power.GONE or name not in members:
            # Its guest may be there still.
            left += ports_of_workspaces(row.exposes, (name,))
        elif lacks := choice.refused(members[name], ""):
            why = f"{name} is not reached from outside: {lacks[0].detail}"
            notes.append(Note("grid.lacks", row.record.name, why, row.record.id))
    exposes = (*left, *choice.chosen)
    return msgspec.structs.replace(row, exposes=exposes), notes
