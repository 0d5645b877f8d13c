"""What grids on a host have taken, and whom they keep apart from."""

from protocol.hosting.taken import Cotenant, PortUser, Taken
from protocol.terms.ids import GridId, KeyId

S1, S2, S3 = (KeyId(digit * 64) for digit in "123")
NAMESAKE = KeyId("9" * 64)
"""Another VO that calls itself like the owner of S1."""
HERE = Taken(
    {},
    {},
    (
        Cotenant(S1, "s1", "main", ()),
        Cotenant(S1, "s1", "shy", ("shop",)),
        Cotenant(S1, "s1", "main", ("shop",)),
        Cotenant(S2, "s2", "other", ("shop",)),
    ),
    {8080: PortUser(GridId("g"), "web-1", S1, "s1", "shop")},
)


def test_grids_are_kept_apart_whichever_says_so_and_each_is_named_once() -> None:
    assert HERE.apart_from(S1, "s1", "shop", ()) == ("shy", "main")
    assert HERE.apart_from(S1, "s1", "shop", ("main",)) == ("main", "shy")
    assert HERE.apart_from(S1, "s1", "else", ("shop",)) == ()


def test_only_grids_of_the_same_owner_are() -> None:
    assert HERE.apart_from(S2, "s2", "shop", ("main",)) == ("other",)
    assert HERE.apart_from(S3, "s3", "shop", ("main", "other")) == ()


def test_another_of_the_same_name_is_another_owner() -> None:
    assert HERE.apart_from(NAMESAKE, "s1", "shop", ("main",)) == ()
    assert HERE.ports_of_others(NAMESAKE, "s1", "shop") == (8080,)
    assert HERE.ports_of_others(S1, "s1", "shop") == ()


def test_a_plan_goes_by_the_name_as_its_owner_s_key_is_not_known() -> None:
    assert HERE.apart_from(KeyId(""), "s1", "shop", ()) == ("shy", "main")
    assert HERE.ports_of_others(KeyId(""), "s1", "shop") == ()


def test_a_grid_is_not_apart_from_itself() -> None:
    alone = Taken({}, {}, (Cotenant(S1, "s1", "shop", ("shop",)),))
    assert alone.apart_from(S1, "s1", "shop", ("shop",)) == ()
