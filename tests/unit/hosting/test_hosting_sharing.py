"""What a host has promised counts as used, and who had most of its share yields first."""

from hosting_world import EACH, FACTS, ROOM, TIME, One
from msgspec import structs
from negotiating import ADMIN, NOW, RIVAL, shop

from protocol.capacity.ledger import Yields
from protocol.capacity.quantum import Guaranteed, Quantum
from protocol.capacity.timetable import ALWAYS, Window
from protocol.grid.model import LeaseTerms
from protocol.grid.record import grid_id
from protocol.hosting.sharing import TABLE, Sharing
from protocol.hosting.surroundings import Alone
from protocol.policy.shares import HOUR_S
from protocol.policy.site_policy import Line, Priority, SitePolicy, VoTerms
from protocol.terms.effects import Persist
from protocol.terms.ids import KeyId

ATLAS, CMS = KeyId("atlas"), KeyId("cms")
HALF = Quantum(2000, ROOM.memory_bytes // 2, 0)
LATER = NOW + 8 * HOUR_S


class Site(Alone):
    """A host whose site has a policy."""

    def __init__(self, **shares: int) -> None:
        self.shares = shares

    def policy(self) -> SitePolicy | None:
        vos = tuple(VoTerms(name, KeyId(name), share) for name, share in self.shares.items())
        return SitePolicy("s1", 1, NOW, (), vos=vos)


def sharing(around: Alone | None = None) -> Sharing:
    return Sharing(ROOM, around or Alone(), {}, NOW)


def rows_of(one: Sharing, now: float) -> dict[str, bytes]:
    effects = one.tick(now)
    return {
        row.key: row.value
        for effect in effects
        if isinstance(effect, Persist)
        for row in effect.rows
        if row.table == TABLE and row.value is not None
    }


def test_what_is_promised_counts_while_it_is_promised_also_for_later() -> None:
    one = sharing()
    one.ledger.enter(("g", "w"), HALF, Window(LATER, LATER + 9, 0), owner=ATLAS)
    one.advance(NOW + 4 * HOUR_S)
    reserved = one.standing(ATLAS)
    assert reserved > (0, 0), "it could not be anybody else's"
    assert one.priority(ATLAS) < one.priority(CMS) == 1.0
    one.ledger.strike(("g", "w"))
    one.advance(NOW + 8 * HOUR_S)
    assert one.standing(ATLAS) <= reserved


def test_what_is_suspended_for_want_of_room_and_what_only_keeps_its_disk_do_not() -> None:
    one = sharing()
    one.ledger.enter(("a", "w"), HALF, ALWAYS, Yields(("a", "w"), NOW, 1), ATLAS)
    one.ledger.enter(("disk", "w"), Quantum(disk_bytes=9), owner=KeyId("other"))
    one.ledger.enter(("c", "w"), ROOM, owner=CMS)
    assert one.ledger.taken()[ATLAS] == one.ledger.taken()[KeyId("other")] == Quantum()
    one.advance(LATER)
    assert one.standing(ATLAS) == one.standing(KeyId("other")) == (0, 0)
    assert one.standing(CMS) > (0, 0)


def test_of_best_effort_work_that_of_the_owner_most_over_its_share_yields_first() -> None:
    one = sharing(Site(atlas=80, cms=20))
    for grid, owner, since_s in (("old", CMS, NOW), ("new", ATLAS, NOW + 1)):
        one.ledger.enter((grid, "w"), HALF, ALWAYS, Yields((grid, "w"), since_s, 1), owner)
    exam = Window(LATER, LATER + 100, 0)
    one.ledger.enter(("exam", "w"), HALF, exam)
    assert one.ledger.until_s["new", "w"] == LATER, "as long as nobody used much, what came last"
    one.advance(NOW + 7 * HOUR_S)
    one.ledger.plan()
    assert one.ledger.until_s["old", "w"] == LATER
    assert one.ledger.until_s["new", "w"] > LATER


def test_it_is_on_disk_within_the_hour_and_goes_on_from_there() -> None:
    one = sharing()
    assert one.next_deadline() is None
    one.ledger.enter(("g", "w"), HALF, owner=ATLAS)
    due = one.next_deadline()
    assert due is not None
    assert due.at_s == NOW + HOUR_S
    one.advance(due.at_s - 1)
    assert rows_of(one, due.at_s - 1) == {}
    one.advance(due.at_s)
    rows = rows_of(one, due.at_s)
    assert sorted(rows) == [f"{ATLAS}/", f"{ATLAS}/{ATLAS}"]
    again = Sharing(ROOM, Alone(), rows, due.at_s)
    assert again.standing(ATLAS) == one.standing(ATLAS) > (0, 0)


def test_a_host_counts_what_it_leases_and_what_it_holds_for_its_owner() -> None:
    one = One(FACTS)
    one.leases()
    owner = KeyId(ADMIN.signer.key)
    assert one.host.ledger.taken() == {owner: EACH.running}
    one.host.tick(NOW + 9 * HOUR_S)
    assert one.host.sharing.priority(owner) == 1.0, "the site's own comes first whatever it used"
    one.around.said = SitePolicy("s1", 1, NOW, (), Priority.SHARES, 1)
    one.host.tick(NOW + 9 * HOUR_S + 1)
    assert (
        one.host.sharing.priority(owner) < one.host.sharing.priority(KeyId(RIVAL.signer.key)) == 1.0
    )


def test_a_host_keeps_its_part_of_what_its_sites_policy_guarantees() -> None:
    one = One(FACTS)
    terms = VoTerms("atlas", ATLAS, guaranteed=Quantum(3000, 1 << 20, 99))
    one.around.said = SitePolicy("s1", 1, NOW, (), vos=(terms,))
    one.host.tick(NOW + 1)
    free = one.host.ledger.free_for
    assert free(ALWAYS, owner=CMS, firm=True).cpus_milli == ROOM.cpus_milli - 3000
    assert free(ALWAYS, owner=CMS) == free(ALWAYS, owner=ATLAS, firm=True) == ROOM
    one.around.said = None
    one.host.tick(NOW + 2)
    assert free(ALWAYS, owner=CMS, firm=True) == ROOM


def test_what_is_guaranteed_is_not_held_for_another_and_best_effort_work_makes_way_for_it() -> None:
    one, owner = One(FACTS), KeyId(RIVAL.signer.key)
    lines = (Line("", 3, "[vo.atlas]"), Line("guaranteed", 9, "guaranteed = {cpus = 3.8}"))
    atlas = VoTerms("atlas", ATLAS, guaranteed=Quantum(3800), lines=lines)
    one.around.said = SitePolicy("s1", 1, NOW, (), vos=(atlas, VoTerms("s2", owner)))
    one.host.tick(NOW + 1)
    quote = one.quote(owner=owner)
    assert (quote.free.cpus_milli, quote.guaranteed.quantum.cpus_milli) == (200, 3800)
    assert quote.guaranteed.to == "atlas by policy 1 of site s1, line 9"
    reply = one.holds(RIVAL.up(shop(1), NOW))
    assert reply.held == ()
    (_, why), *_ = reply.refused
    assert str(why).endswith(
        f"free 0.2; 3.8 cpus are kept for {quote.guaranteed.to}; best effort may use them"
    )
    assert one.quote(owner=ATLAS).guaranteed == Guaranteed()
    best = one.quote(structs.replace(TIME, useful_s=600.0), owner=owner)
    assert best.guaranteed == Guaranteed()


def test_best_effort_work_makes_way_for_who_is_guaranteed_the_room() -> None:
    one, owner = One(structs.replace(FACTS, capacity=EACH + Quantum(disk_bytes=1 << 40))), RIVAL
    key = KeyId(owner.signer.key)
    terms = VoTerms("s2", key, guaranteed=EACH)
    one.around.said = SitePolicy("s1", 1, NOW, (), vos=(terms,))
    one.host.tick(NOW + 1)
    lent = ADMIN.up(shop(1, lease=LeaseTerms(best_effort=True)), NOW)
    assert one.holds(lent).held == ("web-1",)
    assert one.quote(owner=key).free.cpus_milli == EACH.cpus_milli
    assert one.holds(owner.up(shop(1), NOW)).held == ("web-1",)
    assert one.host.leases.preemption.turn(NOW + 2) == [grid_id(lent)], "it is suspended now"
