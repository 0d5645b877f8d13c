"""A grid is what its owner's order to apply says, on the hosts that granted it; each refusal names its rule."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from applying_world import GIB, ORDER, RECORD, grant, grown, regranted, spec_of, to_apply
from deciding import certificate
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, RIVAL, A, B, C, record_of, shop
from organisation import Organisation

from protocol.contract import judging
from protocol.contract.authority import Authority
from protocol.grid.limits import CHANGED_RECORD_BYTES
from protocol.grid.model import GridSpec, OwnSize
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    KeptVolume,
    LeaseChange,
    Past,
    Places,
    Register,
    grid_id,
    order_part,
)
from protocol.grid.steps import Apply, Decline, Extend, Lapse, Remove, apply
from protocol.grid.volumes import TerminateTerms, kept_volumes
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.sim.people import Admin, Person
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action, SignedOrder, order_key, read_order
from protocol.trust.signing import Reason, Untrusted
from protocol.trust.verbs import Verb
from protocol.wire.codec import encode

BRIEF = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 60)
"""The same federation, whose certificates end soon."""
KEY = order_part(RECORD.id)
MORE = to_apply(spec_of(3))
GROWN = grown(MORE, {"web-3": C})


def after(record: GridRecord, before: GridRecord = RECORD, now: float = NOW + 1) -> GridRecord:
    """What a steward makes of a proposal."""
    register = AUTHORITY.follows(ORDER, Register(before), Apply(record), A, now)
    assert register.record is not None
    return register.record


def by_itself(record: GridRecord) -> GridRecord:
    """What anybody makes of it who was never shown the grid: a steward's acceptor, a peer, a host."""
    value = encode(Register(record))
    judged = AUTHORITY.judges(KEY, value).record
    assert judged is not None
    assert AUTHORITY.decision(certificate(Register(record))).register.record == record
    AUTHORITY.vouch(record, None, NOW)
    return judged


def beside(record: GridRecord, before: GridRecord = RECORD, lapsed: bool = False) -> None:
    """What a host makes of it that carries the grid."""
    AUTHORITY.vouch(record, before, NOW, lapsed)


def about(action: Action, workspace: str = "", body: bytes = b"") -> SignedOrder:
    return ADMIN.order(action, RECORD.id, NOW, workspace=workspace, body=body)


LONGER = about(Action.LEASE, body=encode(LeaseChange(60)))
GONE = about(Action.TERMINATE, "web-1")
DELETE = encode(TerminateTerms(delete_volumes=True))


def stepped(record: GridRecord, *steps: Extend | Remove | Lapse) -> GridRecord:
    register = Register(record)
    for step in steps:
        register = apply(step, register, NOW)
    assert register.record is not None
    return register.record


def test_a_grid_grows_as_its_owner_orders() -> None:
    assert after(GROWN) == by_itself(GROWN) == GROWN
    beside(GROWN)
    assert [(a.workspace, a.host) for a in GROWN.assignments] == [
        ("web-1", A),
        ("web-2", B),
        ("web-3", C),
        ("db-1", B),
    ]
    assert (GROWN.epoch, GROWN.standing, GROWN.previous) == (2, MORE, ORDER)
    assert AUTHORITY.vouch(GROWN, None, NOW).spec == spec_of(3)


def test_who_stays_keeps_its_address_and_who_comes_gets_a_free_one() -> None:
    before = {card.workspace: card.address for card in AUTHORITY.cards(RECORD)}
    now = {card.workspace: card.address for card in AUTHORITY.cards(GROWN)}
    assert now == {**before, "web-3": "10.42.0.13"}


def test_what_else_was_ordered_since_comes_on_top_and_is_believed_of_both() -> None:
    gone, later = about(Action.TERMINATE, "web-3"), about(Action.TERMINATE, "db-1", DELETE)
    record = stepped(
        GROWN,
        Extend(RECORD.id, LONGER),
        Remove(RECORD.id, "web-3", gone),
        Remove(RECORD.id, "db-1", later),
    )
    beside(record, GROWN)
    beside(record)
    assert by_itself(record) == record
    assert kept_volumes(record, spec_of(3)) == ()


