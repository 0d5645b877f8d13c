"""What an owner is guaranteed: no firm promise to another takes it, and what yields makes way for it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.capacity.ledger import Ledger, Yields
from protocol.capacity.quantum import Guaranteed, Quantum
from protocol.capacity.timetable import ALWAYS, Occupancy, Window
from protocol.terms.ids import KeyId

ROOM = Quantum(10, 10, 100)
ATLAS, CMS = KeyId("atlas"), KeyId("cms")


def window(start_s: float, end_s: float) -> Window:
    return Window(start_s, end_s, end_s)


def ledger(**guaranteed: int) -> Ledger:
    made = Ledger(ROOM)
    kept = {KeyId(who): Quantum(n, n) for who, n in guaranteed.items()}
    made.guarantee(kept, {who: f"{who} by a policy" for who in kept})
    return made


def cpus(of: Ledger, owner: KeyId, time: Window = ALWAYS, *, firm: bool = True) -> int:
    return of.free_for(time, owner=owner, firm=firm).cpus_milli


def test_it_is_kept_from_others_and_lent_to_what_yields() -> None:
    one = ledger(atlas=4)
    assert (cpus(one, CMS), cpus(one, ATLAS)) == (6, 10)
    assert cpus(one, CMS, firm=False) == 10
    assert one.free_for(ALWAYS, True, CMS, firm=True) == Quantum(6, 6, 100), "also for reservations"


def test_what_the_owner_has_is_part_of_it() -> None:
    one = ledger(atlas=4)
    one.enter(("a", "w"), Quantum(3, 3), owner=ATLAS)
    assert (cpus(one, CMS), cpus(one, ATLAS)) == (6, 7)
    one.enter(("a", "v"), Quantum(3, 3), owner=ATLAS)
    assert (cpus(one, CMS), cpus(one, ATLAS)) == (4, 4), "and what it has beyond that is not"


def test_what_yields_makes_way_for_its_owner_and_for_no_more_than_it_is_guaranteed() -> None:
    one = ledger(atlas=4)
    for name in ("old", "new"):
        yields = Yields((name, "w"), float(name == "new"), 1)
        one.enter((name, "w"), Quantum(5, 5), ALWAYS, yields, CMS)
    assert (cpus(one, CMS), cpus(one, ATLAS)) == (0, 4)
    one.enter(("a", "w"), Quantum(4, 4), owner=ATLAS)
    one.check()
    assert one.until_s["new", "w"] <= one.now_s < one.until_s["old", "w"]
    assert cpus(one, ATLAS) <= 1, "nothing more makes way for it"


def test_what_is_kept_for_others_is_told_and_for_whom() -> None:
    one = ledger(atlas=4, cms=2, star=1)
    kept = Quantum(5, 5)
    assert one.guaranteed(ALWAYS, owner=CMS) == Guaranteed(
        kept, "atlas by a policy, and star by a policy"
    )
    said = "atlas by a policy, and cms by a policy, and 1 other"
    assert one.guaranteed(ALWAYS, owner=KeyId("who")) == Guaranteed(Quantum(7, 7), said)
    one.enter(("a", "w"), Quantum(4, 4), window(0.0, 100.0), owner=ATLAS)
    assert one.guaranteed(window(0.0, 50.0), owner=CMS) == Guaranteed(
        Quantum(1, 1), "star by a policy"
    )
    one.enter(("s", "w"), Quantum(1, 1), window(0.0, 100.0), owner=KeyId("star"))
    assert one.guaranteed(window(0.0, 50.0), owner=CMS) == Guaranteed(), "they have it"


def test_it_counts_at_each_moment() -> None:
    one = ledger(atlas=4)
    one.enter(("a", "w"), Quantum(4, 4), window(0.0, 100.0), owner=ATLAS)
    assert cpus(one, CMS, window(0.0, 200.0)) == 6
    one.enter(("c", "w"), Quantum(6, 6), window(0.0, 50.0), owner=CMS)
    assert cpus(one, CMS, window(0.0, 50.0)) == 0
    assert cpus(one, CMS, window(50.0, 200.0)) == 6


def test_a_lease_is_not_made_longer_into_it_unless_it_is_there_already() -> None:
    one = ledger(atlas=4)
    longer = (Occupancy(0.0, 200.0, Quantum(7, 7)),)
    one.enter(("c", "w"), Quantum(6, 6), window(0.0, 100.0), owner=CMS)
    assert one.fits(("c", "w"), (Occupancy(0.0, 200.0, Quantum(6, 6)),))
    assert not one.fits(("c", "w"), longer)
    assert one.spans(("c", "w")) == (Occupancy(0.0, 100.0, Quantum(6, 6)),)
    one.guarantee({ATLAS: Quantum(9, 9)}, {ATLAS: "atlas by a policy"})
    assert one.fits(("c", "w"), (Occupancy(0.0, 90.0, Quantum(6, 6)),)), "the policy is newer"
    one.check()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["atlas", "cms", "star"]), st.booleans(), st.integers(1, 6),
            st.integers(0, 9), st.integers(1, 9),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_whatever_others_are_promised_it_is_there(
    asks: list[tuple[str, bool, int, int, int]],
) -> None:
    one = ledger(atlas=4, cms=2)
    for number, (who, best_effort, size, start, lasts) in enumerate(asks):
        time, owner = window(float(start), float(start + lasts)), KeyId(who)
        quantum = Quantum(size, size)
        if quantum.fits(one.free_for(time, owner=owner, firm=not best_effort)):
            yields = Yields((str(number), "w"), float(number), 1) if best_effort else None
            one.enter((str(number), "w"), quantum, time, yields, owner)
        one.check()
        for at in range(20):
            moment = window(float(at), at + 1.0)
            for vo, most in ((ATLAS, 4), (CMS, 2)):
                has = sum(
                    s.quantum.cpus_milli
                    for n, (w, be, *_) in enumerate(asks[: number + 1])
                    if w == vo and not be
                    for s in one.spans((str(n), "w"))
                    if s.start_s <= at < s.end_s
                )
                assert cpus(one, vo, moment) >= most - has
