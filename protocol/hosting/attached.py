"""Hosts that are on networks of carried grids for as long as somebody there wants it: given, kept, ended.

What is given is in the lease, on disk before it is said. How long it still lasts is not: a daemon that was
started again counts anew, so an asker that goes on asking loses nothing. A record wins: once a workspace has
the address, who is attached there is told to take another.
"""

from collections.abc import Callable

import msgspec

from protocol.contract.attaching import (
    ATTACH_LIFE_S,
    ATTACHED_MOST,
    AttachAsk,
    AttachEnd,
    AttachTold,
    ToCarrier,
    network_of,
)
from protocol.contract.audited import audited, before_said
from protocol.contract.authority import Authority
from protocol.contract.permitting import permit
from protocol.grid.attached import Attached, barred, carried, is_free, members_on
from protocol.grid.record import is_about
from protocol.grid.tunnel import newest
from protocol.hosting.lease import Lease, LeaseStage
from protocol.hosting.leases import Leases
from protocol.hosting.surroundings import HostSurroundings
from protocol.terms.effects import Deadline, Effect, Note, Realise, Send, soonest
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import CheckedOrder, order_id, read_order
from protocol.trust.signing import Untrusted

_Key = tuple[GridId, str, PeerId]


class _Refused(Exception):
    """Why an asker is not attached, for people."""

    def __init__(self, why: str, taken: bool = False) -> None:
        super().__init__(why)
        self.taken = taken


