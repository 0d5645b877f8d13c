"""From a part to networks and machines: which addresses and sizes count."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, ME, OTHER, HostWorld

from netns.inside import Wireguard, inside_address
from netns.model import Egress, Exposed, NetworkPlan
from overlayd.ports.seeds import Seed, SeedNic
from overlayd.realise import plan
from overlayd.realise.paths import network_name
from overlayd.realise.sealing import networks_of
from protocol.grid.addresses import plan as cards_of
from protocol.grid.attached import Attached
from protocol.grid.expand import workspaces
from protocol.grid.exposed import ExposedPort
from protocol.grid.grant import HoldGrant, SignedGrant
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.model import (
    SIX_AUTO,
    ClusterSpec,
    Encryption,
    Exposure,
    ImageRef,
    NetworkSpec,
    Transport,
)
from protocol.grid.record import Applied, Assignment, KeptVolume
from protocol.grid.six import address6, cidr6_of
from protocol.grid.tunnel import TunnelEnd
from protocol.hosting.part import Part, PartOf
from protocol.terms.wireguard import WireguardEnd
from protocol.wire.codec import encode

SITE = plan.Site(ME, "abc123", "192.0.2.1", 1450)
SITE_WITH_SIX = msgspec.structs.replace(SITE, ipv6=True)


def part_of(folder: Path, *ends: tuple[str, TunnelEnd]) -> Part:
    world = HostWorld(folder)
    world.digest = "d" * 64

    async def wanted() -> None:
        await world.start()
        world.want()
        await world.end()

    asyncio.run(wanted())
    assert world.part is not None
    return msgspec.structs.replace(world.part, ends=ends)  # type: ignore[arg-type]


def network(part: Part, site: plan.Site = SITE) -> NetworkPlan:
    (found,) = plan.networks(part, site)
    found.check()
    return found


def test_frames_go_where_a_host_says_that_it_is_now(tmp_path: Path) -> None:
    assert network(part_of(tmp_path)).neighbours == (), "it has not said where it is"
    moved = network(part_of(tmp_path, (OTHER, TunnelEnd("192.0.2.9", 1450))))
    assert [n.via for n in moved.neighbours] == ["192.0.2.9"]
    assert moved.underlay == "192.0.2.1"


def test_frames_go_to_hosts_of_the_same_family_and_not_to_this_host_itself(tmp_path: Path) -> None:
    by_ipv6 = msgspec.structs.replace(SITE, underlay="2001:db8::1", mtu=1430)
    part = part_of(tmp_path, (OTHER, TunnelEnd("2001:db8::9", 1430)))
    assert [n.via for n in network(part, by_ipv6).neighbours] == ["2001:db8::9"]
    assert network(part).neighbours == ()
    for loop in ("127.0.0.1", "::1"):
        itself = msgspec.structs.replace(part, ends=((OTHER, TunnelEnd(loop, 1430)),))
        assert network(itself).neighbours == network(itself, by_ipv6).neighbours == ()


def test_a_card_is_held_to_the_rate_of_its_workspace_or_to_what_its_site_says(
    tmp_path: Path,
) -> None:
    part = part_of(tmp_path)
    assert [port.bits_s for port in network(part).ports] == [0, 0]
    site = msgspec.structs.replace(SITE, guest_bits_s=10**9)
    assert [port.bits_s for port in network(part, site).ports] == [10**9, 10**9]
    mine, other = part.mine
    workspace = msgspec.structs.replace(mine.workspace, network_bits_s=10**8)
    mine = msgspec.structs.replace(mine, workspace=workspace)
    held = msgspec.structs.replace(part, mine=(mine, other))
    assert [port.bits_s for port in network(held, site).ports] == [10**8, 10**9]


def test_a_sealed_network_knows_its_members_by_their_hosts(tmp_path: Path) -> None:
    """Where these are is the forwarder's business, so the plan stays as it is while they move."""
    part = part_of(tmp_path)
    (lan,) = part.spec.networks
    asked = msgspec.structs.replace(lan, encryption=Encryption.REQUIRED)
    spec = msgspec.structs.replace(part.spec, networks=(asked,))
    silent = network(msgspec.structs.replace(part, spec=spec))
    assert [(n.peer, n.via) for n in silent.neighbours] == [(OTHER, "")]
    assert (silent.sealed, silent.mtu) == (True, SITE.mtu - 32)
    told = msgspec.structs.replace(part, spec=spec, ends=((OTHER, TunnelEnd("192.0.2.9", 1450)),))
    assert network(told) == silent
    shut_out = msgspec.structs.replace(part, spec=spec, out=(OTHER,))
    assert network(shut_out).neighbours == ()
    narrow = msgspec.structs.replace(part, spec=spec, takes=((OTHER, 1318),))
    assert network(narrow) == msgspec.structs.replace(silent, told_mtu=1318)
    assert plan.told_mtu_of(narrow, SITE) == {"lan": 1318}
    assert network(msgspec.structs.replace(part, takes=((OTHER, 1318),))).told_mtu == 1450, "plain"


