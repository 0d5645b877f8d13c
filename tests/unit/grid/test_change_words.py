"""What a change is called: by lines for its plan, in one line for the history, in numbers."""

import msgspec

from protocol.grid.apply import delta
from protocol.grid.change_words import (
    LINES_MOST,
    change_lines,
    disrupted,
    nothing_changes,
    numbers,
    summary,
)
from protocol.grid.expand import workspaces
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef, NetworkSpec
from protocol.terms.limits import PAST_CHARACTERS


def grid(**of_worker: object) -> GridSpec:
    worker = ClusterSpec("worker", 3, ImageRef("guest", "0" * 64), 1000, 1 << 30)
    grows = {"max_cpus_milli": 2000, "max_memory_bytes": 2 << 30}
    return GridSpec("star", (msgspec.structs.replace(worker, **grows | of_worker),))


def placed(spec: GridSpec) -> list[str]:
    return [workspace.name for workspace in workspaces(spec)]


def test_a_grid_that_is_as_asked_changes_nothing() -> None:
    found = delta(placed(grid()), grid(), grid())
    assert nothing_changes(found, grid(), grid())
    assert not nothing_changes(delta(["worker-1"], grid(), grid()), grid(), grid())
    labels = grid(labels=("gpu",))
    assert not nothing_changes(delta(placed(grid()), grid(), labels), grid(), labels)


def test_only_what_of_a_network_stays_is_told_to_stay() -> None:
    lan = NetworkSpec("lan", "10.42.0.0/24")
    old = msgspec.structs.replace(grid(), networks=(lan,))

    def told(**of_lan: object) -> list[str]:
        new = msgspec.structs.replace(old, networks=(msgspec.structs.replace(lan, **of_lan),))
        return change_lines(delta(placed(old), old, new), old, new, {})

    heard = "~ networks.lan.multicast false > true (touches no workspace)"
    assert heard in told(multicast=True)
    out = "~ networks.lan.internet false > true (not while it is up)"
    assert out in told(internet=True)
    gets = "~ networks.lan.cidr6 none > fd42:17::/64 (touches no workspace)"
    assert gets in told(cidr6="fd42:17::/64")


def test_a_network_that_has_ipv6_keeps_it_while_it_is_up() -> None:
    old, new = (
        msgspec.structs.replace(grid(), networks=(NetworkSpec("lan", "10.42.0.0/24", cidr6=six),))
        for six in ("fd42:17::/64", "fd42:18::/64")
    )
    said = "~ networks.lan.cidr6 fd42:17::/64 > fd42:18::/64 (not while it is up)"
    assert said in change_lines(delta(placed(old), old, new), old, new, {})


def test_a_long_change_is_cut_in_the_history_and_counted_in_the_plan() -> None:
    many = grid(count=200, cpus_milli=2000)
    found = delta(placed(grid()), grid(), many)
    lines = change_lines(found, grid(), many, {})
    assert f"+ {197 - LINES_MOST} more" in lines
    assert numbers(found) == "197 to add, 3 to change"
    longest = grid(
        image=ImageRef("i" * 63, "1" * 64),
        cpus_milli=2000,
        memory_bytes=2 << 30,
        scratch_bytes=1 << 30,
    )
    said = summary(delta(placed(grid()), grid(), longest), grid(), longest)
    assert said.endswith(" > " + "i" * 63 + ", cpus 1 > 2...")
    assert len(said) <= PAST_CHARACTERS
    sized = grid(
        count=5, cpus_milli=2000, memory_bytes=2 << 30, scratch_bytes=1 << 30, labels=("x",)
    )
    sized = msgspec.structs.replace(sized, ssh_authorized_keys=("ssh-ed25519 " + "A" * 60,))
    said = summary(delta(placed(grid()), grid(), sized), grid(), sized)
    assert len(said) <= PAST_CHARACTERS
    assert said.startswith("+2 worker, worker-1 to worker-3 cpus 1 > 2, ")
    assert said.endswith(", and 2 more"), "no part is cut where others fit"


def test_only_what_goes_or_is_started_again_is_disrupted() -> None:
    live = grid(count=2, memory_bytes=2 << 30)
    assert disrupted(delta(placed(grid()), grid(), live)) == ("worker-3",)
    anew = grid(image=ImageRef("debian", "1" * 64))
    assert len(disrupted(delta(placed(grid()), grid(), anew))) == 3