class AttachedHosts:
    """Who is attached to networks with members on this host."""

    def __init__(
        self,
        me: PeerId,
        leases: Leases,
        authority: Authority,
        around: HostSurroundings,
        now: float,
        operates: Callable[[CheckedOrder], str] = lambda _: "",
    ) -> None:
        """`operates` answers why this host does not let in whose order it is (admitting.py)."""
        self._operates = operates
        self._me, self._leases = me, leases
        self._authority, self._around = authority, around
        self._until: dict[_Key, float] = {
            (row.record.id, each.network, each.peer): now + ATTACH_LIFE_S
            for row in leases.rows()
            for each in row.attached
        }
        self._orders: dict[_Key, str] = {}
        """By which order each was attached last: one that is shown again need not be fresh any more."""

    def handle(self, sender: PeerId, message: ToCarrier, now: float) -> list[Effect]:
        """A host asks to be attached, or leaves. Raises Untrusted for an order that cannot be read."""
        if isinstance(message, AttachEnd):
            row = self._leases.row(message.grid)
            return self._end(row, message.network, sender, "it left") if row is not None else []
        order = read_order(message.order)
        row = next((r for r in self._leases.rows() if is_about(r.record.id, order.grid)), None)
        if row is None:
            why = "this host does not carry that grid (any more)"
            told = AttachTold(GridId(order.grid), "", message.address, why)
            return [Send(sender, told)]
        effects = self._asked(sender, message, row, now)
        said = (e.message for e in effects if isinstance(e, Send))
        why = next((told.problem for told in said if isinstance(told, AttachTold)), "")
        via = sender, self._around.site(sender)
        line = audited(self._authority, "attach", message.order, via, now, why)
        return before_said(effects, line)

    def tick(self, now: float) -> list[Effect]:
        """Ends what nobody asks for any more."""
        effects: list[Effect] = []
        for (grid, network, peer), until_s in list(self._until.items()):
            if until_s <= now:
                row = self._leases.row(grid)
                said = f"nothing was heard of it for {ATTACH_LIFE_S:.0f} s"
                effects += self._end(row, network, peer, said) if row is not None else []
                self._forget((grid, network, peer))
        return effects

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return soonest(self._until.values(), "attached")

    # -- parts

    def _asked(self, sender: PeerId, ask: AttachAsk, row: Lease, now: float) -> list[Effect]:
        record, network = row.record, ""
        try:
            network = self._network(sender, ask, row, now)
            effects = self._given(sender, ask, row, network, now) if ask.address else []
        except Untrusted as error:
            return [Send(sender, AttachTold(record.id, network, ask.address, error.detail))]
        except _Refused as error:
            ended = self._end(row, network, sender, str(error)) if error.taken else []
            told = AttachTold(record.id, network, ask.address, str(error), error.taken)
            return [*ended, Send(sender, told)]
        shown = row.certificate if ask.epoch < record.epoch else None
        return [
            *effects,
            Send(sender, AttachTold(record.id, network, ask.address, "", shown=shown)),
        ]

    def _network(self, sender: PeerId, ask: AttachAsk, row: Lease, now: float) -> str:
        """The network that the order is about, if it lets the sender in. Raises Untrusted, _Refused."""
        record, shown = row.record, (row.record.id, sender, order_id(ask.order))
        known = any((grid, peer, o) == shown for (grid, _, peer), o in self._orders.items())
        checked = self._authority.order(ask.order, now, fresh=not known)
        permit(checked, record)
        if why := self._operates(checked):
            raise _Refused(why)
        network = network_of(checked)
        if checked.order.via != sender:
            raise _Refused("this order is for another host")
        cards = self._leases.cards(row)
        if why := barred(network, record, self._leases.ordered(row).spec, cards):
            raise _Refused(why)
        if self._leases.stage(row) is not LeaseStage.CURRENT:
            raise _Refused(f"the lease of {record.name} has not begun, or is over")
        members = members_on(network, record, cards).values()
        if sender in members:
            raise _Refused(carried(record.name, network))
        if self._me not in members:
            raise _Refused(f"this host carries no member of {record.name}/{network} (any more)")
        return network

    def _given(
        self, sender: PeerId, ask: AttachAsk, row: Lease, network: str, now: float
    ) -> list[Effect]:
        """Gives the address. Raises _Refused."""
        record, spec = row.record, self._leases.ordered(row).spec
        key = (record.id, network, sender)
        others = [a for a in row.attached if (a.network, a.peer) != (network, sender)]
        taken = dict.fromkeys(members_on(network, record, self._leases.cards(row)))
        taken |= {a.address: sender for a in others if a.network == network}
        cidr = next(n.cidr for n in spec.networks if n.name == network)
        if not is_free(ask.address, cidr, taken):
            raise _Refused(f"{ask.address} is not free on {network}", taken=True)
        if len(others) >= ATTACHED_MOST:
            said = f"{ATTACHED_MOST} hosts are attached to networks of {record.name} already"
            raise _Refused(said)
        self._until[key], self._orders[key] = now + ATTACH_LIFE_S, order_id(ask.order)
        fresh = Attached(network, sender, ask.address, self._around.site(sender))
        if fresh in row.attached:
            return []
        return self._changed(
            row,
            (*others, fresh),
            f"{self._around.name(sender)} is on {network} at {ask.address}",
        )

    def _end(self, row: Lease, network: str, peer: PeerId, why: str) -> list[Effect]:
        self._forget((row.record.id, network, peer))
        left = tuple(a for a in row.attached if (a.network, a.peer) != (network, peer))
        if len(left) == len(row.attached):
            return []
        name = self._around.name(peer)
        return self._changed(row, left, f"{name} is on {network} no more: {why}")

    def _changed(self, row: Lease, attached: tuple[Attached, ...], said: str) -> list[Effect]:
        grid, record = row.record.id, row.record
        also = tuple(each.peer for each in attached)
        ends = newest(record, row.ends, self._around.tunnel, self._me, also)
        changed = msgspec.structs.replace(row, attached=attached, ends=ends)
        note = Note("network.attached", record.name, said, grid)
        return [self._leases.put(changed), note, Realise(grid, grid)]

    def _forget(self, key: _Key) -> None:
        self._until.pop(key, None)
        self._orders.pop(key, None)