def test_a_network_inside_wireguard_knows_hosts_by_their_keys(tmp_path: Path) -> None:
    def end(address: str, key: bytes) -> TunnelEnd:
        return TunnelEnd(address, 1450, 7700, WireguardEnd(key, 7701))

    part = part_of(tmp_path)
    (lan,) = part.spec.networks
    spec = msgspec.structs.replace(
        part.spec, networks=(msgspec.structs.replace(lan, encryption=Encryption.REQUIRED),)
    )
    grants = tuple(
        SignedGrant(host, encode(HoldGrant(GRID, part.record.on(host), (), wireguard=True)), b"")
        for host in (ME, OTHER)
    )
    record = msgspec.structs.replace(part.record, grants=grants)
    part = msgspec.structs.replace(part, spec=spec, record=record)
    site = msgspec.structs.replace(SITE, wireguard_port=7702, wireguard_key=b"m" * 32)

    def told(*ends: tuple[str, TunnelEnd]) -> NetworkPlan:
        return network(msgspec.structs.replace(part, ends=ends), site)  # type: ignore[arg-type]

    silent = told()
    assert (silent.sealed, silent.neighbours, silent.mtu) == (False, (), SITE.mtu - 80)
    assert silent.wireguard == Wireguard(inside_address(ME), 7702)
    whole = told((OTHER, end("192.0.2.9", b"k" * 32)))
    assert [(n.peer, n.via) for n in whole.neighbours] == [(OTHER, inside_address(OTHER))]
    assert whole.wireguard is not None
    (peer,) = whole.wireguard.peers
    assert (peer.peer, peer.address) == (OTHER, inside_address(OTHER))
    assert peer.key == "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
    assert peer.endpoint == "192.0.2.9:7701"
    for here in (SITE.underlay, "127.0.0.1"):
        at = told((OTHER, end(here, b"k" * 32))).wireguard
        assert at is not None
        assert at.peers[0].endpoint == "", "nothing is sent to this host itself"
    assert told((OTHER, end("192.0.2.9", b"m" * 32))).neighbours == (), "that is this host's key"
    assert told((OTHER, TunnelEnd("192.0.2.9", 1450, 7700))).neighbours == ()
    lost = msgspec.structs.replace(site, wireguard_key=b"")
    (unable,) = plan.networks(part, lost)
    with pytest.raises(ValueError, match="which this host cannot do any more"):
        unable.check()
    out = msgspec.structs.replace(part, ends=((OTHER, end("192.0.2.9", b"k" * 32)),), out=(OTHER,))
    assert network(out, site).wireguard == silent.wireguard, "who is out has no key here"


def test_only_a_network_with_internet_gets_the_way_out_of_its_host(tmp_path: Path) -> None:
    part, way = part_of(tmp_path), Egress(("10.0.0.0/8",), ("192.0.2.53",))
    site = msgspec.structs.replace(SITE, egress=way)
    assert [n.egress for n in plan.networks(part, site)] == [None]
    (network,) = part.spec.networks
    spec = msgspec.structs.replace(
        part.spec, networks=(msgspec.structs.replace(network, internet=True),)
    )
    asked = msgspec.structs.replace(part, spec=spec)
    assert [n.egress for n in plan.networks(asked, site)] == [way]
    assert [n.egress for n in plan.networks(asked, SITE)] == [None], "there is none here"