def test_a_host_that_missed_changes_takes_the_newest_up() -> None:
    longer = stepped(GROWN, Extend(RECORD.id, LONGER), Remove(RECORD.id, "web-1", GONE))
    less = grown(to_apply(spec_of(1), longer), {"web-1": C}, longer)
    again = grown(to_apply(spec_of(2, memory_bytes=GIB), less), {"web-2": A}, less)
    for missed in (RECORD, GROWN, longer, less):
        beside(again, missed)
    assert by_itself(again) == again
    assert after(again, less) == again


def test_a_grid_shrinks_and_what_was_terminated_comes_back_only_where_a_file_has_it() -> None:
    gone = stepped(RECORD, Remove(RECORD.id, "web-1", GONE))
    back = grown(to_apply(spec_of(), gone), {"web-1": C}, gone)
    assert after(back, gone) == by_itself(back) == back
    without = grown(to_apply(spec_of(3), gone, without=("web-1",)), {"web-3": C}, gone)
    assert after(without, gone) == by_itself(without) == without
    assert "web-1" not in [a.workspace for a in without.assignments]
    less = grown(to_apply(spec_of(1)), {})
    assert after(less) == by_itself(less) == less
    assert [host.peer for host in less.hosts] == [A, B]


def test_a_record_tells_who_was_missing_and_one_of_an_older_build_does_not() -> None:
    ended = stepped(RECORD, Remove(RECORD.id, "web-1", GONE))
    record = grown(to_apply(spec_of(3), ended, without=("web-1",)), {"web-3": C}, ended)
    applied = record.applied
    assert applied is not None
    assert applied.missing == ("web-1",)
    assert by_itself(record) == after(record, ended) == record
    older = msgspec.structs.replace(
        record, became=msgspec.structs.replace(applied, missing=msgspec.UNSET)
    )
    assert by_itself(older) == after(older, ended) == older
    beside(older, ended)
    nobody = GROWN.applied
    assert nobody is not None
    assert nobody.missing is msgspec.UNSET
    assert b"missing" not in encode(GROWN)


def test_an_order_to_terminate_ends_nothing_that_a_later_order_brought_back() -> None:
    gone = stepped(RECORD, Remove(RECORD.id, "web-1", GONE))
    later = to_apply(spec_of(), gone, at_s=NOW + 5)
    back = grown(later, {"web-1": C}, gone)
    assert after(back, gone, now=NOW + 6) == back
    again = stepped(back, Remove(RECORD.id, "web-1", GONE))
    for believes in (
        lambda: AUTHORITY.follows(
            ORDER, Register(back), Remove(RECORD.id, "web-1", GONE), A, NOW + 6
        ),
        lambda: AUTHORITY.change(GONE, back, NOW + 6),
        lambda: AUTHORITY.vouch(again, back, NOW + 6),
        lambda: AUTHORITY.vouch(again, None, NOW + 6),
        lambda: AUTHORITY.judges(KEY, encode(Register(again))),
    ):
        with pytest.raises(Untrusted, match="older than the last change"):
            believes()


def test_the_record_of_the_largest_grid_still_travels_after_it_was_changed() -> None:
    before = large(16 * 50)
    record = grown(to_apply(large_spec(1000, GIB), before), large_placed(800, 1000), before)
    again = grown(to_apply(large_spec(1000, 2 * GIB), record), {}, record)
    value = encode(Register(again))
    assert len(value) < CHANGED_RECORD_BYTES
    assert AUTHORITY.judges(order_part(before.id), value).record == again


def test_a_record_that_could_not_travel_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "CHANGED_RECORD_BYTES", 3 << 10)
    with pytest.raises(Untrusted, match="at most 3 are accepted; down, and up again"):
        after(GROWN)


