"""`plan` and `up` of a grid that is up, `diff`, `scale`, `resize`, `rollback`, `history`, on a real node."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from asked_daemon import Daemon
from one_host import FACTS

from overlayd.api.views import GridView
from overlayd.cli import changing
from overlayd.cli.changing import Change, make, preview
from overlayd.cli.failure import INTERRUPTED, Failure
from overlayd.cli.scaling import _changed
from overlayd.cli.session import Output, Session
from overlayd.cli.standing import standing_of
from protocol.grid.model import GridSpec
from protocol.node.events import Probed
from protocol.node.standing import Standing
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.ids import RequestId


def edited(daemon: Daemon, old: str, new: str) -> Path:
    """The grid file, edited."""
    text = daemon.grid_file.read_text()
    assert old in text
    daemon.grid_file.write_text(text.replace(old, new))
    return daemon.grid_file


def boots(daemon: Daemon) -> dict[str, int]:
    """How often each workspace was started."""
    shown = json.loads(daemon.ask("show", "demo", "--output", "json").stdout)
    return {row["workspace"]: row["boot"] for row in shown["workspaces"]}


def opened(daemon: Daemon) -> tuple[Session, Standing]:
    """A session with the grid's identity, and what it is now."""
    session = Session(daemon.socket, Output.TABLE, daemon.host.site_dir)
    return session, standing_of(session, "demo")


def with_a_key(spec: GridSpec) -> GridSpec:
    """The grid with another key to log in by."""
    return msgspec.structs.replace(spec, ssh_authorized_keys=("ssh-ed25519 AAAA",))


def test_a_plan_of_a_changed_file_says_what_it_changes_and_changes_nothing(daemon: Daemon) -> None:
    daemon.up()
    assert "demo is up already" in daemon.ask("plan", daemon.grid_file).stdout
    file = edited(daemon, "count: 2", "count: 3")
    said = daemon.ask("plan", file).stdout
    assert said == "demo, epoch 1 > 2\n  + worker-3 on h1\n  = 3 unchanged\n1 to add\n"
    assert daemon.ask("plan", file, "--detailed-exitcode", code=2).stdout == said
    assert sorted(boots(daemon)) == ["head-1", "worker-1", "worker-2"]


def test_diff_asks_nobody(daemon: Daemon) -> None:
    assert "demo is not up" in daemon.ask("diff", daemon.grid_file, code=2).stdout
    daemon.up()
    assert daemon.ask("diff", daemon.grid_file).stdout == "demo is up as the file says\n"
    file = edited(daemon, "memory: 256M", "memory: 192M")
    said = daemon.ask("diff", file, code=2).stdout
    assert "~ head-1 memory 256 MiB > 192 MiB (live)" in said


def test_diff_lists_nothing_as_if_it_could_be_changed_that_cannot(daemon: Daemon) -> None:
    daemon.up()
    file = edited(daemon, "for: 6h", "for: 8h")
    assert daemon.ask("diff", file, code=2).stdout.splitlines() == [
        "demo, epoch 1",
        "  ~ lease.for 6 h > 8 h (not while it is up)",
        "  = 3 unchanged",
        "no workspace is touched",
        "not while it is up:",
        "  lease: 8 h, but it was made for 6 h",
        "    would work: `overlayctl lease extend demo DURATION`, or `lease shorten`",
    ]
    told = json.loads(daemon.ask("diff", file, "-o", "json", code=2).stdout)
    assert told["cannot"][0] == "lease: 8 h, but it was made for 6 h"


def test_a_program_is_told_what_differs_also_if_nothing_does(daemon: Daemon) -> None:
    words = ("diff", daemon.grid_file, "-o", "json")
    told = json.loads(daemon.ask(*words, code=2).stdout)
    assert told == {"grid": "demo", "epoch": 0, "delta": None, "lines": [], "cannot": []}
    daemon.up()
    same = json.loads(daemon.ask(*words).stdout)
    assert (same["epoch"], same["delta"]["added"], same["lines"]) == (1, [], [])
    assert json.loads(daemon.ask("scale", "demo/worker=2", "-o", "json").stdout) == same
    edited(daemon, "count: 2", "count: 3")
    told = json.loads(daemon.ask(*words, code=2).stdout)
    assert told["delta"]["added"] == ["worker-3"]
    assert told["lines"] == ["+ worker-3", "= 3 unchanged"]