def test_groups_are_heard_everywhere_where_a_network_asks_for_that(tmp_path: Path) -> None:
    part = part_of(tmp_path)
    (lan,) = part.spec.networks
    for asked in (False, True):
        asks = msgspec.structs.replace(lan, multicast=asked, encryption=Encryption.REQUIRED)
        spec = msgspec.structs.replace(part.spec, networks=(asks,))
        found = network(msgspec.structs.replace(part, spec=spec))
        (sealed,) = networks_of([found])
        assert (found.multicast, sealed.multicast) == (asked, asked)


def exposing(part: Part, *expose: Exposure, exposes: tuple[ExposedPort, ...]) -> Part:
    """The same, its first workspace being reached from outside."""
    first, *others = part.mine
    workspace = msgspec.structs.replace(first.workspace, expose=expose)
    mine = (msgspec.structs.replace(first, workspace=workspace), *others)
    return msgspec.structs.replace(part, mine=mine, exposes=exposes)


def test_ports_lead_to_guests_that_run_and_ask_for_them(tmp_path: Path) -> None:
    part = part_of(tmp_path)
    site = msgspec.structs.replace(SITE, exposed_at="198.51.100.7")
    name = part.mine[0].workspace.name
    held = tuple(ExposedPort(name, port, Transport.TCP, 31_000 + port) for port in (22, 443))
    reached = exposing(part, Exposure(443), exposes=held)
    found = network(reached, site)
    address = next(port.address for port in found.ports if port.name == name)
    assert found.exposed == (Exposed(address, 443, "tcp", 31_443),), "22 is to come in its turn"
    assert found.exposed_at == "198.51.100.7"
    assert network(part, site) == msgspec.structs.replace(found, exposed=())
    first, *others = reached.mine
    off = msgspec.structs.replace(first, wanted=Wanted(name, Power.OFF))
    stopped = msgspec.structs.replace(reached, mine=(off, *others))
    plans = plan.networks(stopped, site, ending=frozenset({name}))
    assert [each.exposed for each in plans] == [()]


def test_a_guest_is_reached_by_the_network_that_its_answers_go_out_by(tmp_path: Path) -> None:
    """The first with a way out; without any, the first, which so gets the default route."""
    part = part_of(tmp_path)
    lan, far, wan = (
        NetworkSpec(name, f"10.{n}.0.0/24", Encryption.NONE, internet=name == "wan")
        for n, name in enumerate(("lan", "far", "wan"), start=42)
    )
    for networks, by in (((lan, far), "lan"), ((lan, far, wan), "wan")):
        head = ClusterSpec(
            "head", 1, ImageRef("tiny"), 250, 128 << 20,
            networks=tuple(n.name for n in networks), expose=(Exposure(443),),
        )  # fmt: skip
        spec = msgspec.structs.replace(part.spec, networks=networks, clusters=(head,))
        (member,) = workspaces(spec)
        mine = PartOf(member, Wanted(member.name), ())
        record = msgspec.structs.replace(
            part.record,
            assignments=(Assignment(member.name, ME),),
            vnis=tuple((n.name, i) for i, n in enumerate(networks, start=1)),
        )
        exposes = (ExposedPort(member.name, 443, Transport.TCP, 31_443),)
        whole = Part(record, spec, cards_of(spec), (mine,), keeps=(), exposes=exposes)
        site = msgspec.structs.replace(SITE, exposed_at="198.51.100.7")
        ways = [p.network.rpartition(".")[2] for p in plan.networks(whole, site) if p.exposed]
        assert ways == [by]
        nics = plan.seed(whole, mine, plan.mtu_of(whole, site)).nics
        assert [nic.way_out for nic in nics] == [n.name == by for n in networks]