def large_spec(count: int, memory_bytes: int = GIB) -> GridSpec:
    """So many workspaces on four networks."""
    plain = shop(count)
    (cluster,), (lan,) = plain.clusters, plain.networks
    networks = tuple(
        msgspec.structs.replace(lan, name=f"lan{n}", cidr=f"10.{n}.0.0/16") for n in range(4)
    )
    cluster = msgspec.structs.replace(
        cluster, memory_bytes=memory_bytes, networks=tuple(n.name for n in networks)
    )
    return msgspec.structs.replace(plain, clusters=(cluster,), networks=networks)


def large_placed(first: int, count: int) -> dict[str, PeerId]:
    return {f"web-{n + 1}": PeerId(f"{n // 16:064x}") for n in range(first, count)}


def large(count: int) -> GridRecord:
    return record_of(ADMIN.up(large_spec(count), NOW), large_placed(0, count))


def test_a_grid_whose_time_is_over_is_down_whatever_was_applied_to_it() -> None:
    over = stepped(GROWN, Lapse(RECORD.id))
    beside(over, GROWN, lapsed=True)
    beside(over, RECORD, lapsed=True)
    with pytest.raises(Untrusted, match="down without an order"):
        beside(over, GROWN)


def test_an_order_is_applied_once_and_a_step_that_comes_too_late_does_nothing() -> None:
    assert after(GROWN, GROWN) == GROWN
    longer = stepped(RECORD, Extend(RECORD.id, LONGER))
    assert after(GROWN, longer) == longer
    down = msgspec.structs.replace(RECORD, state=GridState.DOWN)
    with pytest.raises(Untrusted, match="a grid that was down"):
        after(GROWN, down)


def test_an_attempt_that_was_voted_down_is_never_applied_and_one_that_was_decided_stays() -> None:
    applied = GROWN.applied
    assert applied is not None
    against = Decline(RECORD.id, applied.attempt)
    register = AUTHORITY.follows(ORDER, Register(RECORD), against, A, NOW)
    assert register.is_declined(applied.attempt)
    late = AUTHORITY.follows(ORDER, register, Apply(GROWN), A, NOW)
    assert late.record == RECORD
    again = grown(MORE, {"web-3": C}, attempt=1)
    assert AUTHORITY.follows(ORDER, register, Apply(again), A, NOW).record == again
    decided = AUTHORITY.follows(ORDER, Register(GROWN), against, A, NOW)
    assert decided == Register(GROWN)
    later = grown(to_apply(spec_of(4), GROWN), {"web-4": A}, GROWN)
    decided = AUTHORITY.follows(ORDER, Register(later), against, A, NOW)
    assert decided == Register(later), "web-3 is still there by it"


def changed(**said: object) -> GridRecord:
    return msgspec.structs.replace(GROWN, **said)  # type: ignore[arg-type]


def became(**said: object) -> GridRecord:
    applied = GROWN.applied
    assert applied is not None
    return changed(became=msgspec.structs.replace(applied, **said))  # type: ignore[arg-type]


def placed(**said: PeerId) -> GridRecord:
    """With some of them on other hosts than they are."""
    return changed(
        assignments=tuple(
            Assignment(a.workspace, said.get(a.workspace.replace("-", "_"), a.host))
            for a in GROWN.assignments
        )
    )


def ordered(order: SignedOrder) -> GridRecord:
    """Another order in its place, that does not say what the record does."""
    return became(order=order, attempt=grid_id(order, 0, "requester"))


def became_with(changes: tuple[SignedOrder, ...], folded: int) -> GridRecord:
    return msgspec.structs.replace(became(folded=folded), changes=changes)


def but(**said: object) -> GridSpec:
    return msgspec.structs.replace(spec_of(), **said)  # type: ignore[arg-type]


def long_spec() -> GridSpec:
    """More than an order to apply may say."""
    return msgspec.structs.replace(
        spec_of(3), ssh_authorized_keys=tuple(f"ssh-ed25519 {'A' * 4000}{n}" for n in range(30))
    )


def data() -> tuple[KeptVolume, ...]:
    applied = GROWN.applied
    assert applied is not None
    return applied.volumes


def attempt() -> GridId:
    applied = GROWN.applied
    assert applied is not None
    return applied.attempt


class Everybody:
    """Everybody's certificates are revoked."""

    def __contains__(self, certified: object) -> bool:
        return True


