"""What grids on a host have taken, and whom they keep apart from."""

from protocol.hosting.taken import Cotenant, Taken

HERE = Taken(
    {},
    {},
    (
        Cotenant("s1", "main", ()),
        Cotenant("s1", "shy", ("shop",)),
        Cotenant("s1", "main", ("shop",)),
        Cotenant("s2", "other", ("shop",)),
    ),
)


def test_grids_are_kept_apart_whichever_says_so_and_each_is_named_once() -> None:
    assert HERE.apart_from("s1", "shop", ()) == ("shy", "main")
    assert HERE.apart_from("s1", "shop", ("main",)) == ("main", "shy")
    assert HERE.apart_from("s1", "else", ("shop",)) == ()


def test_only_grids_of_the_same_site_s_admin_are() -> None:
    assert HERE.apart_from("s2", "shop", ("main",)) == ("other",)
    assert HERE.apart_from("s3", "shop", ("main", "other")) == ()


def test_a_grid_is_not_apart_from_itself() -> None:
    alone = Taken({}, {}, (Cotenant("s1", "shop", ("shop",)),))
    assert alone.apart_from("s1", "shop", ("shop",)) == ()
