"""Steps from any observed state lead to the wanted one, in a kernel simulated by its own rules."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netns.inside import Wireguard, WireguardPeer, inside_address
from netns.model import Egress, Neighbour, NetworkPlan, Port, mac_of, tap_name
from netns.plan.difference import removal, steps
from netns.plan.wanted import wanted
from netns.resources import (
    Action,
    ArpEntry,
    BridgeEntry,
    CopyEntry,
    Filter,
    Gateway,
    Key,
    Link,
    LinkKind,
    LinkSettings,
    Namespace,
    Rate,
    Resource,
    Service,
    Step,
    TunnelEntry,
    WayOut,
)

NETWORK, VNI = "lan", 5


WIREGUARD = Wireguard(
    inside_address("me"),
    7701,
    tuple(
        WireguardPeer(f"peer-{n}", f"{n}{'A' * 42}=", inside_address(f"peer-{n}"))
        for n in (2, 3, 4)
    ),
)


def _via(carrier: str, via: int) -> str:
    return inside_address(f"peer-{via}") if carrier == "wireguard" else f"192.0.2.{via}"


def _plan(
    local: set[int],
    remote: dict[int, int],
    mtu: int,
    egress: Egress | None = None,
    carrier: str = "plain",
    rates: Mapping[int, int] = {},
    multicast: bool = False,
) -> NetworkPlan:
    def address(number: int) -> str:
        return f"10.1.0.{number + 2}"

    def mac(number: int) -> str:
        return mac_of(NETWORK, address(number))

    plan = NetworkPlan(
        NETWORK, "t", VNI, "10.1.0.0/24", "10.1.0.1", mtu, "192.0.2.1", "star", 1,
        tuple(
            Port(
                tap_name(NETWORK, str(n)),
                mac(n),
                address(n),
                f"w{n}",
                paired=n % 2 == 1,
                bits_s=rates.get(n, 0),
            )
            for n in sorted(local)
        ),
        tuple(
            Neighbour(mac(n), address(n), f"w{n}", _via(carrier, via), f"peer-{via}")
            for n, via in sorted(remote.items()) if n not in local
        ),
        egress=egress,
        sealed=carrier == "sealed",
        wireguard=WIREGUARD if carrier == "wireguard" else None,
        multicast=multicast,
    )  # fmt: skip
    plan.check()
    return plan


plans = st.builds(
    _plan,
    st.sets(st.integers(0, 5), max_size=4),
    st.dictionaries(st.integers(0, 5), st.integers(2, 4), max_size=4),
    st.sampled_from([1400, 1450]),
    st.sampled_from([None, Egress(("10.0.0.0/8",), ("192.0.2.53",))]),
    st.sampled_from(["plain", "sealed", "wireguard"]),
    st.dictionaries(st.integers(0, 5), st.sampled_from([10**6, 10**8]), max_size=3),
    st.booleans(),
)


class Simulated:
    """As the kernel: what hangs on a thing goes with it, and needs it to be there."""

    def __init__(self, state: list[Resource]) -> None:
        self.state = state

    def take(self, step: Step) -> None:
        resource = step.resource
        if step.action is Action.DELETE:
            assert resource in self.state, f"{step}: is not there"
            self._drop(resource)
            return
        same = [other for other in self.state if other.key == resource.key]
        if step.action is Action.ADD and isinstance(resource, Link | Namespace):
            assert not same, f"{step}: is there already"
        for other in same:
            self._drop(other)
        for needed in _needs(resource):
            assert needed in {other.key for other in self.state}, f"{step}: needs {needed}"
        if isinstance(resource, BridgeEntry):
            (settings,) = self._with_key(("settings", resource.link))
            assert isinstance(settings, LinkSettings)
            assert settings.master == resource.bridge, f"{step}: not a port of the bridge"
        self.state.append(resource)

    def _with_key(self, key: Key) -> list[Resource]:
        return [resource for resource in self.state if resource.key == key]

    def _drop(self, gone: Resource) -> None:
        self.state.remove(gone)
        if not isinstance(gone, Link | Namespace):
            return
        for other in list(self.state):
            if gone.key not in _needs(other) or other not in self.state:
                continue
            if isinstance(other, WayOut):  # the host's rules are still there
                self.state[self.state.index(other)] = replace(other, inside="", outside="")
            elif isinstance(other, Rate):  # so is the link beside the tap
                self.state[self.state.index(other)] = replace(other, to_bits_s=0, from_bits_s=0)
            elif isinstance(other, Service):  # the process lives on, where nobody looks
                self.state[self.state.index(other)] = Service(other.namespace, "", "", "")
            elif isinstance(other, LinkSettings) and gone.key == ("link", other.master):
                self.state[self.state.index(other)] = replace(other, master="")
            else:
                self._drop(other)


def _needs(resource: Resource) -> set[Key]:
    match resource:
        case LinkSettings(name=name, master=master):
            return {("link", name)} | ({("link", master)} if master else set())
        case BridgeEntry(bridge=bridge, link=link):
            return {("link", bridge), ("link", link)}
        case TunnelEntry(vxlan=vxlan) | ArpEntry(vxlan=vxlan) | CopyEntry(vxlan=vxlan):
            return {("link", vxlan)}
        case Gateway(namespace=namespace, link=link):
            return {("namespace", namespace), ("link", link)}
        case Rate(tap=tap):
            return {("link", tap)}
        case Link(kind=LinkKind.VETH, namespace=namespace):
            return {("namespace", namespace)}
        case Service(namespace=namespace) | WayOut(namespace=namespace):
            return {("namespace", namespace)}
        case _:
            return set()


def _harmed(resource: Resource, how: int) -> Resource:
    match resource:
        case Link(kind=LinkKind.PORT):
            return resource
        case Link(kind=LinkKind.CARD):
            return replace(resource, mac="02:00:00:00:00:99")
        case Link(kind=LinkKind.BRIDGE):
            return replace(resource, kind=LinkKind.FOREIGN)
        case Link():
            return replace(resource, safe=False, namespace="")
        case LinkSettings():
            return replace(resource, up=False, amiss=True, floods=not resource.floods)
        case Gateway():
            return replace(resource, mtu=1, checksum_offload=True)
        case TunnelEntry():
            return replace(resource, via="192.0.2.99")
        case ArpEntry():
            return replace(resource, mac="02:00:00:00:00:99")
        case Filter():
            return replace(resource, ruleset="")
        case Rate():
            return replace(resource, from_bits_s=0, to_bits_s=8)
        case WayOut():
            return replace(resource, rules="", leads=False)
        case Service():
            return replace(resource, names="" if how else resource.names, config=str(how))
        case _:
            return resource


@st.composite
def observed(draw: st.DrawFn) -> list[Resource]:
    """What an earlier plan left: cut off anywhere, harmed anywhere, with holes that can be."""
    world = Simulated([])
    whole = steps(wanted(draw(plans)), [])
    for step in whole[: draw(st.integers(0, len(whole)))]:
        world.take(step)
    for resource in list(world.state):
        hole = draw(st.integers(0, 9))
        if resource not in world.state or isinstance(resource, LinkSettings | Gateway):
            continue
        if hole == 0:
            world._drop(resource)
    for resource in list(world.state):
        if resource in world.state and draw(st.integers(0, 9)) == 0:
            worse = _harmed(resource, draw(st.integers(0, 1)))
            if isinstance(worse, Link) and worse.kind is LinkKind.FOREIGN:
                world._drop(resource)  # ours only in name: nothing of ours hangs on it
                world.state.append(worse)
            elif worse != resource:
                world.state[world.state.index(resource)] = worse
    if draw(st.booleans()):
        double = [entry for entry in world.state if isinstance(entry, TunnelEntry)]
        world.state += [replace(entry, via="192.0.2.98") for entry in double]
    return world.state


@given(plans, observed())
def test_the_steps_lead_to_what_is_wanted(plan: NetworkPlan, state: list[Resource]) -> None:
    goal = wanted(plan)
    world = Simulated(list(state))
    for step in steps(goal, state):
        world.take(step)
    assert sorted(world.state, key=repr) == sorted(goal, key=repr)
    assert steps(goal, world.state) == []


@given(observed())
def test_removal_leaves_nothing(state: list[Resource]) -> None:
    world = Simulated(list(state))
    for step in removal(state):
        world.take(step)
    assert world.state == []


@given(plans)
def test_a_filter_stands_before_what_it_watches_and_outlives_it(plan: NetworkPlan) -> None:
    up = [step.resource for step in steps(wanted(plan), [])]
    down = [step.resource for step in removal(wanted(plan))]
    first_link = next(index for index, one in enumerate(up) if isinstance(one, Link))
    last_link = max(index for index, one in enumerate(down) if isinstance(one, Link))
    assert up.index(_filter(up)) < first_link
    assert down.index(_filter(down)) > last_link


def test_a_member_that_moved_away_costs_no_gap_for_the_others() -> None:
    before, after = _plan({0, 1}, {2: 2}, 1450), _plan({0}, {1: 2, 2: 2}, 1450)
    done = [str(step) for step in steps(wanted(after), wanted(before))]
    moved = after.neighbours[0].mac
    assert done == [
        f"delete link {before.ports[1].tap}",
        "replace filter bridge ovl_000005",
        f"add bridge-entry ovb-000005 {moved}",
        f"add tunnel-entry ovx-000005 {moved}",
        f"add arp-entry ovx-000005 {after.neighbours[0].address}",
        "replace service ovl-t-000005",
    ]


def test_a_network_that_is_sealed_from_now_on_has_no_tunnel_in_the_clear() -> None:
    before = _plan({0}, {2: 2}, 1450)
    after = replace(before, sealed=True, mtu=1418)
    done = [str(step) for step in steps(wanted(after), wanted(before))]
    shut = done.index("replace filter inet ovl_000005")
    assert done.index("delete link ovx-000005") < shut < done.index("add link ovs-000005")
    assert not [step for step in done[shut:] if "ovx" in step or "tunnel-entry" in step]
    assert f"add bridge-entry ovb-000005 {after.neighbours[0].mac}" in done


def test_a_rate_that_is_changed_touches_nothing_else() -> None:
    before = _plan({0, 1}, {2: 2}, 1450, rates={0: 10**6})
    after = _plan({0, 1}, {2: 2}, 1450, rates={0: 10**8, 1: 10**6})
    held, other = (port.tap for port in after.ports)
    assert [str(step) for step in steps(wanted(after), wanted(before))] == [
        f"replace rate {held}",
        f"add rate {other}",
    ]
    free = _plan({0, 1}, {2: 2}, 1450)
    assert [str(step) for step in steps(wanted(free), wanted(before))] == [f"delete rate {held}"]


def test_groups_are_copied_to_each_host_once() -> None:
    plain = _plan({0}, {1: 2, 2: 2, 3: 4}, 1450, multicast=True)
    entries = [one.via for one in wanted(plain) if isinstance(one, CopyEntry)]
    assert entries == ["192.0.2.2", "192.0.2.4"]
    floods = {one.name for one in wanted(plain) if isinstance(one, LinkSettings) and one.floods}
    assert floods == {plain.vxlan, plain.ports[0].tap}
    sealed = replace(plain, sealed=True)
    assert not [one for one in wanted(sealed) if isinstance(one, CopyEntry)]


def _filter(resources: list[Resource]) -> Resource:
    return next(one for one in resources if isinstance(one, Filter))