def places(*positions: int) -> GridRecord:
    return became(places=(Places("lan", "web", positions), Places("lan", "db", (2,))))


def volume(**said: object) -> GridRecord:
    applied = GROWN.applied
    assert applied is not None
    (data,) = applied.volumes
    return became(volumes=(msgspec.structs.replace(data, **said),))  # type: ignore[arg-type]


FORGED: dict[str, Callable[[], GridRecord]] = {
    "another owner's order": lambda: grown(to_apply(spec_of(3), admin=RIVAL), {"web-3": C}),
    "an order about another grid": lambda: ordered(
        ADMIN.order(Action.APPLY, "0" * 20, NOW, body=read_order(MORE).body)
    ),
    "an order to do something else": lambda: ordered(
        about(Action.LEASE, body=read_order(MORE).body)
    ),
    "an order that cannot be read": lambda: ordered(about(Action.APPLY, body=b"\xff")),
    "an order that is too long": lambda: ordered(to_apply(long_spec())),
    "an order of another time": lambda: grown(to_apply(spec_of(3), epoch=7), {"web-3": C}),
    "an order from before the grid": lambda: grown(
        to_apply(spec_of(3), at_s=NOW - 9000), {"web-3": C}
    ),
    "an attempt at another order": lambda: became(attempt=grid_id(ORDER, 0, "requester")),
    "another lease": lambda: grown(to_apply(but(lease_s=60)), {}),
    "another name": lambda: grown(to_apply(but(name="nova")), {}),
    "another network": lambda: grown(to_apply(but(networks=())), {}),
    "too many workspaces": lambda: ordered(to_apply(spec_of(1025))),
    "a later epoch": lambda: changed(epoch=3),
    "an earlier epoch": lambda: changed(epoch=1),
    "a workspace nobody ordered": lambda: changed(
        assignments=(*GROWN.assignments, Assignment("web-4", C))
    ),
    "one workspace less": lambda: changed(assignments=GROWN.assignments[1:]),
    "one workspace twice": lambda: changed(assignments=(*GROWN.assignments, GROWN.assignments[0])),
    "what stays is moved": lambda: placed(web_1=B),
    "what comes is elsewhere": lambda: placed(web_3=A),
    "the volume is elsewhere": lambda: volume(host=A),
    "the volume is forgotten": lambda: became(volumes=()),
    "the volume is on no host": lambda: volume(host=PeerId("d" * 64)),
    "the volume is larger": lambda: volume(size_bytes=2 * GIB),
    "one volume twice": lambda: became(volumes=(*data(), *data())),
    "two in one place": lambda: places(0, 1, 1),
    "a place beyond the network": lambda: places(0, 1, 253),
    "a place too few": lambda: places(0, 1),
    "no places": lambda: became(places=()),
    "a change that is not folded": lambda: became(folded=1),
    "a terminated one is folded": lambda: became_with((GONE,), folded=1),
    "what the grid never had is missing": lambda: became(missing=("web-9",)),
    "no grants": lambda: changed(grants=()),
    "a grant less": lambda: changed(grants=GROWN.grants[:2]),
    "a grant of another attempt": lambda: regranted(GROWN, C, change="0" * 20),
    "a grant to make it": lambda: regranted(GROWN, C, change=""),
    "a grant of other workspaces": lambda: regranted(GROWN, C, workspaces=("web-4",)),
    "a grant of more workspaces": lambda: regranted(GROWN, C, workspaces=("web-3", "web-1")),
    "a grant of another grid": lambda: regranted(GROWN, C, grid="x"),
    "a grant of other VXLAN ids": lambda: regranted(GROWN, C, vnis=(1,)),
    "a grant for another time": lambda: regranted(GROWN, C, start_s=5.0),
    "another's grant": lambda: changed(
        grants=(*GROWN.grants[:2], grant(RECORD, PeerId("d" * 64), ("web-3",), attempt()))
    ),
    "a host that carries nothing": lambda: changed(
        hosts=(*GROWN.hosts, HostRef(PeerId("d" * 64), "delta", "s1")),
        grants=(*GROWN.grants, grant(RECORD, PeerId("d" * 64), ())),
    ),
    "an order before that is another's": lambda: became(before=to_apply(spec_of(), admin=RIVAL)),
    "an order before to do something else": lambda: became(before=LONGER),
    "a lease nobody ordered": lambda: changed(extra_s=60),
    "other stewards": lambda: changed(stewards=(C,)),
    "other VXLAN ids": lambda: changed(vnis=(("lan", 7),)),
    "another start": lambda: changed(start_s=NOW),
}


