"""A member's ceiling counts at all sites together, as far as hosts can see."""

from across_sites import Federation


def test_what_a_member_has_at_one_site_counts_at_another() -> None:
    fed = Federation()
    assert fed.up("first", 3, "s2")[0] == "done"
    fed.world.run(2.0)
    state, why = fed.up("second", 2, "s3")
    assert state == "failed"
    assert "the grant to ann has a ceiling for workspaces at all its sites together" in why
    assert "2 workspaces beside 3 workspaces" in why
    assert fed.running() == {"first": 3}
    assert fed.up("third", 1, "s3")[0] == "done"
