"""This host on networks of grids that it carries nothing of, because somebody here asks for it: `attach`.

It asks the hosts that have members on the network (contract/attaching.py). They are known from notices first,
and from then on from the newest certificate that one of them showed. It is on the network while more than half
of them have given it one address. Nothing of it is on disk: what begins anew is attached to nothing.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from protocol.contract.attaching import (
    ATTACH_AGAIN_S,
    ATTACH_EVERY_S,
    ATTACH_LIFE_S,
    AttachAsk,
    AttachEnd,
    AttachTold,
    network_of,
)
from protocol.contract.authority import Authority
from protocol.contract.permitting import permit
from protocol.grid.attached import barred, candidates, carried, members_on, network_named
from protocol.grid.carrier import Carrier, carries
from protocol.grid.record import GridRecord, is_about
from protocol.grid.tunnel import Telling, TunnelEnd, mtus
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.terms.effects import Attach, AttachedCard, Deadline, Effect, Send, soonest
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import MTU_LEAST
from protocol.trust.order import CheckedOrder, SignedOrder
from protocol.trust.signing import Reason, Untrusted

VISITS_MOST = 16
"""Networks that one host is attached to at once. Each costs its hosts a question every few seconds."""
_HOSTS_TOLD = 16
"""Of what hosts refuse, so many are told."""

Key = tuple[GridId, str]


class VisitRow(msgspec.Struct, frozen=True):
    """How one attachment stands, for people."""

    grid: GridId
    network: str
    address: str
    """Empty while none is given."""
    cidr: str
    given: int
    """By so many hosts of `hosts`."""
    hosts: int
    problem: str
    """What stops it, if it was refused."""
    over: bool
    """Whether nothing will come of it as it is."""


class _Visit:
    """One network that this host is to be on."""

    def __init__(self, order: SignedOrder, key: Key, hosts: tuple[PeerId, ...], now: float) -> None:
        self.order, self.key, self.hosts = order, key, hosts
        self.record: GridRecord | None = None
        self.members: dict[str, PeerId] = {}
        self.cidr = self.address = self.fault = ""
        self.tried: dict[str, None] = {}
        self.given: dict[PeerId, float] = {}
        """Which hosts have given the address, and until when."""
        self.taken: dict[PeerId, None] = {}
        """Which say that somebody else has it. If one of many does it may lie, or be behind."""
        self.refused: dict[PeerId, str] = {}
        self.heard: dict[PeerId, float] = dict.fromkeys(hosts, now)
        """When each host said anything last, or began to be asked."""
        self.silent = 0
        """How many say nothing for long."""
        self.checked: CheckedOrder | None = None
        """The order as it was believed; None if it was not, and then nobody is asked or heard."""
        self.again_s = now

    @property
    def stands(self) -> bool:
        """Whether so many gave the address that nobody else can have it."""
        return bool(self.address) and not self.fault and 2 * len(self.given) > len(self.hosts)


class Visits:
    """Every network that this host is attached to, or asks for."""

    def __init__(
        self,
        me: PeerId,
        authority: Authority,
        own: Callable[[], TunnelEnd | None],
        telling: Telling,
    ) -> None:
        """`own` answers this host's end of tunnels, `telling` another's."""
        self._me, self._authority, self._own, self._telling = me, authority, own, telling
        self._visits: dict[Key, _Visit] = {}
        self._told: tuple[AttachedCard, ...] = ()
        self.partners: Mapping[PeerId, str] = {}
        """Hosts that this one exchanges sealed traffic with for that, and their sites. Another dict once they
        are others."""

    # -- what people here ask

    def asked(self, event: AttachGiven | AttachDropped, now: float) -> list[Effect]:
        """Somebody here has an order to attach this host, or a newer one, or wants that no more."""
        if isinstance(event, AttachDropped):
            visit = self._visits.pop((event.grid, event.network), None)
            ends = [Send(peer, AttachEnd(*visit.key)) for peer in visit.hosts] if visit else []
            return [*self._table(), *ends]
        key, fault, checked = (event.grid, event.network), "", None
        try:
            checked = self._authority.order(event.order, now, fresh=True)
            about = is_about(event.grid, checked.order.grid)
            if not about or network_of(checked) != event.network:
                fault = "its order is about another network"
        except Untrusted as error:
            fault = error.detail
        visit = self._visits.get(key)
        if visit is not None:
            visit.order = visit.order if fault else event.order
            return []
        if len(self._visits) >= VISITS_MOST:
            fault = fault or f"this host is attached to {VISITS_MOST} networks already"
        visit = self._visits[key] = _Visit(event.order, key, event.hosts, now)
        visit.fault, visit.checked = fault, None if fault else checked
        return [] if fault else self._ask(visit, now)

    # -- what hosts say

    def handle(self, sender: PeerId, told: AttachTold, now: float) -> list[Effect]:
        """A host answers. Raises Untrusted for a certificate that is none."""
        visit = self._of(sender, told)
        if visit is None:
            return []
        before, visit.heard[sender] = visit.address, now
        if told.shown is not None:
            record = self._authority.decision(told.shown).register.record
            if record is None or record.id != visit.key[0]:
                raise Untrusted(
                    Reason.MALFORMED, "a certificate of another grid than was asked for"
                )
            if visit.record is None or record.epoch > visit.record.epoch:
                self._learn(visit, record, now)
        if told.problem:
            visit.given.pop(sender, None)
            visit.refused[sender] = told.problem
            if told.taken and told.address == visit.address:
                visit.taken[sender] = None
            if 2 * len(visit.taken) >= len(visit.hosts):
                self._move(visit)
        elif told.address and told.address == visit.address and sender in visit.hosts:
            visit.refused.pop(sender, None)
            visit.taken.pop(sender, None)
            visit.given[sender] = now + ATTACH_LIFE_S
        effects = self._ask(visit, now) if visit.address != before else []
        return [*self._table(), *effects]

    # -- time

    def tick(self, now: float) -> list[Effect]:
        """Asks again, and ends what hosts do not say any more."""
        effects: list[Effect] = []
        for visit in self._visits.values():
            for peer in [peer for peer, until_s in visit.given.items() if until_s <= now]:
                del visit.given[peer]
            heard = (visit.heard.get(peer, now) for peer in visit.hosts)
            visit.silent = sum(heard_s + ATTACH_LIFE_S <= now for heard_s in heard)
            if visit.again_s <= now and not visit.fault:
                effects += self._ask(visit, now)
        return [*self._table(), *effects]

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        times = [visit.again_s for visit in self._visits.values() if not visit.fault]
        times += [until_s for visit in self._visits.values() for until_s in visit.given.values()]
        return soonest(times, "attach")

    # -- what is known

    def rows(self) -> Iterator[VisitRow]:
        """How each stands."""
        for (grid, network), visit in self._visits.items():
            told = list(dict.fromkeys(visit.refused.values()))[:_HOSTS_TOLD]
            if visit.silent:
                told.append(f"{visit.silent} of {len(visit.hosts)} hosts do not answer")
            problem = visit.fault or "; ".join(told)
            address = visit.address if visit.stands else ""
            refused_all = all(p in visit.refused and p not in visit.taken for p in visit.hosts)
            over = bool(visit.fault) or (refused_all and bool(visit.hosts))
            counts = len(visit.given), len(visit.hosts)
            yield VisitRow(grid, network, address, visit.cidr, *counts, problem, over)

    # -- parts

    def _of(self, sender: PeerId, told: AttachTold) -> _Visit | None:
        """Which one a host speaks of: it may know the grid no more, and then not by its network."""
        for (grid, network), visit in self._visits.items():
            about = grid == told.grid and told.network in ("", network)
            if about and sender in visit.hosts and visit.checked is not None:
                return visit
        return None

    def _learn(self, visit: _Visit, record: GridRecord, now: float) -> None:
        """A newer record than the one that was known: who is on the network, and which addresses are left."""
        _, network = visit.key
        spec, cards = self._authority.ordered(record).spec, self._authority.cards(record)
        visit.record, visit.fault = record, barred(network, record, spec, cards)
        try:
            assert visit.checked is not None
            permit(visit.checked, record)
        except Untrusted as error:
            visit.fault = error.detail
        found = network_named(network, spec)
        if visit.fault or found is None:
            visit.given.clear()  # it may not even name them any more
            return
        visit.cidr, visit.members = found.cidr, members_on(network, record, cards)
        visit.hosts = tuple(dict.fromkeys(visit.members.values()))
        visit.heard = {peer: visit.heard.get(peer, now) for peer in visit.hosts}
        visit.given = {peer: s for peer, s in visit.given.items() if peer in visit.hosts}
        visit.refused = {peer: why for peer, why in visit.refused.items() if peer in visit.hosts}
        if not visit.hosts:
            visit.fault = f"no host carries a member of {record.name}/{network} now"
        if self._me in visit.hosts:
            visit.fault = carried(record.name, network)
        if not visit.address or visit.address in visit.members:
            self._move(visit)

    def _move(self, visit: _Visit) -> None:
        """Another address than before: that one is somebody else's."""
        visit.given.clear()
        visit.taken.clear()
        if visit.address:
            visit.tried[visit.address] = None
        taken = visit.tried | dict.fromkeys(visit.members)
        visit.address = next(candidates(visit.cidr, self._me, taken), "")
        if not visit.address:
            visit.fault = f"no address of {visit.cidr} is free for a host"

    def _ask(self, visit: _Visit, now: float) -> list[Effect]:
        visit.again_s = now + (ATTACH_EVERY_S if visit.stands else ATTACH_AGAIN_S)
        epoch = visit.record.epoch if visit.record is not None else 0
        ask = AttachAsk(visit.order, visit.address, epoch)
        return [Send(peer, ask) for peer in visit.hosts]

    def _table(self) -> list[Effect]:
        """What the shell is to have, if it is other than what it was told; and who is a partner."""
        partners = {
            peer: visit.record.host(peer).site
            for visit in self._visits.values()
            if visit.record is not None
            for peer in visit.given
        }
        if partners != self.partners:
            self.partners = partners
        cards = tuple(self._card(visit) for visit in self._visits.values() if visit.stands)
        if cards == self._told:
            return []
        self._told = cards
        return [Attach(cards)]

    def _card(self, visit: _Visit) -> AttachedCard:
        assert visit.record is not None
        (grid, network), record = visit.key, visit.record
        return AttachedCard(
            grid,
            network,
            dict(record.vnis)[network],
            visit.address,
            visit.cidr,
            self._mtu(record, network),
            tuple(visit.members.items()),
        )

    def _mtu(self, record: GridRecord, network: str) -> int:
        """What all of the network's hosts carry, and this one."""
        told = {peer: end.end.mtu for peer in record.carriers() if (end := self._telling(peer))}
        spec = self._authority.ordered(record).spec
        theirs = dict(mtus(record, spec.networks, self._authority.cards(record), told))[network]
        own = self._own()
        return min(theirs, carries(Carrier.SEALED, own.mtu, MTU_LEAST)) if own else theirs