def test_a_grid_that_was_made_larger_than_any_may_be_is_not_counted_out() -> None:
    (lan,) = spec_of().networks
    wide = (msgspec.structs.replace(lan, cidr="10.0.0.0/16"),)
    up = ADMIN.up(msgspec.structs.replace(spec_of(1025), networks=wide), NOW)
    made = msgspec.structs.replace(RECORD, id=grid_id(up), order=up)
    grants = (grant(made, A, ("web-1",)), grant(made, B, ("web-2", "db-1")))
    made = msgspec.structs.replace(made, grants=grants)
    order = to_apply(msgspec.structs.replace(spec_of(3), networks=wide), made)
    record = grown(order, {"web-3": C}, made)
    with pytest.raises(Untrusted, match="more than 1024"):
        AUTHORITY.judges(order_part(made.id), encode(Register(record)))


def test_a_grid_with_more_sizes_than_any_may_have_is_not_looked_through() -> None:
    many = tuple(OwnSize(f"web-{n}", 100) for n in range(1, 34))
    record = grown(to_apply(spec_of(3, sizes=many)), {"web-3": C})
    with pytest.raises(Untrusted, match="more than 32 sizes"):
        AUTHORITY.judges(KEY, encode(Register(record)))
    few = grown(to_apply(spec_of(3, sizes=many[2:3])), {"web-3": C})
    assert after(few) == by_itself(few) == few


@pytest.mark.parametrize("what", FORGED)
def test_what_goes_beyond_orders_and_grants_nobody_believes(what: str) -> None:
    record = FORGED[what]()
    with pytest.raises(Untrusted):
        beside(record)
    with pytest.raises(Untrusted):
        AUTHORITY.vouch(record, None, NOW)
    with pytest.raises(Untrusted):
        AUTHORITY.judges(KEY, encode(Register(record)))
    if record.epoch == RECORD.epoch + 1:
        with pytest.raises(Untrusted):
            after(record)
    else:
        assert after(record) == RECORD


REWRITTEN: dict[str, Callable[[], GridRecord]] = {
    "who stays is at another place": lambda: places(9, 1, 3),
    "its past is another": lambda: became(past=()),
    "its past was somebody else's": lambda: became(past=(Past(2, "apply", NOW, "s2", "+1 web"),)),
    "who was there is missing": lambda: became(missing=("web-2",)),
    "a volume more": lambda: became(volumes=(*data(), KeptVolume("old", A, GIB, "old-1"))),
    "another order before": lambda: became(before=to_apply(spec_of(), epoch=0)),
    "hosts in another order": lambda: changed(hosts=GROWN.hosts[::-1], grants=GROWN.grants[::-1]),
    "another name of a host": lambda: changed(hosts=(HostRef(A, "other", "s1"), *GROWN.hosts[1:])),
    "who is changed was elsewhere": lambda: grown(
        to_apply(spec_of(memory_bytes=GIB)),
        {},
        record_of(ORDER, {"web-1": C, "web-2": B, "db-1": B}),
    ),
    "another promise of a host that was not asked": lambda: regranted(GROWN, A, store="other"),
}


@pytest.mark.parametrize("what", REWRITTEN)
def test_who_has_the_record_before_sees_what_was_chosen_otherwise(what: str) -> None:
    record = REWRITTEN[what]()
    with pytest.raises(Untrusted):
        beside(record)
    with pytest.raises(Untrusted):
        after(record)


