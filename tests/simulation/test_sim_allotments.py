"""Hosts of a site share its ceilings, through the register that its policy names."""

from sharing_site import Shared


def test_hosts_take_their_parts_and_all_that_is_allowed_is_to_be_had() -> None:
    shared = Shared(1, workspaces=6)
    shared.world.run(30.0)
    assert 0 < shared.limits <= 6
    shared.up("one", 6)
    assert shared.world.run_until(lambda: shared.workspaces == 6, 60.0)
    shared.up("two", 1)
    shared.world.run(30.0)
    assert (shared.workspaces, shared.limits) == (6, 6)


def test_two_that_ask_at_one_moment_do_not_have_more_together_than_is_allowed() -> None:
    shared = Shared(2, workspaces=6)
    shared.world.run(30.0)
    for name in ("one", "two", "three"):
        shared.up(name, 4)
    assert not shared.world.run_until(lambda: max(shared.workspaces, shared.limits) > 6, 60.0)
    assert shared.world.run_until(lambda: shared.workspaces == 4, 60.0)


def test_what_a_dead_host_was_allotted_is_nobodys_until_it_is_back() -> None:
    shared = Shared(3, workspaces=6)
    shared.world.run(30.0)
    dead = shared.hosts[-1]
    had = shared.limit(dead).workspaces
    assert had > 0
    dead.crash()
    shared.up("one", 6)
    assert not shared.world.run_until(lambda: shared.workspaces > 6 - had, 60.0)
    shared.up("two", 6 - had)
    assert shared.world.run_until(lambda: shared.workspaces == 6 - had, 60.0)
    dead.start()
    assert shared.world.run_until(lambda: shared.limits == 6, 60.0)


def test_a_lowered_ceiling_takes_what_is_not_used_and_leaves_what_is() -> None:
    shared = Shared(4, workspaces=9)
    shared.world.run(30.0)
    shared.up("one", 3)
    assert shared.world.run_until(lambda: shared.workspaces == 3, 60.0)
    shared.publish(workspaces=2)
    assert shared.world.run_until(lambda: shared.limits == 3, 120.0)
    shared.up("two", 1)
    shared.world.run(30.0)
    assert (shared.workspaces, shared.limits) == (3, 3)
