"""What proves itself, truly signed by whoever may: grants, records, certificates, promises, acceptances, steps.

They are about a few orders that name the fuzzed peer as a steward, so that what is said fits together now and
then. What that peer alone can sign is only there if it did. anything.py mixes in what does not fit.
"""

from random import Random
from typing import Any

from choices import Choices
from members import OURS, SIGNERS, START_S

from protocol.contract.messages import HoldAsk
from protocol.grid.decision import Ballot, Certificate, acceptance, promise
from protocol.grid.grant import HoldGrant, SignedGrant, sign_grant
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    LeaseChange,
    Register,
    grid_id,
    register_key,
)
from protocol.grid.steps import Commit, Decline, End, Extend, Finish, Lapse, Remove, Step, Vote
from protocol.register.messages import Accept, Accepted, Looked, Prepare, Promise
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import decode, encode

STEWARDS = tuple(PeerId(signer.key) for signer in SIGNERS[:3])
_BY_ID = {PeerId(signer.key): signer for signer in SIGNERS}


def _orders() -> list[SignedOrder]:
    made = []
    for first, (site, name) in enumerate((("s1", "star"), ("s2", "web"))):
        admin = Admin(OURS, site, Random(first), lambda first=first: _named(first))
        made.append(admin.up(grid_spec(name, 2), START_S))
    return made


def _named(first: int) -> tuple[PeerId, ...]:
    """The fuzzed peer is the first steward of one order, and the last of the other."""
    return STEWARDS[first:] + STEWARDS[:first]


ORDERS = _orders()
ADMINS = {site: Admin(OURS, site, Random(9)) for site in ("s1", "s2")}
STATEMENTS: tuple[Any, ...] = (
    *(Ballot, Certificate, SignedGrant, GridRecord, Register, Step),
    *(Prepare, Promise, Accept, Accepted, Looked, HoldAsk),
)
"""The types of which a true one is made."""


def statement(kind: Any, choices: Choices) -> Any:
    """One of that type."""
    order = choices.one(ORDERS)
    key, ballot = register_key(order), _ballot(choices)
    if kind is Ballot:
        return ballot
    if kind is SignedGrant:
        return choices.one((*record(order, choices).grants, *choices.granted))
    if kind is GridRecord:
        return record(order, choices)
    if kind is Register:
        return register(order, choices)
    if kind == Step:
        return step(order, choices)
    value = encode(register(order, choices))
    if kind is Certificate:
        votes = tuple((s, _accepted(s, key, ballot, value)) for s in STEWARDS[1:])
        return Certificate(key, ballot, value, votes[: choices.one((2, 2, 1))])
    if kind is Prepare:
        return Prepare(register=key, ballot=ballot, order=order)
    if kind is HoldAsk:
        names = choices.one((("web-1",), ("web-2",), ("web-1", "web-2")))
        grid = grid_id(order, choices.below(2), choices.one((STEWARDS[1], "")))
        return HoldAsk(grid, order, names, (("lan", 1 + choices.below(3)),), 8.0)
    if kind is Accept:
        return Accept(register=key, ballot=ballot, value=value)
    signer = choices.one(STEWARDS[1:])
    if kind is Accepted:
        vote = _accepted(signer, key, ballot, value)
        return Accepted(register=key, ballot=ballot, signature=vote)
    if kind is Looked:
        return Looked(_ask(choices), key, ballot, value, _accepted(signer, key, ballot, value))
    assert kind is Promise, kind
    before = choices.one((None, Ballot(0, STEWARDS[0]), ballot))
    said = promise(key, ballot, before, value)
    signed = _BY_ID[signer].sign("promise", said)
    return Promise(register=key, ballot=ballot, accepted=before, value=value, signature=signed)


def is_statement(kind: Any) -> bool:
    """Whether `statement` makes that."""
    return any(kind == known for known in STATEMENTS)


def record(order: SignedOrder, choices: Choices) -> GridRecord:
    """A record of one of the orders, as its hosts granted it."""
    site, name = ("s1", "star") if order == ORDERS[0] else ("s2", "web")
    grid, vni = grid_id(order, choices.below(2), choices.one((STEWARDS[1], ""))), 1
    grants = [g for g in choices.granted if grid_of(g).grid == grid][-1:]
    placed = {name: g.host for g in grants for name in grid_of(g).workspaces}
    for g in grants:
        vni = grid_of(g).vnis[0]
    others = SIGNERS[1 : 2 + choices.below(2)]
    free = [n for n in ("web-1", "web-2") if n not in placed]
    for at, signer in enumerate(others):
        if mine := tuple(free[at :: len(others)]):
            placed |= dict.fromkeys(mine, PeerId(signer.key))
            grants.append(sign_grant(HoldGrant(grid, mine, (vni,)), signer))
    changes = (change(grid, site, choices),) if choices.below(3) == 0 else ()
    return GridRecord(
        id=grid,
        name=name,
        owner=OURS.site(site).key,
        owner_site=site,
        epoch=1 + len(changes) + choices.below(2),
        state=choices.one((GridState.UP, GridState.UP, GridState.DOWN)),
        order=order,
        stewards=_named(ORDERS.index(order)),
        hosts=tuple(HostRef(g.host, "h", "s1") for g in grants),
        assignments=tuple(Assignment(n, h) for n, h in placed.items()),
        vnis=(("lan", vni),),
        changes=changes,
        grants=tuple(grants),
    )


def grid_of(signed: SignedGrant) -> HoldGrant:
    """What a host granted."""
    return decode(signed.payload, HoldGrant)


def register(order: SignedOrder, choices: Choices) -> Register:
    """A register of one of the orders: with a record, or with attempts voted down."""
    if choices.below(3):
        return Register(record(order, choices), choices.below(2))
    return Register(None, choices.below(4), (), order)


def change(grid: GridId, site: str, choices: Choices) -> SignedOrder:
    """An order of that site's admin about one grid."""
    action = choices.one((Action.DOWN, Action.LEASE, Action.TERMINATE, Action.PAUSE))
    body = encode(LeaseChange(60)) if action is Action.LEASE else b""
    workspace = "web-1" if action is Action.TERMINATE else ""
    return ADMINS[site].order(action, grid, START_S, workspace=workspace, body=body)


def step(order: SignedOrder, choices: Choices) -> Step:
    """A step of that order's register."""
    site = choices.one(("s1", "s2"))
    made = record(order, choices)
    grid, changed = made.id, change(made.id, site, choices)
    return choices.one(
        (
            *(Commit(made), Vote(choices.below(4)), Finish(), Lapse(grid)),
            *(End(grid, changed), End(grid, changed, True), Extend(grid, changed)),
            *(Decline(grid, GridId("x")), Remove(grid, "web-1", changed)),
        )
    )


def _ballot(choices: Choices) -> Ballot:
    return Ballot(choices.one((0, 1, 2, 3, 1 << 20)), choices.one(STEWARDS[1:]))


def _ask(choices: Choices) -> str:
    return f"{1 + choices.below(2)}.{1 + choices.below(4)}"


def _accepted(by: PeerId, key: str, ballot: Ballot, value: bytes) -> bytes:
    return _BY_ID[by].sign("acceptance", acceptance(key, ballot, value))
