"""Lies about grids: decisions nobody took, ballots and promises of strangers, grants, orders and notices.

Whatever a liar can sign, it signs: with its host's key, and with the key of a site of its own, which is as
good as any other site's. What it cannot sign it makes up, or takes from what others said.
"""

from collections.abc import Iterator
from random import Random

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import (
    Act,
    Decided,
    DecidedAck,
    HoldAsk,
    HoldRelease,
    HoldReply,
    LeaseAsk,
    NameAsk,
    NameReply,
    Quote,
    QuoteAsk,
    RoomClaim,
    RoomKept,
)
from protocol.grid.decision import Ballot, Certificate, promise, sign_acceptance
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.record import (
    Applied,
    ApplyTerms,
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    LeaseChange,
    Register,
    grid_id,
    read_register,
    register_key,
)
from protocol.grid.steps import (
    Apply,
    Commit,
    Decline,
    End,
    Extend,
    Finish,
    Lapse,
    Remove,
    Step,
    Vote,
)
from protocol.node.messages import Message
from protocol.register.messages import (
    Accept,
    Accepted,
    Conflict,
    LookAsk,
    Looked,
    Prepare,
    Promise,
    StepAsk,
    StepDone,
    StepFailed,
)
from protocol.sim.overheard import Overheard
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import GridId, PeerId, RequestId, StoreId
from protocol.terms.limits import ATTEMPT_MOST, HOLD_S, ROUND_LEAP, ROUND_MOST
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.trust.signing import Signer, Untrusted
from protocol.wire.codec import Malformed, encode

_ENDLESS = Quantum(1 << 62, 1 << 62, 1 << 62)
_ROUNDS = (0, 1, 2, 9, ROUND_LEAP - 1, ROUND_LEAP + 9, ROUND_MOST)
_CHANGES = (Action.DOWN, Action.LEASE, Action.TERMINATE, Action.PAUSE, Action.SUSPEND)