def test_a_network_knows_by_name_who_is_on_the_other_network_of_a_guest(tmp_path: Path) -> None:
    """head-1 is on lan and wan. It asks the DNS server of one of them for the names of both."""
    part = part_of(tmp_path)
    head = ClusterSpec("head", 1, ImageRef("tiny"), 250, 128 << 20, networks=("lan", "wan"))
    far = msgspec.structs.replace(head, name="far", networks=("wan",))
    near = msgspec.structs.replace(head, name="near", networks=("lan",))
    alone = msgspec.structs.replace(head, name="alone", networks=("own",))
    spec = msgspec.structs.replace(
        part.spec,
        networks=tuple(
            NetworkSpec(name, f"10.{n}.0.0/24", Encryption.NONE)
            for n, name in enumerate(("lan", "wan", "own"), start=42)
        ),
        clusters=(head, far, near, alone),
    )
    members = workspaces(spec)
    mine = tuple(PartOf(w, Wanted(w.name), ()) for w in members)
    record = msgspec.structs.replace(
        part.record,
        assignments=tuple(Assignment(w.name, ME) for w in members),
        vnis=(("lan", 1), ("wan", 2), ("own", 3)),
    )
    whole = Part(record, spec, cards_of(spec), mine, keeps=())
    lan, wan, own = plan.networks(whole, SITE)
    assert [name for name, _ in lan.others] == ["far-1"]
    assert [name for name, _ in wan.others] == ["near-1"]
    assert own.others == (), "nobody there is on another network"
    assert dict(lan.others)["far-1"].startswith("10.43.0.")
    for each in (lan, wan, own):
        each.check()
    gone = msgspec.structs.replace(
        record, assignments=tuple(a for a in record.assignments if a.workspace != "far-1")
    )
    lan, *_ = plan.networks(msgspec.structs.replace(whole, record=gone), SITE)
    assert lan.others == (), "who was taken out has no name"
    six = msgspec.structs.replace(
        spec,
        networks=tuple(
            msgspec.structs.replace(one, cidr6=f"fd42:{n}::/64")
            for n, one in enumerate(spec.networks, start=1)
        ),
    )
    lan, wan, own = plan.networks(msgspec.structs.replace(whole, spec=six), SITE_WITH_SIX)
    assert (lan.cidr6, wan.cidr6, own.cidr6) == ("fd42:1::/64", "fd42:2::/64", "fd42:3::/64")
    (far_address,) = dict(lan.others).values()
    assert lan.others6 == (("far-1", address6("fd42:2::/64", far_address)),)
    for each in (lan, wan, own):
        each.check()


def test_a_network_has_ipv6_where_kernel_and_packets_allow_it(tmp_path: Path) -> None:
    part = with_six(part_of(tmp_path))
    assert network(part, SITE_WITH_SIX).cidr6.startswith("fd")
    assert network(part, SITE).cidr6 == "", "a kernel without it"
    narrow = msgspec.structs.replace(SITE_WITH_SIX, mtu=1279)
    assert network(part, narrow).cidr6 == ""
    (mine, *_) = part.mine
    (nic, *_) = plan.seed(part, mine, {"lan": 1400}).nics
    cidr6 = cidr6_of(part.spec.networks[0], part.record.id)
    assert nic.address6 == f"{address6(cidr6, nic.address.partition('/')[0])}/64"
    (nic, *_) = plan.seed(part, mine, {"lan": 1279}).nics
    assert nic.address6 == ""


def test_a_host_that_is_attached_is_known_by_its_ipv4_address_alone(tmp_path: Path) -> None:
    part = with_six(part_of(tmp_path))
    lan = msgspec.structs.replace(part.spec.networks[0], encryption=Encryption.REQUIRED)
    part = msgspec.structs.replace(
        part,
        spec=msgspec.structs.replace(part.spec, networks=(lan,)),
        attached=(Attached("lan", OTHER, "10.42.0.99", "bnl"),),
    )
    assert [one.four_alone for one in network(part, SITE_WITH_SIX).neighbours] == [False, True]


def with_six(part: Part) -> Part:
    lan = msgspec.structs.replace(part.spec.networks[0], cidr6=SIX_AUTO)
    return msgspec.structs.replace(part, spec=msgspec.structs.replace(part.spec, networks=(lan,)))


def test_an_address_that_is_this_host_s_own_now_leads_nowhere_else(tmp_path: Path) -> None:
    behind = network(part_of(tmp_path, (OTHER, TunnelEnd(SITE.underlay, 1450))))
    assert behind.neighbours == ()
    assert len(behind.ports) == 2


