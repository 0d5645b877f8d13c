"""Who may ask stewards for what: votes, and steps that change nothing."""

import pytest
from negotiating import ADMIN, FEDERATION, NOW, RIVAL, record_of, shop

from protocol.contract.authority import Authority
from protocol.grid.asked import sign_asked
from protocol.grid.record import GridRecord, LeaseChange, extension_id, grid_id
from protocol.grid.steps import Decline, End, Finish, Lapse, Step, Vote, against
from protocol.sim.keys import SimVerifier
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

AUTHORITY = Authority(FEDERATION.key, SimVerifier())
VIA, HOST, OTHER, STEWARD = (FEDERATION.host("s1", n) for n in ("via", "host", "other", "steward"))
VIA_ID, HOST_ID, OTHER_ID = PeerId(VIA.key), PeerId(HOST.key), PeerId(OTHER.key)
ORDER = ADMIN.order(Action.UP, "shop", NOW, body=encode(shop()), via=VIA_ID)
ANYBODYS = ADMIN.up(shop(), NOW)
SECOND = grid_id(ORDER, 1, "r")
RECORD = record_of(ORDER, {"web-1": HOST_ID, "web-2": HOST_ID})
LEASE = ADMIN.order(Action.LEASE, RECORD.id, NOW, body=encode(LeaseChange(60)), via=VIA_ID)


def may(
    step: Step,
    asker: PeerId,
    record: GridRecord | None = None,
    order: SignedOrder = ORDER,
    site: str = "s2",
) -> bool:
    try:
        AUTHORITY.entitles(order, record, (PeerId(STEWARD.key),), step, asker, site)
    except Untrusted:
        return False
    return True


def test_who_the_order_is_for_votes_against_what_it_likes() -> None:
    assert may(Vote(7), VIA_ID)
    assert not may(Vote(1), OTHER_ID)
    assert may(Vote(7), OTHER_ID, order=ANYBODYS), "an order for whoever shows it"


def test_a_host_votes_against_what_it_was_asked_for_and_no_more() -> None:
    mine = sign_asked(VIA, SECOND, HOST_ID)
    assert may(against(SECOND, mine), HOST_ID)
    assert not may(Vote(3, SECOND, mine), HOST_ID), "not against attempts that follow"
    assert not may(against(SECOND, mine), OTHER_ID), "not by another's word"
    assert not may(against(SECOND, sign_asked(HOST, SECOND, HOST_ID)), HOST_ID)
    elsewhere = GridId("f" * 20 + ".1")
    assert not may(against(elsewhere, sign_asked(VIA, elsewhere, HOST_ID)), HOST_ID)


def test_a_change_of_a_lease_is_voted_down_by_its_hosts_and_who_it_is_for() -> None:
    mine = extension_id(LEASE)
    assert may(Decline(RECORD.id, mine), HOST_ID, RECORD)
    assert may(Decline(RECORD.id, mine, LEASE), VIA_ID, RECORD)
    assert not may(Decline(RECORD.id, mine), VIA_ID, RECORD), "it does not show the order"
    assert not may(Decline(RECORD.id, mine, LEASE), OTHER_ID, RECORD)
    asked = sign_asked(VIA, mine, OTHER_ID)
    assert may(Decline(RECORD.id, mine, LEASE, asked), OTHER_ID, RECORD)
    assert not may(Decline(RECORD.id, GridId("e" * 20), LEASE), VIA_ID, RECORD)
    theirs = RIVAL.order(Action.LEASE, RECORD.id, NOW, body=encode(LeaseChange(60)))
    assert not may(Decline(RECORD.id, extension_id(theirs), theirs), OTHER_ID, RECORD)


@pytest.mark.parametrize("record", [None, RECORD])
def test_a_register_is_finished_for_who_keeps_or_carries_it_and_its_owners_peers(
    record: GridRecord | None,
) -> None:
    assert may(Finish(), VIA_ID, record)
    assert may(Finish(), PeerId(STEWARD.key), record)
    assert may(Finish(), OTHER_ID, record, site="s1")
    assert not may(Finish(), OTHER_ID, record)
    assert may(Finish(), HOST_ID, record) is (record is not None)


def test_only_who_carries_a_grid_says_that_it_is_over_and_orders_speak_for_themselves() -> None:
    assert may(Lapse(RECORD.id), HOST_ID, RECORD)
    assert not may(Lapse(RECORD.id), OTHER_ID, RECORD)
    assert may(End(RECORD.id, ORDER), OTHER_ID, RECORD), "judged by its order"
