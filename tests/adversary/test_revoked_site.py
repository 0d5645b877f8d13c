"""A site whose key was revoked: its grids end with their leases, or by its next key, and by nobody else."""

import hosting_world
import msgspec
import pytest
from deciding import decided, ending, lapsing
from hosting_world import ORDER, One
from negotiating import ADMIN, FEDERATION, NOW, RIVAL
from one_requester import Scene, notice_of

from protocol.contract.authority import Authority
from protocol.contract.messages import Act, ActReply, Decided
from protocol.grid.decision import Decision
from protocol.grid.lifecycle import Power
from protocol.grid.record import GridRecord, GridState, LeaseChange
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.effects import Send
from protocol.terms.ids import GridId, RequestId
from protocol.trust.certificate import Certificate, Chain, Role, read_certificate, sign_certificate
from protocol.trust.order import Action, Order, SignedOrder, sign_order
from protocol.trust.revocation import Certified
from protocol.wire.codec import encode

REQUEST = RequestId("r")
NEXT, STRANGER = SimSigner("fed/s1/next"), SimSigner("fed/s9")


def certified(signer: SimSigner, site: str, issuer: SimSigner = FEDERATION.root) -> Chain:
    certificate = Certificate(
        subject=signer.key,
        role=Role.SITE,
        site=site,
        name=site,
        issuer=issuer.key,
        not_before_s=NOW - 10,
        not_after_s=NOW + 900_000,
        serial="0123456789abcdef",
    )
    return (sign_certificate(certificate, issuer),)


def said(
    signer: SimSigner, chain: Chain, action: Action, grid: GridId, body: bytes = b""
) -> SignedOrder:
    return sign_order(
        Order(action, grid, NOW + 1, 600.0, f"{action:0>8}", body=body), signer, chain
    )


@pytest.fixture(params=[False, True], ids=["at-once", "after-a-restart"])
def one(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> One:
    """A host that carries a grid whose site's certificate was revoked since."""
    revoked: set[Certified] = set()
    authority = Authority(FEDERATION.key, SimVerifier(), revoked)
    monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
    made = One()
    made.leases()
    revoked.add((FEDERATION.key, read_certificate(ADMIN.chain[0]).serial))
    if request.param:
        made.start(NOW + 1)
    return made


def carried(one: One) -> GridRecord:
    (row,) = one.host.leases.rows()
    return row.record


def ended(record: GridRecord, order: SignedOrder) -> GridRecord:
    return recorded(ending(record.id, order)(decided(record)))


def recorded(decision: Decision) -> GridRecord:
    assert decision.register.record is not None
    return decision.register.record


def told(one: One, record: GridRecord, now: float) -> None:
    """It hears that record as if all its stewards had decided it."""
    one.hears(Decided(decided(record).certificate), now)


def test_its_next_key_ends_what_it_ordered(one: One) -> None:
    record = carried(one)
    order = said(NEXT, certified(NEXT, "s1"), Action.DOWN, record.id)
    one.hears(Act(REQUEST, record.id, order), NOW + 2)
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.OFF]
    told(one, ended(record, order), NOW + 2)
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.GONE]


@pytest.mark.parametrize("action", [Action.PAUSE, Action.RESTART, Action.LEASE])
def test_its_next_key_does_nothing_else_to_it(one: One, action: Action) -> None:
    record = carried(one)
    body = encode(LeaseChange(3600)) if action is Action.LEASE else b""
    order = said(NEXT, certified(NEXT, "s1"), action, record.id, body)
    (reply,) = [
        e.message for e in one.hears(Act(REQUEST, record.id, order), NOW + 2) if isinstance(e, Send)
    ]
    assert isinstance(reply, ActReply)
    assert "belongs to site" in reply.problem
    longer = msgspec.structs.replace(record, epoch=2, extra_s=3600, changes=(order,))
    told(one, longer, NOW + 2)
    assert carried(one) == record


@pytest.mark.parametrize("who", ["another-site", "not-certified", "by-itself", "the-revoked-key"])
def test_nobody_else_ends_it(one: One, who: str) -> None:
    record = carried(one)
    signer, chain = {
        "another-site": (STRANGER, certified(STRANGER, "s9")),
        "not-certified": (NEXT, certified(NEXT, "s1", SimSigner("other"))),
        "by-itself": (NEXT, certified(NEXT, "s1", RIVAL.signer)),
        "the-revoked-key": (ADMIN.signer, ADMIN.chain),
    }[who]
    order = said(signer, chain, Action.DOWN, record.id)
    one.hears(Act(REQUEST, record.id, order), NOW + 2)
    told(one, ended(record, order), NOW + 2)
    assert carried(one) == record
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.RUNNING]


def test_it_ends_with_its_lease(one: One) -> None:
    """Nobody signs anything more for it, and its hosts know when its time is over."""
    record = carried(one)
    (row,) = one.host.leases.rows()
    over_s = row.kept_until_s + 1
    one.keep(one.host.tick(over_s))
    told(one, recorded(lapsing(record.id)(decided(record))), over_s)
    assert carried(one).state is GridState.DOWN
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.GONE]


def test_nothing_new_is_placed_for_it(one: One) -> None:
    again = ADMIN.up(msgspec.structs.replace(hosting_world.shop(1), name="new"), NOW + 1)
    assert one.holds(again, NOW + 2).held == ()
    assert one.holds(ORDER, NOW + 2).held == ()


def test_a_record_that_names_another_site_as_its_owners_is_not_that_sites_to_end(one: One) -> None:
    record = carried(one)
    order = said(STRANGER, certified(STRANGER, "s9"), Action.DOWN, record.id)
    forged = msgspec.structs.replace(ended(record, order), owner_site="s9")
    told(one, forged, NOW + 2)
    assert carried(one) == record


@pytest.mark.parametrize("action", [Action.DOWN, Action.PAUSE])
def test_the_peer_that_its_next_key_asks_takes_its_word_for_the_end_alone(action: Action) -> None:
    scene = Scene()
    record = scene.building("up", ORDER)
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer))
    theirs = said(STRANGER, certified(STRANGER, "s9"), action, record.id)
    assert scene.order("theirs", theirs) == ([], [])
    effects, outcomes = scene.order("next", said(NEXT, certified(NEXT, "s1"), action, record.id))
    assert (len(effects), len(outcomes)) == (0, 1 if action is Action.DOWN else 0)