def test_the_network_takes_what_all_its_hosts_carry(tmp_path: Path) -> None:
    part = part_of(
        tmp_path, (ME, TunnelEnd("192.0.2.1", 1450)), (OTHER, TunnelEnd("192.0.2.2", 1350))
    )
    assert network(part).mtu == 1350
    assert network(part_of(tmp_path)).mtu == 1450
    small = msgspec.structs.replace(SITE, mtu=1300)
    assert network(part, small).mtu == 1300, "its own as it is now, not as it told"
    assert plan.mtu_of(part, small) == {"lan": 1300}
    assert plan.networks(part, small)[0].network == network_name(GRID, "lan")
    assert part.mine[0].wanted.power is Power.RUNNING


def seed_of(part: Part, *networks: NetworkSpec) -> Seed:
    """The seed of a workspace on these networks."""
    names = tuple(network.name for network in networks)
    alone = ClusterSpec("head", 1, ImageRef("tiny"), 250, 128 << 20, networks=names)
    spec = msgspec.structs.replace(part.spec, networks=networks, clusters=(alone,))
    (member,) = workspaces(spec)
    mine = PartOf(member, Wanted(member.name), ())
    whole = Part(part.record, spec, cards_of(spec), (mine,), keeps=())
    return plan.seed(whole, mine, dict.fromkeys(names, 1400), b"#!/bin/sh\n")


def test_a_guest_has_one_way_out_and_one_way_to_the_metadata(tmp_path: Path) -> None:
    part = part_of(tmp_path)
    lan, wan, far = (
        NetworkSpec(name, f"10.{n}.0.0/24", Encryption.NONE, internet=n > 42)
        for n, name in enumerate(("lan", "wan", "far"), start=42)
    )
    ways = [(nic.way_out, nic.metadata) for nic in seed_of(part, lan, wan, far).nics]
    assert ways == [(False, False), (True, True), (False, False)]
    assert [(nic.way_out, nic.metadata) for nic in seed_of(part, lan).nics] == [(False, True)]
    told = seed_of(part, lan)
    assert told.nics[0].address == "10.42.0.10/24"
    assert (told.nics[0].gateway, told.nics[0].mtu) == ("10.42.0.1", 1400)
    assert told.domain == part.record.name
    assert told.user_data == b"#!/bin/sh\n"
    assert seed_of(part).nics == ()
    assert seed_of(part).domain == "", "without a network nobody knows it by name"


def test_a_guest_boots_for_the_first_time_again_when_its_root_disk_is_made_anew(
    tmp_path: Path,
) -> None:
    part = part_of(tmp_path)
    mine = part.mine[0]

    def id_of(**wanted: int) -> str:
        changed = msgspec.structs.replace(mine.wanted, **wanted)
        told = plan.seed(
            part, msgspec.structs.replace(mine, wanted=changed), plan.mtu_of(part, SITE)
        )
        return told.instance_id

    assert id_of() == id_of(boot=7)
    assert len({id_of(), id_of(build=2), id_of(build=3)}) == 3


def test_one_that_waits_for_its_turn_has_a_volume_that_its_grid_has_no_more(tmp_path: Path) -> None:
    part = part_of(tmp_path)
    head = next(mine for mine in part.mine if mine.workspace.mounts)
    before = plan.disks(part, head)
    kept = tuple(
        KeptVolume(v.name, ME, v.size_bytes, head.workspace.name) for v in part.spec.volumes
    )
    became = Applied(part.record.order, "attempt", volumes=kept)
    record = msgspec.structs.replace(part.record, became=became)
    spec = msgspec.structs.replace(part.spec, volumes=())
    assert plan.disks(msgspec.structs.replace(part, record=record, spec=spec), head) == before


def test_one_that_waits_for_its_turn_has_no_card_on_a_network_that_it_is_on_no_more(
    tmp_path: Path,
) -> None:
    part = part_of(tmp_path)
    mine = next(each for each in part.mine if each.workspace.networks)
    assert len(nics_of(part, mine)) == len(mine.workspace.networks)
    spec = msgspec.structs.replace(part.spec, networks=())
    gone = msgspec.structs.replace(part, spec=spec, cards=())
    assert nics_of(gone, mine) == ()
    assert plan.networks(gone, SITE) == ()


def nics_of(part: Part, mine: PartOf) -> tuple[SeedNic, ...]:
    return plan.seed(part, mine, plan.mtu_of(part, SITE)).nics