def test_up_of_a_changed_file_needs_somebody_who_agrees(daemon: Daemon) -> None:
    daemon.up()
    file = edited(daemon, "count: 2", "count: 3")
    said = daemon.ask("up", file, code=2).stderr
    assert "demo is up, and this changes it: 1 to add" in said
    assert f"would work: overlayctl up {file} -y" in said
    said = daemon.ask("up", file, "-y").stdout
    assert "demo is changed (+1 worker): 4 workspaces on 1 host, epoch 2" in said
    assert sorted(boots(daemon)) == ["head-1", "worker-1", "worker-2", "worker-3"]
    assert "demo is up" in daemon.ask("up", file).stdout


def test_up_of_what_is_up_says_so_and_not_that_it_was_made(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("up", daemon.grid_file, "-y").stdout
    assert "demo is up already: 3 workspaces on 1 host at 1 site" in said
    assert "committed" not in said


def test_who_may_not_change_a_grid_is_told_before_anything_is_asked(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.up()
    session, standing = opened(daemon)
    theirs = msgspec.structs.replace(standing, owner_site="uc")
    spec = with_a_key(standing.spec)
    monkeypatch.setattr(session.client, "post", None)
    with pytest.raises(Failure) as failed:
        make(session, Change(theirs, spec), "overlayctl scale", yes=False, no_wait=False)
    assert list(failed.value.lines) == [
        "demo is a grid of site uc's admin, and an identity of site ams's admin was named",
        "  would work: the same with --identity of site uc's admin",
    ]
    nobody = Session(daemon.socket, Output.TABLE, None)
    with pytest.raises(Failure, match="no identity was named"):
        make(nobody, Change(standing, spec), "overlayctl scale", yes=True, no_wait=False)


def test_scale_takes_the_newest_and_touches_nobody_else(daemon: Daemon) -> None:
    daemon.up()
    before = boots(daemon)
    daemon.ask("scale", "demo/worker=+2", "-y")
    grown = boots(daemon)
    assert sorted(grown) == ["head-1", "worker-1", "worker-2", "worker-3", "worker-4"]
    daemon.ask("scale", "demo/worker=1", "-y")
    assert boots(daemon) == {name: before[name] for name in ("head-1", "worker-1")}


def test_what_has_no_room_now_is_told_when_there_is(daemon: Daemon) -> None:
    daemon.up()
    text = daemon.grid_file.read_text()
    other = daemon.folder / "other.yaml"
    other.write_text(
        text.replace("grid: demo", "grid: other")
        .replace("for: 6h", "for: 1h")
        .replace("memory: 256M", "memory: 3G")
    )
    daemon.ask("up", other)
    said = daemon.ask("scale", "demo/worker=+4", "-y", code=1).stderr
    assert "would work: as asked, in 1 h" in said
    said = daemon.ask("resize", "demo/head", "--memory", "1G", "-y", code=1).stderr
    assert "it needs 768 MiB more memory" in said
    assert "would work: as asked, in 1 h" in said
    said = daemon.ask("scale", "demo/worker=+40", "-y", code=1).stderr
    assert "as asked" not in said, "the grid itself has ended when there is so much room"


def test_what_cannot_be_scaled_says_what_can(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("scale", "demo/worker", code=2).stderr
    assert "would work: overlayctl scale star/worker=8" in said
    said = daemon.ask("scale", "demo/worker=0", code=2).stderr
    assert "demo cannot have 0 of worker; the fewest are 1" in said
    said = daemon.ask("scale", "demo/workers=2", code=2).stderr
    assert "would work: one of head, worker" in said
    said = daemon.ask("scale", "demos/worker=2", code=1).stderr
    assert "there is no grid demos\n" in said


def test_what_which_takes_leaves_no_least_that_nobody_asked_for(daemon: Daemon) -> None:
    daemon.up()
    daemon.ask("scale", "demo/worker=4", "-y")
    daemon.ask("scale", "demo/worker=-1", "--which", "worker-1", "-y")
    daemon.ask("scale", "demo/worker=-1", "--which", "worker-3", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-2", "worker-4"]
    daemon.ask("scale", "demo/worker=1", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-2"]


def test_a_least_that_the_file_says_is_kept_to(daemon: Daemon) -> None:
    edited(daemon, "count: 2", "count: 4\n    min: 2")
    daemon.up()
    said = daemon.ask("scale", "demo/worker=1", "-y", code=2).stderr
    assert "demo cannot have 1 of worker; the fewest are 2" in said
    daemon.ask("scale", "demo/worker=3", "--which", "worker-1", "-y")
    said = daemon.ask("scale", "demo/worker=1", "-y", code=2).stderr
    assert "the fewest are 2" in said


def test_a_least_that_the_file_says_outlives_going_down_to_it(daemon: Daemon) -> None:
    edited(daemon, "count: 2", "count: 3\n    min: 2")
    daemon.up()
    daemon.ask("scale", "demo/worker=2", "--which", "worker-1", "-y")
    daemon.ask("scale", "demo/worker=4", "-y")
    said = daemon.ask("scale", "demo/worker=1", "-y", code=2).stderr
    assert "demo cannot have 1 of worker; the fewest are 2" in said
    said = daemon.ask("history", "demo").stdout
    assert "min" not in said


def test_more_than_a_network_holds_names_it_and_what_would_work(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("scale", "demo/worker=300", "-y", code=2).stderr
    assert "demo cannot be that: networks.lan.cidr: 301 workspaces asked" in said
    assert "would work: fewer of worker; or in the grid file another network" in said


def test_which_that_does_not_leave_so_many_says_what_works(daemon: Daemon) -> None:
    daemon.up()
    words = ("scale", "demo/worker=2", "--which", "worker-1")
    said = daemon.ask(*words, "-y", code=2).stderr
    assert "demo has 2 of worker; without worker-1 1 are left" in said
    assert "would work: overlayctl scale demo/worker=1 --which worker-1\n" in said
    said = daemon.ask(*words, "--which", "worker-2", "-y", code=2).stderr
    assert "would work: --which with at most 1 of them; the fewest are 1" in said


def test_a_resize_is_one_change_of_a_cluster(daemon: Daemon) -> None:
    daemon.up()
    daemon.ask("resize", "demo/head-1", "--cpus", "1", "--memory", "192M", "-y")
    standing = daemon.ask("diff", daemon.grid_file, code=2).stdout
    assert "~ head-1 cpus 1 > 0.5, memory 192 MiB > 256 MiB" in standing
    said = daemon.ask("resize", "demo/head", "--cpus", "many", code=2).stderr
    assert '--cpus: "many" cannot be read' in said
    said = daemon.ask("resize", "demo/head", code=2).stderr
    assert "resize needs a cluster of a grid or one of its workspaces" in said
    assert "would work: overlayctl resize demo/head --cpus 2" in said
    said = daemon.ask("resize", "head", "--cpus", "1", code=2).stderr
    assert "would work: overlayctl resize star/head --cpus 2" in said
    assert boots(daemon)["head-1"] == 1


def test_one_of_a_cluster_is_resized_alone(daemon: Daemon) -> None:
    edited(daemon, "count: 2", "count: 3")
    daemon.up()
    said = daemon.ask("resize", "demo/worker-2", "--memory", "96M", code=2).stderr
    assert "~ worker-2 memory 128 MiB > 96 MiB (live)" in said
    assert "= 3 unchanged" in said
    daemon.ask("resize", "demo/worker-2", "--memory", "96M", "-y")
    daemon.ask("resize", "demo/worker-2", "--cpus", "0.5", "-y")
    told = daemon.ask("diff", daemon.grid_file, code=2).stdout
    assert "~ worker-2 cpus 0.5 > 0.25, memory 96 MiB > 128 MiB" in told
    assert boots(daemon)["worker-1"] == 1
    daemon.ask("rollback", "demo", "-y")
    assert "cpus" not in daemon.ask("diff", daemon.grid_file, code=2).stdout
    daemon.ask("resize", "demo/worker", "--memory", "112M", "-y")
    told = daemon.ask("diff", daemon.grid_file, code=2).stdout
    assert "~ worker-1 to worker-3 memory 112 MiB > 128 MiB" in told


def test_a_rate_is_changed_while_it_runs_and_refused_beyond_what_is_left(daemon: Daemon) -> None:
    capacity = msgspec.structs.replace(FACTS.capacity, network_bits_s=200_000_000)
    facts = msgspec.structs.replace(FACTS, capacity=capacity)
    daemon.call(lambda: daemon.host.submit(Probed(facts)))
    edited(daemon, "count: 2", "count: 2\n    network-rate: 20M")
    daemon.up()
    (row,) = daemon.host.node.host.leases.rows()
    rates = {n: w.network_bits_s for n, w in daemon.host.node.host.leases.members(row).items()}
    assert (rates["worker-1"], rates["head-1"]) == (20_000_000, 0)
    said = daemon.ask("resize", "demo/worker", "--network-rate", "60M", code=2).stderr
    assert "~ worker-1, worker-2 network-rate 20 Mbit/s > 60 Mbit/s (live)" in said
    daemon.ask("resize", "demo/worker", "--network-rate", "60M", "-y")
    assert boots(daemon)["worker-1"] == 1
    said = daemon.ask("resize", "demo/worker-1", "--network-rate", "1G", "-y", code=1).stderr
    assert "it needs 940 Mbit/s more network-rate, and 80 Mbit/s are free there" in said
    assert "would work: network-rate 140M for worker-1, now" in said


def test_rates_of_disks_are_changed_while_it_runs_and_refused_beyond_what_is_left(
    daemon: Daemon,
) -> None:
    capacity = msgspec.structs.replace(
        FACTS.capacity,
        network_bits_s=200_000_000,
        disk_bytes_s=200 << 20,
        disk_operations_s=1000,
    )
    facts = msgspec.structs.replace(FACTS, capacity=capacity)
    daemon.call(lambda: daemon.host.submit(Probed(facts)))
    edited(daemon, "count: 2", "count: 2\n    disk-rate: 20M")
    daemon.up()
    options = ("--disk-rate", "60M", "--disk-operations", "300", "-y")
    said = daemon.ask("resize", "demo/worker", *options[:-1], code=2).stderr
    assert "disk-rate 20 MiB/s > 60 MiB/s" in said
    assert "disk-operations none > 300 operations/s" in said
    daemon.ask("resize", "demo/worker", *options)
    assert boots(daemon)["worker-1"] == 1
    shown = daemon.ask("show", "demo").stdout
    assert re.search(r"worker +\S+ cpus, \S+ MiB, 2 GiB disk, 60 MiB/s, 300 operations/s\n", shown)
    daemon.ask("resize", "demo/worker-2", "--network-rate", "20M", "-y")
    shown = daemon.ask("show", "demo").stdout
    assert re.search(
        r"worker-1 +\S+ cpus, \S+ MiB, 2 GiB disk, 60 MiB/s, 300 operations/s\n", shown
    )
    assert re.search(r"worker-2 .*, 20 Mbit/s, 60 MiB/s, 300 operations/s\n", shown)
    view = msgspec.json.decode(daemon.ask("show", "demo", "-o", "json").stdout, type=GridView)
    told = {row.workspace: row for row in view.sizes}
    assert list(told) == ["head-1", "worker-1", "worker-2"]
    assert (told["worker-1"].network_bits_s, told["worker-2"].network_bits_s) == (0, 20_000_000)
    assert (told["head-1"].disk_bytes_s, told["worker-2"].disk_bytes_s) == (0, 60 << 20)
    assert told["worker-1"].disk_operations_s == 300
    said = daemon.ask("resize", "demo/worker-1", "--disk-rate", "1G", "-y", code=1).stderr
    assert "it needs 964 MiB/s more disk-rate, and 80 MiB/s are free there" in said
    assert "would work: disk-rate 140M for worker-1, now" in said
    said = daemon.ask("resize", "demo/worker", "--disk-operations", "few", "-y", code=2).stderr
    assert '--disk-operations: "few" cannot be read' in said
    assert "write a whole number, for example 500" in said


def test_a_size_of_its_own_can_be_in_the_file_and_goes_with_its_workspace(daemon: Daemon) -> None:
    edited(daemon, "count: 2", "count: 3\n    sizes: {worker-3: {memory: 96M}}")
    daemon.up()
    (row,) = daemon.host.node.host.leases.rows()
    sizes = {name: w.memory_bytes for name, w in daemon.host.node.host.leases.members(row).items()}
    assert (sizes["worker-2"], sizes["worker-3"]) == (128 << 20, 96 << 20)
    told = daemon.ask("scale", "demo/worker=2", code=2).stderr
    assert "- worker-3" in told
    daemon.ask("scale", "demo/worker=2", "-y")
    daemon.ask("scale", "demo/worker=3", "-y")
    assert (
        "~ worker-3 memory 128 MiB > 96 MiB" in daemon.ask("diff", daemon.grid_file, code=2).stdout
    )


def test_a_size_of_its_own_keeps_to_what_its_cluster_may_have(daemon: Daemon) -> None:
    edited(daemon, "count: 2", "count: 2\n    max-cpus: 1")
    daemon.up()
    said = daemon.ask("resize", "demo/worker-2", "--cpus", "2", "-y", code=2).stderr
    assert "clusters.worker.sizes.worker-2.cpus: found 2; allowed are 0.01 to 1 cpu" in said
    assert "would work: cpus and max-cpus in the grid file" in said


def test_a_resize_beyond_what_the_file_allows_says_so_in_its_words(daemon: Daemon) -> None:
    edited(daemon, "memory: 256M", "memory: 256M\n    max-memory: 512M")
    daemon.up()
    said = daemon.ask("resize", "demo/head", "--memory", "1G", "-y", code=2).stderr
    assert "cannot be that: clusters.head.max-memory: found 512 MiB; allowed are 1 GiB to" in said
    assert "would work: memory and max-memory in the grid file, and `overlayctl up` of it" in said
    said = daemon.ask("resize", "demo/head", "--memory", "0", "-y", code=2).stderr
    assert "cannot be that: clusters.head.memory: found 0 B; allowed are 32 MiB to" in said


def test_no_size_at_all_is_not_taken_for_that_of_the_others(daemon: Daemon) -> None:
    daemon.up()
    for option, least in (("--cpus", "0.01"), ("--memory", "32 MiB")):
        said = daemon.ask("resize", "demo/worker-1", option, "0", "-y", code=2).stderr
        assert f"clusters.worker.{option[2:]}: found 0" in said
        assert f"allowed are {least} to" in said


def test_a_resize_of_a_workspace_goes_by_those_there_are(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("resize", "demo/worker-7", "--cpus", "1", "-y", code=2).stderr
    assert 'demo has no "worker-7" in worker' in said
    assert "would work: one of worker-1 and worker-2; or demo/worker, for all of them" in said
    daemon.ask("scale", "demo/worker=1", "--which", "worker-1", "-y")
    said = daemon.ask("resize", "demo/worker-1", "--cpus", "1", "-y", code=2).stderr
    assert 'demo has no "worker-1" in worker' in said
    daemon.ask("resize", "demo/worker-2", "--cpus", "0.5", "-y")
    assert "worker-2 cpus 0.25 > 0.5" in daemon.ask("history", "demo").stdout


def test_a_rollback_goes_back_and_forth_and_history_tells_of_both(daemon: Daemon) -> None:
    daemon.up()
    assert "was never changed" in daemon.ask("rollback", "demo", code=1).stderr
    daemon.ask("scale", "demo/worker=3", "-y")
    daemon.ask("rollback", "demo", "-y")
    assert len(boots(daemon)) == 3
    daemon.ask("rollback", "demo", "-y")
    assert len(boots(daemon)) == 4
    told = json.loads(daemon.ask("history", "demo", "--output", "json").stdout)
    assert all(sorted(row) == ["action", "at_s", "by", "epoch", "said"] for row in told)
    assert [(row["epoch"], row["action"], row["by"], row["said"]) for row in told] == [
        (1, "up", "ams", ""),
        (2, "apply", "ams", "+1 worker"),
        (3, "apply", "ams", "-1 worker"),
        (4, "apply", "ams", "+1 worker"),
    ]
    assert "+1 worker" in daemon.ask("history", "demo").stdout


def test_what_was_left_out_is_not_asked_for_when_something_else_is_changed(daemon: Daemon) -> None:
    daemon.up()
    daemon.ask("scale", "demo/worker=1", "--which", "worker-1", "-y")
    session, standing = opened(daemon)
    change = _changed(standing, standing.spec.clusters[0], standing.spec.clusters[0])
    assert change.without == ("worker-1",)
    view = preview(session, change)
    assert view.delta is not None
    assert view.delta.added == ()


def test_a_rollback_brings_nothing_back_that_was_left_out_before(daemon: Daemon) -> None:
    daemon.up()
    daemon.ask("scale", "demo/worker=1", "--which", "worker-1", "-y")
    daemon.ask("resize", "demo/head", "--cpus", "1", "-y")
    daemon.ask("rollback", "demo", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-2"]


def test_a_rollback_brings_back_what_was_terminated_last_and_nothing_that_was_before(
    daemon: Daemon,
) -> None:
    daemon.up()
    daemon.ask("terminate", "demo/worker-2")
    daemon.ask("rollback", "demo", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-1", "worker-2"]
    daemon.ask("rollback", "demo", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-1"]
    daemon.ask("resize", "demo/head", "--cpus", "1", "-y")
    daemon.ask("rollback", "demo", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-1"]


def test_a_rollback_leaves_out_what_was_terminated_before_the_last_change(daemon: Daemon) -> None:
    daemon.up()
    daemon.ask("terminate", "demo/worker-2")
    daemon.ask("resize", "demo/head", "--cpus", "1", "-y")
    daemon.ask("rollback", "demo", "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-1"]


def test_history_of_a_grid_that_is_down_or_none(daemon: Daemon) -> None:
    assert "there is no grid nogrid\n" in daemon.ask("history", "nogrid", code=1).stderr
    daemon.up()
    daemon.ask("down", "demo", "--delete-volumes")
    assert "up" in daemon.ask("history", "demo").stdout


def test_what_was_terminated_comes_back_with_its_file(daemon: Daemon) -> None:
    daemon.up()
    daemon.ask("terminate", "demo/worker-2")
    assert sorted(boots(daemon)) == ["head-1", "worker-1"]
    daemon.ask("up", daemon.grid_file, "-y")
    assert sorted(boots(daemon)) == ["head-1", "worker-1", "worker-2"]


def test_what_cannot_be_changed_says_what_would_work(daemon: Daemon) -> None:
    daemon.up()
    file = edited(daemon, "10.42.0.0/24", "10.43.0.0/24")
    said = daemon.ask("plan", file, code=1).stderr
    assert "lan" in said
    assert "would work" in said


def test_nobody_is_asked_to_agree_to_what_cannot_be_changed(daemon: Daemon) -> None:
    daemon.up()
    file = edited(daemon, "for: 6h", "for: 8h")
    said = daemon.ask("up", file, code=1).stderr
    assert "cannot change demo: lease: 8 h, but it was made for 6 h" in said
    assert "would work: `overlayctl lease extend demo DURATION`" in said
    assert "-y" not in said


def test_ctrl_c_lets_go_of_what_is_not_decided(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.up()
    session, standing = opened(daemon)
    spec = with_a_key(standing.spec)
    real, real_raw, said = changing.follow, session.client.raw, list[str]()

    def interrupted(*asked: object) -> RequestView:
        monkeypatch.setattr(changing, "follow", real)
        raise KeyboardInterrupt

    def raw(method: str, path: str, *more: object, **named: object) -> object:
        said.extend([path] if method == "DELETE" else [])
        return real_raw(method, path, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(changing, "follow", interrupted)
    monkeypatch.setattr(session.client, "raw", raw)
    with pytest.raises(Failure) as failed:
        make(session, Change(standing, spec), "overlayctl up", yes=True, no_wait=False)
    assert len(said) == 1
    assert failed.value.code == INTERRUPTED


def test_a_guest_whose_first_boot_failed_is_not_waited_for(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.up()
    session, standing = opened(daemon)
    spec = with_a_key(standing.spec)
    now = RequestView(
        RequestId("r"),
        "apply",
        "demo",
        RequestState.RUNNING,
        "",
        0.0,
        (),
        (),
        troubles=("it failed",),
    )
    until = list[Callable[[RequestView], bool]]()

    def follow(
        session: Session, request: str, watch: object, over: Callable[[RequestView], bool]
    ) -> RequestView:
        until.append(over)
        return now

    monkeypatch.setattr(changing, "follow", follow)
    for waits in (False, True):
        with pytest.raises(Failure, match="it failed"):
            make(session, Change(standing, spec), "", yes=True, no_wait=False, keep_waiting=waits)
    assert [over(now) for over in until] == [True, False]


def test_a_network_comes_with_who_is_on_it_and_goes_again(daemon: Daemon) -> None:
    daemon.up()
    before = daemon.grid_file.read_text()
    more = before.replace(
        "networks:\n", "networks:\n  back: {cidr: 10.77.0.0/24, encryption: none}\n", 1
    )
    api = "  api: {image: guest, cpus: 0.25, memory: 64M, networks: [back]}\n"
    daemon.grid_file.write_text(more.replace("\nclusters:\n", f"\nclusters:\n{api}", 1))
    said = daemon.ask("plan", daemon.grid_file).stdout
    assert "  + network back 10.77.0.0/24\n  + api-1 on h1\n  = 3 unchanged\n" in said
    daemon.ask("up", daemon.grid_file, "-y")
    daemon.grid_file.write_text(before)
    daemon.ask("up", daemon.grid_file, "-y")
    assert "-network back" in daemon.ask("history", "demo").stdout
    assert boots(daemon)["head-1"] == 1