class FalseStatements:
    """What one liar says of other people's grids."""

    def __init__(
        self, signer: Signer, site: str, admin: Admin, overheard: Overheard, dice: Random
    ) -> None:
        """`admin` signs for a site that is the liar's own."""
        self._signer, self._site, self._admin = signer, site, admin
        self._overheard, self._dice = overheard, dice
        self._me = PeerId(signer.key)
        self._now_s = 0.0

    def at(self, now_s: float) -> "FalseStatements":
        """The same, at that time, Unix seconds."""
        self._now_s = now_s
        return self

    def decree(self) -> list[Message]:
        """A decision that its stewards did not take, shown to hosts, requesters and stewards."""
        certificate = self._certificate()
        if certificate is None:
            return []
        lie = self._decided_otherwise(certificate)
        said: list[Message] = [Decided(lie)]
        asked = self._overheard.one(StepAsk, self._dice)
        if asked is not None:
            said.append(StepDone(asked.ask, lie))
            said.append(msgspec.structs.replace(asked, evidence=lie))
        return said

    def contest(self) -> list[Message]:
        """Ballots and answers of one that is no steward, of any round, for registers that there are."""
        order = self._order()
        if order is None:
            return []
        key, dice = register_key(order), self._dice
        certificate = self._certificate()
        stewards = [self._me]
        if certificate is not None:
            stewards += [steward for steward, _ in certificate.votes]
        ballot = Ballot(dice.choice(_ROUNDS), dice.choice(stewards))
        value = certificate.value if certificate is not None else b"\xc1"
        value = dice.choice((value, b"\xc1", b"", encode(Register(None, 9, (), order))))
        said = promise(key, ballot, None, b"", store=read_order(order).store_of(self._me))
        vote = self._vote(key, ballot, value)
        return [
            Prepare(register=key, ballot=ballot, order=order),
            Accept(register=key, ballot=ballot, value=value),
            Conflict(register=key, ballot=ballot, promised=Ballot(ROUND_MOST, self._me)),
            Accepted(register=key, ballot=ballot, signature=vote),
            Promise(
                register=key,
                ballot=ballot,
                accepted=None,
                value=b"",
                signature=self._signer.sign("promise", said),
            ),
        ]

    def step(self) -> list[Message]:
        """Steps that nobody ordered, with a stranger's orders as their reason."""
        ask = self._overheard.one(HoldAsk, self._dice)
        if ask is None:
            return []
        order, dice = ask.order, self._dice
        key, grid = register_key(order), dice.choice((ask.grid, grid_id(order, 0, self._me)))
        mine = self._mine(grid)
        steps: tuple[Step, ...] = (
            *(Vote(dice.choice((1, 2))), Lapse(grid), Finish()),
            *(End(grid, mine), End(grid, mine, True), End(grid, order), Extend(grid, mine)),
            *(Remove(grid, "web-1", mine), Decline(grid, GridId("x" * 20))),
        )
        certificate = self._certificate()
        if certificate is not None:
            lie = read_register(self._decided_otherwise(certificate).value)
            if lie.record is not None:
                changed = self._applied(lie.record, lie.record.epoch + 1)
                steps = (*steps, Commit(lie.record), Apply(lie.record), Apply(changed))
        return [StepAsk(self._ask(), key, dice.choice(steps), order), LookAsk(self._ask(), key)]

    def meddle(self) -> list[Message]:
        """Speaks of holds, claims and grids of others: holds them again, lets them go, ends them."""
        ask = self._overheard.one(HoldAsk, self._dice)
        if ask is None:
            return []
        mine = self._mine(ask.grid)
        return [
            HoldRelease(ask.grid, ask.workspaces),
            msgspec.structs.replace(ask, workspaces=ask.workspaces[:1], hold_s=1e6),
            msgspec.structs.replace(ask, change=self._to_apply(ask.grid), of=ask.grid),
            RoomClaim(ask.order, ()),
            NameAsk(ask.order, ends=True),
            Act(RequestId("r"), ask.grid, self._dice.choice((mine, ask.order))),
            LeaseAsk(RequestId("r"), ask.grid, self._dice.choice((mine, ask.order))),
            DecidedAck(ask.grid, 1 << 40),
        ]

    def order(self, stewards: list[PeerId]) -> list[Message]:
        """Orders of the liar's own site: registers, holds and claims of grids that nobody will have."""
        self._admin.stewards = lambda: tuple(self._dice.sample(stewards, min(3, len(stewards))))
        said: list[Message] = []
        for _ in range(4):
            order = self._admin.up(grid_spec(f"m{self._dice.randrange(1 << 30)}", 1), self._now_s)
            grid = grid_id(order, 0, self._me)
            said += [
                StepAsk(self._ask(), register_key(order), Vote(1), order),
                HoldAsk(grid, order, ("web-1",), (("lan", 1 + self._dice.randrange(99)),), HOLD_S),
                RoomClaim(order, ("web-1",)),
                NameAsk(order),
            ]
        return said

    def answer(self, asked: Message) -> Iterator[Message]:
        """False answers to what the liar is asked, ahead of its node's own."""
        order = self._order()
        match asked:
            case HoldAsk(grid=grid, workspaces=names):
                other = self._dice.choice((names[:-1], (*names, "web-99"), names))
                grant = HoldGrant(grid, other, (self._dice.randrange(1 << 24),))
                yield HoldReply(grid, names, (), sign_grant(grant, self._signer))
            case Prepare(register=key, ballot=ballot, order=named):
                store = read_order(named).store_of(self._me)
                sign = self._signer.sign("promise", promise(key, ballot, None, b"", store=store))
                yield Promise(register=key, ballot=ballot, accepted=None, value=b"", signature=sign)
            case Accept(register=key, ballot=ballot, value=value):
                vote = self._vote(key, ballot, value)
                yield Accepted(register=key, ballot=ballot, signature=vote)
                far = Ballot(ROUND_MOST, self._me)
                yield Conflict(register=key, ballot=ballot, promised=far)
            case StepAsk(ask=ask):
                yield StepFailed(ask, "no", refused=True)
                if (certificate := self._certificate()) is not None:
                    yield StepDone(ask, self._decided_otherwise(certificate))
            case LookAsk(ask=ask, register=key):
                far = Ballot(ROUND_MOST, self._me)
                value = encode(Register(None, ATTEMPT_MOST, (), order)) if order else b"\xc1"
                yield Looked(ask, key, far, value, self._vote(key, far, value))
            case NameAsk(order=order):
                yield NameReply(register_key(order), "f" * 20)
            case Decided(certificate=certificate):
                record = read_register(certificate.value).record
                if record is not None:
                    yield DecidedAck(record.id, 1 << 40)
            case RoomClaim(order=order, workspaces=names):
                yield RoomKept(register_key(order), names)
            case QuoteAsk(request=request):
                if (quote := self._overheard.one(Quote, self._dice)) is not None:
                    yield msgspec.structs.replace(quote, request=request, free=_ENDLESS)
            case _:
                return

    # -- parts

    def _ask(self) -> str:
        return f"{self._dice.randrange(3)}.{self._dice.randrange(50)}"

    def _order(self) -> SignedOrder | None:
        """An order that was really given."""
        ask = self._overheard.one(HoldAsk, self._dice)
        return ask.order if ask is not None else None

    def _certificate(self) -> Certificate | None:
        """A decision that was really taken."""
        done = self._overheard.one(StepDone, self._dice)
        return done.certificate if done is not None else None

    def _vote(self, key: str, ballot: Ballot, value: bytes) -> bytes:
        """An acceptance, as the store that has the liar's seat, if it has one."""
        try:
            store = read_register(value).seats.store_of(self._me)
        except (Malformed, Untrusted):
            store = StoreId("")
        return sign_acceptance(self._signer, key, ballot, value, store=store)

    def _mine(self, grid: GridId) -> SignedOrder:
        """An order about somebody else's grid, by the liar's own site."""
        action = self._dice.choice(_CHANGES)
        body = encode(LeaseChange(86400)) if action is Action.LEASE else b""
        workspace = "web-1" if action is Action.TERMINATE else ""
        return self._admin.order(action, grid, self._now_s, workspace=workspace, body=body)

    def _to_apply(self, grid: GridId) -> SignedOrder:
        """An order to make somebody else's grid another one."""
        terms = ApplyTerms(grid_spec("m", 1), self._dice.choice((1, 2)))
        return self._admin.order(Action.APPLY, grid, self._now_s, body=encode(terms))

    def _applied(self, record: GridRecord, epoch: int) -> GridRecord:
        """The record as if that had been done."""
        order = self._to_apply(record.id)
        became = Applied(order, grid_id(order, 0, self._me))
        return msgspec.structs.replace(record, became=became, epoch=epoch)

    def _decided_otherwise(self, certificate: Certificate) -> Certificate:
        """The certificate with another record, and with votes that look as if there were enough of them."""
        register, dice = read_register(certificate.value), self._dice
        if register.record is not None:
            register = msgspec.structs.replace(register, record=self._changed(register.record))
        value = encode(register)
        ballot = Ballot(certificate.ballot.round + dice.choice((0, 1)), certificate.ballot.steward)
        stewards = [steward for steward, _ in certificate.votes]
        mine = self._vote(certificate.register, ballot, value)
        votes = dice.choice(
            (
                certificate.votes,
                tuple((steward, mine) for steward in stewards),
                ((self._me, mine),) * 3,
                (*certificate.votes[:1], (self._me, mine)),
            )
        )
        return Certificate(certificate.register, ballot, value, votes)

    def _changed(self, record: GridRecord) -> GridRecord:
        """The record with something in it that its owner did not order."""
        change, dice = msgspec.structs.replace, self._dice
        me = HostRef(self._me, "m", self._site)
        moved = tuple(Assignment(a.workspace, self._me) for a in record.assignments)
        granted = HoldGrant(record.id, record.on(record.hosts[0].peer), (7,))
        grants = (sign_grant(granted, self._signer), *record.grants[1:])
        later = record.epoch + dice.choice((1, 2, 1 << 31))
        return dice.choice(
            (
                change(record, epoch=later, state=GridState.DOWN),
                change(record, epoch=later, hosts=(me,), assignments=moved),
                change(record, stewards=(self._me,) * 3),
                change(record, epoch=later, assignments=record.assignments[1:]),
                change(record, vnis=tuple((name, 7) for name, _ in record.vnis)),
                change(record, grants=grants),
                change(record, extra_s=-86400, epoch=later),
                change(record, changes=(*record.changes, self._mine(record.id)), epoch=later),
                self._applied(record, later),
            )
        )