def jumped() -> tuple[GridRecord, GridRecord]:
    """A grid that its owner changed twice after its lease; who has RECORD and LONGER missed that."""
    longer = stepped(RECORD, Extend(RECORD.id, LONGER))
    middle = grown(to_apply(spec_of(3), longer), {"web-3": C}, longer)
    return longer, grown(to_apply(spec_of(4), middle), {"web-4": C}, middle)


def test_who_missed_epochs_sees_that_no_change_of_the_lease_was_forgotten() -> None:
    longer, last = jumped()
    beside(last, longer)
    applied = last.applied
    assert applied is not None
    forgot = msgspec.structs.replace(
        last,
        changes=(),
        extra_s=0,
        became=msgspec.structs.replace(applied, folded=0),
    )
    with pytest.raises(Untrusted, match="forgot a change"):
        beside(forgot, longer)


def test_who_missed_epochs_sees_that_no_volume_was_lost_without_an_order() -> None:
    first = grown(to_apply(spec_of(db=False)), {})
    last = grown(to_apply(spec_of(3, db=False), first), {"web-3": C}, first)
    beside(last)
    applied = last.applied
    assert applied is not None
    lost = msgspec.structs.replace(last, became=msgspec.structs.replace(applied, volumes=()))
    by_itself(lost)
    with pytest.raises(Untrusted, match="lost the volume data"):
        beside(lost)
    order = about(Action.TERMINATE, "db-1", DELETE)
    gone = stepped(RECORD, Remove(RECORD.id, "db-1", order))
    ended = grown(to_apply(spec_of(db=False), gone), {}, gone)
    beside(grown(to_apply(spec_of(3, db=False), ended), {"web-3": C}, ended))


def test_who_missed_that_a_volume_was_taken_over_believes_that_it_was_ended_since() -> None:
    web, db = spec_of().clusters
    taken = msgspec.structs.replace(
        spec_of(), clusters=(web, msgspec.structs.replace(db, name="pg"))
    )
    first = grown(to_apply(taken), {"pg-1": B})
    order = about(Action.TERMINATE, "pg-1", DELETE)
    gone = stepped(first, Remove(RECORD.id, "pg-1", order))
    last = grown(to_apply(spec_of(3, db=False), gone), {"web-3": C}, gone)
    beside(last, gone)
    beside(last, first)
    beside(last, RECORD)


def test_a_workspace_comes_back_only_where_its_volume_is() -> None:
    gone = stepped(RECORD, Remove(RECORD.id, "db-1", about(Action.TERMINATE, "db-1")))
    back = grown(to_apply(spec_of(), gone), {"db-1": B}, gone)
    assert after(back, gone) == by_itself(back) == back
    elsewhere = grown(to_apply(spec_of(), gone), {"db-1": A}, gone)
    with pytest.raises(Untrusted, match="lost the volume data"):
        after(elsewhere, gone)


def test_a_record_that_forgot_that_it_was_changed_is_older_news() -> None:
    for record in (msgspec.structs.replace(RECORD, epoch=3), RECORD):
        with pytest.raises(Untrusted):
            beside(record, GROWN)


def test_a_change_in_its_place_needs_the_grant_of_its_host() -> None:
    larger = grown(to_apply(spec_of(memory_bytes=GIB)), {})
    assert after(larger) == by_itself(larger) == larger
    for old in RECORD.grants:
        grants = tuple(old if g.host == old.host else g for g in larger.grants)
        record = msgspec.structs.replace(larger, grants=grants)
        with pytest.raises(Untrusted, match="granted for something else"):
            by_itself(record)
        with pytest.raises(Untrusted):
            after(record)


def test_the_same_key_that_was_revoked_since_changes_nothing_but_ends_it_still() -> None:
    revoked = Authority(FEDERATION.key, SimVerifier(), Everybody())
    with pytest.raises(Untrusted, match="revoked"):
        revoked.vouch(GROWN, RECORD, NOW)
    over = stepped(GROWN, Lapse(RECORD.id))
    revoked.vouch(over, GROWN, NOW, lapsed=True)


