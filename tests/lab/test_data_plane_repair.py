"""Networks brought about again after harm, after a change of plan, after death; and taken down."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import World, ask_dns, eventually

from netns import apply, program
from netns.failures import NetnsError, StaleEpoch
from netns.kernel import namespaces
from netns.model import METADATA_ADDRESS, Neighbour
from netns.resources import Step


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[World]:
    """The lab alone: no guest, no network."""
    made = World(tmp_path)
    try:
        made.lab.up()
        yield made
    finally:
        made.tear_down()


def test_a_second_ensure_takes_no_step(world: World) -> None:
    assert world.ensure("a") == []
    assert world.observe("a") == (world.network,)


def test_harm_is_seen_and_mended(world: World) -> None:
    plan, host = world.plans["a"], world.lab.namespace("a")
    tap, far = plan.ports[0].tap, plan.neighbours[0]
    harms = [
        f"ip -n {host} link set {tap} nomaster",
        f"ip -n {host} link set {tap} down",
        f"ip -n {host} link set {plan.vxlan} mtu 1300",
        f"ip -n {host} link set {plan.vxlan} type bridge_slave flood on learning on",
        f"ip -n {host} link set {plan.vxlan} type vxlan id {plan.vni} learning",
        f"ip -n {host} link set {plan.bridge} type bridge stp_state 1",
        f"ip -n {host} link delete {plan.vxlan}",
        f"ip -n {host} link delete {plan.veth}",
        f"ip netns delete {plan.namespace}",
        f"ip -n {plan.namespace} address flush dev gw0",
        f"ip -n {plan.namespace} address delete {METADATA_ADDRESS}/32 dev gw0",
        f"bridge -n {host} fdb replace {far.mac} dev {plan.vxlan} self permanent dst 192.0.2.77",
        f"bridge -n {host} fdb append 00:00:00:00:00:00 dev {plan.vxlan} self dst 192.0.2.2",
        f"bridge -n {host} fdb delete {far.mac} dev {plan.vxlan} master",
        f"ip -n {host} neigh flush dev {plan.vxlan} nud permanent",
        f"ip -n {host} neigh replace 10.42.0.99 lladdr {far.mac} dev {plan.vxlan} nud permanent",
        f"nsenter --net=/run/netns/{host} nft add rule bridge {plan.table} from_guest accept",
        f"nsenter --net=/run/netns/{host} nft delete table bridge {plan.table}",
    ]
    for harm in harms:
        program.run(harm.split())
        assert world.ensure("a"), f"not seen: {harm}"
        assert world.ensure("a") == [], f"not mended: {harm}"
        assert world.guests["head"].pings("10.42.0.4"), harm
        assert world.guests["head"].pings("10.42.0.1"), harm


def test_a_network_that_was_plain_is_sealed_and_kept_so(bare: World) -> None:
    bare.ensure("a")
    plain, host = bare.plans["a"], bare.lab.namespace("a")
    afar = tuple(replace(each, via="", peer="b") for each in plain.neighbours)
    plan = replace(plain, epoch=2, sealed=True, neighbours=afar)
    bare.ensure("a", plan)
    assert plan.vxlan not in bare.left_on("a")
    harms = [
        f"ip -n {host} link delete {plan.tunnel}",
        f"ip -n {host} link set {plan.tunnel} nomaster",
        f"ip -n {host} link set {plan.tunnel} mtu 1300 down",
        f"bridge -n {host} fdb delete {afar[0].mac} dev {plan.tunnel} master",
        f"nsenter --net=/run/netns/{host} nft flush chain inet {plan.table} output",
        f"ip -n {host} link add {plan.vxlan} type vxlan id {plan.vni} dstport 4789 dev {plan.veth}",
    ]
    for harm in harms:
        program.run(harm.split())
        assert bare.ensure("a", plan), f"not seen: {harm}"
        assert bare.ensure("a", plan) == [], f"not mended: {harm}"
    bare.remove("a")
    assert bare.observe("a") == ()
    assert bare.left_on("a") == ""


def test_a_killed_name_service_is_started_again(world: World) -> None:
    inside = world.guests["head"].namespace
    pid = int((world.run_dirs["a"] / world.network / "dnsmasq.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid not in namespaces.pids(world.plans["a"].namespace), "its end")
    assert world.ensure("a")
    assert world.ensure("a") == []
    assert namespaces.inside(inside, lambda: ask_dns("far", "10.42.0.1")) == (0, ["10.42.0.4"])


def test_a_bridge_lost_is_made_again_with_all_its_ports(world: World) -> None:
    plan = world.plans["a"]
    program.run(["ip", "-n", world.lab.namespace("a"), "link", "delete", plan.bridge])
    assert world.ensure("a")
    assert world.ensure("a") == []
    assert world.guests["head"].pings("10.42.0.4")


def test_a_new_remote_member_is_told_to_dns_without_a_restart(world: World) -> None:
    plan, inside = world.plans["a"], world.guests["head"].namespace
    pid_file = world.run_dirs["a"] / world.network / "dnsmasq.pid"
    before = pid_file.read_text()
    late = Neighbour("02:00:0a:2a:00:09", "10.42.0.9", "late", "192.0.2.2")
    assert world.ensure("a", replace(plan, epoch=2, neighbours=(*plan.neighbours, late)))
    eventually(
        lambda: namespaces.inside(inside, lambda: ask_dns("late", "10.42.0.1"))[1] == ["10.42.0.9"],
        "the new name's answer",
    )
    assert pid_file.read_text() == before


def test_a_member_moves_to_the_other_host(world: World) -> None:
    a, b, far = world.plans["a"], world.plans["b"], world.guests["far"]
    assert world.guests["head"].pings("10.42.0.4")
    moved = b.ports[0]
    namespaces.delete(far.namespace)  # and its card with it
    gone = Neighbour(moved.mac, moved.address, "far", a.underlay)
    world.ensure("b", replace(b, epoch=2, ports=(), neighbours=(*b.neighbours, gone)))
    far.host = world.lab.namespace("a")
    eventually(lambda: not far.card_exists(), "end of the old card")
    far.plug_in()
    world.ensure("a", replace(a, epoch=2, ports=(*a.ports, moved), neighbours=()))
    far.take_address()
    assert world.guests["head"].pings("10.42.0.4")


def test_an_older_epoch_changes_nothing(world: World) -> None:
    plan = world.plans["a"]
    world.ensure("a", replace(plan, epoch=5))
    with pytest.raises(StaleEpoch, match=r"epoch 4 .* epoch\s+5"):
        world.ensure("a", replace(plan, epoch=4, neighbours=()))
    assert world.guests["head"].pings("10.42.0.4")


def test_another_vni_leaves_nothing_of_the_first(bare: World) -> None:
    plan = bare.plans["a"]
    bare.ensure("a")
    bare.ensure("a", replace(plan, epoch=2, vni=plan.vni ^ 1))
    left = bare.left_on("a")
    assert plan.bridge not in left
    assert plan.table not in left
    assert not namespaces.is_mounted(plan.namespace)


@pytest.mark.parametrize("keep_state", [True, False])
def test_remove_leaves_nothing(bare: World, keep_state: bool) -> None:
    bare.ensure("a")
    assert bare.left_on("a")
    directory = bare.run_dirs["a"] / bare.network
    if not keep_state:
        (directory / "plan.json").unlink()
    assert bare.observe("a") == (bare.network,)
    bare.remove("a")
    assert bare.observe("a") == ()
    assert bare.left_on("a") == ""
    bare.remove("a")


def test_a_namespace_without_a_history_is_found_and_removed(bare: World) -> None:
    name = bare.plans["a"].namespace
    namespaces.add(name)
    (found,) = bare.observe("a")
    assert found == f"vni-{bare.plans['a'].vni:06x}"
    bare.on("a", lambda: apply.remove(found, bare.run_dirs["a"], bare.tags["a"]))
    assert bare.observe("a") == ()
    assert not namespaces.is_mounted(name)


def test_killed_at_any_step_it_goes_on_from_there(
    bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = bare.plans["a"]
    total = len(bare.ensure("a"))
    bare.remove("a")
    assert total > 10
    for step in range(total + 1):
        _die_at(step, lambda: bare.ensure("a"), monkeypatch)
        if step % 2:
            bare.ensure("a")
            assert bare.ensure("a") == [], f"killed at step {step}"
        assert bare.observe("a") == (plan.network,)
        removals = 9 if step % 2 else 0
        _die_at(step % (removals + 1), lambda: bare.remove("a"), monkeypatch)
        bare.remove("a")
        assert bare.left_on("a") == "", f"killed at step {step}"
        assert bare.observe("a") == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"underlay": "192.0.2.99"}, "no link of this host has the underlay address"),
        ({"mtu": 1451}, "at most 1450 fits"),
        ({"mtu": 100}, "mtu 100 is not in"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    bare: World, change: dict[str, object], said: str
) -> None:
    with pytest.raises((NetnsError, ValueError), match=said):
        bare.ensure("a", replace(bare.plans["a"], **change))
    assert bare.left_on("a") == ""
    assert bare.observe("a") == ()


def _die_at(step: int, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `work` in a child that is killed for good before its step number `step`."""
    pid = os.fork()
    if pid == 0:
        taken = 0
        real: Callable[[Step, Path], None] = apply._apply

        def counted(what: Step, directory: Path) -> None:
            nonlocal taken
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            taken += 1
            real(what, directory)

        monkeypatch.setattr(apply, "_apply", counted)
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