def test_what_it_was_before_allows_nothing_so_its_certificate_may_have_ended() -> None:
    old = Admin(BRIEF, "s1", Random(9), lambda: (A, B, C))
    middle = grown(to_apply(spec_of(3), admin=old), {"web-3": C})
    last = grown(to_apply(spec_of(4), middle, at_s=NOW + 90), {"web-4": C}, middle)
    with pytest.raises(Untrusted, match="expired"):
        AUTHORITY.vouch(middle, RECORD, NOW + 100, False)
    AUTHORITY.vouch(last, RECORD, NOW + 100, False)
    AUTHORITY.vouch(last, None, NOW + 100, False)


def test_an_order_that_is_not_fresh_any_more_is_not_applied() -> None:
    with pytest.raises(Untrusted, match="came too late"):
        after(GROWN, now=NOW + 700)


def test_a_host_that_is_asked_to_hold_reads_the_order_to_apply() -> None:
    found = AUTHORITY.to_change(ORDER, MORE, RECORD.id, NOW, fresh=True)
    assert (found.order, found.name, found.spec) == (order_key(MORE), "shop", spec_of(3))
    less = to_apply(spec_of(3), without=("web-2",))
    names = AUTHORITY.to_change(ORDER, less, RECORD.id, NOW, fresh=True).workspaces
    assert [w.name for w in names] == ["web-1", "web-3", "db-1"]


ASKED: dict[str, Callable[[], object]] = {
    "another owner's": lambda: to_change(to_apply(spec_of(3), admin=RIVAL)),
    "no order to apply": lambda: to_change(ORDER),
    "about another grid": lambda: to_change(
        ADMIN.order(Action.APPLY, "0" * 20, NOW, body=read_order(MORE).body)
    ),
    "of a grid of another order": lambda: AUTHORITY.to_change(
        ADMIN.up(spec_of(), NOW + 1), MORE, RECORD.id, NOW, fresh=True
    ),
    "made by no up": lambda: AUTHORITY.to_change(MORE, MORE, RECORD.id, NOW, fresh=True),
    "too old": lambda: AUTHORITY.to_change(ORDER, MORE, RECORD.id, NOW + 700, fresh=True),
    "what makes no sense": lambda: to_change(to_apply(spec_of(3, cpus_milli=0))),
    "what none may become": lambda: to_change(to_apply(but(lease_s=60))),
}


def to_change(order: SignedOrder) -> object:
    return AUTHORITY.to_change(ORDER, order, RECORD.id, NOW, fresh=True)


@pytest.mark.parametrize("what", ASKED)
def test_a_host_holds_nothing_for_an_order_that_changes_nothing(what: str) -> None:
    with pytest.raises(Untrusted):
        ASKED[what]()


def test_a_grid_that_was_never_changed_is_written_as_ever() -> None:
    assert b"became" not in encode(RECORD)
    assert b"became" in encode(GROWN)


# -- by a member of a virtual organisation who may resize, and no more

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
LENT = Authority(FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key,))
KATES = STAR.grant("kate")
KATE = Person(STAR.key_of("kate"), (), KATES, Random(5), lambda: (A, B, C))
RESIZER = Person(
    STAR.key_of("kate"),
    (),
    STAR.grant("kate", verbs=(Verb.RESIZE,), serial="5" * 16),
    Random(6),
    lambda: (A, B, C),
)
MADE = record_of(KATE.up(spec_of(db=False), NOW), {"web-1": A, "web-2": B})


def test_who_may_only_resize_changes_sizes_whatever_stewards_say() -> None:
    larger = to_apply(spec_of(db=False, cpus_milli=750), MADE, admin=RESIZER)
    LENT.vouch(grown(larger, {}, MADE), MADE, NOW)
    more = to_apply(spec_of(3, db=False), MADE, admin=RESIZER)
    fewer = to_apply(spec_of(db=False), MADE, without=("web-2",), admin=RESIZER)
    for order, placed, what in ((more, {"web-3": C}, "clusters.web.count"), (fewer, {}, "web-2")):
        with pytest.raises(Untrusted, match=what) as refused:
            LENT.vouch(grown(order, placed, MADE), MADE, NOW)
        assert refused.value.reason is Reason.NOT_GRANTED
