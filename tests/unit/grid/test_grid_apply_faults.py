"""What cannot be changed of a grid that is up, with what would work."""

from collections.abc import Callable

import msgspec
import pytest
from applying_world import GIB, RECORD, spec_of
from negotiating import A, B

from protocol.grid.apply_faults import apply_faults, network_faults
from protocol.grid.model import (
    SIX_AUTO,
    Encryption,
    GridSpec,
    LeaseTerms,
    Mount,
    NetworkSpec,
    OnExpiry,
    VolumeSpec,
)
from protocol.grid.record import KeptVolume
from protocol.grid.volumes import volumes_at

OLD = spec_of()
PLACED = RECORD.placed
VOLUMES = volumes_at(RECORD, OLD)


def faults(new: GridSpec, *without: str) -> tuple[str, ...]:
    return apply_faults(OLD, new, PLACED, VOLUMES, without)


def but(**said: object) -> GridSpec:
    return msgspec.structs.replace(OLD, **said)  # type: ignore[arg-type]


def network(**said: object) -> GridSpec:
    (lan,) = OLD.networks
    return but(networks=(msgspec.structs.replace(lan, **said),))  # type: ignore[arg-type]


def moved() -> GridSpec:
    """`data` is mounted by the first cluster, which has one workspace then, and not by db."""
    web, db = OLD.clusters
    one = msgspec.structs.replace(web, count=1, mounts=db.mounts)
    return but(clusters=(one, msgspec.structs.replace(db, mounts=())))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        pytest.param(lambda: but(name="nova"), "name: nova, but the grid", id="name"),
        pytest.param(lambda: but(vo="cms"), "vo: a grid runs for whom it was made", id="vo"),
        pytest.param(lambda: but(lease_s=3600), "lease: 1 h, but it was made for 1 d", id="lease"),
        pytest.param(
            lambda: but(lease=LeaseTerms(on_expiry=OnExpiry.SUSPEND)),
            "lease.on-expiry: the terms of a lease stay",
            id="terms-of-the-lease",
        ),
        pytest.param(
            lambda: network(cidr="10.43.0.0/24"), "networks.lan.cidr: 10.43.0.0/24", id="cidr"
        ),
        pytest.param(
            lambda: network(encryption=Encryption.REQUIRED), "networks.lan.encryption", id="sealing"
        ),
        pytest.param(lambda: network(internet=True), "networks.lan.internet", id="internet"),
        pytest.param(
            lambda: but(volumes=(VolumeSpec("data", GIB // 2),)),
            "volumes.data.size: 512 MiB, but it has 1 GiB",
            id="a-volume-shrinks",
        ),
        pytest.param(moved, "volumes.data: db-1 has it, and is up", id="a-volume-moves"),
    ],
)
def test_what_cannot_be_changed_says_so_and_what_would_work(
    new: Callable[[], GridSpec], said: str
) -> None:
    first, *_ = faults(new())
    assert first.startswith(said)
    assert "\n  would work: " in first


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(faults(but(name="nova", lease_s=60, vo="cms"))) == 3


@pytest.mark.parametrize(
    "new",
    [
        spec_of(7),
        spec_of(1),
        spec_of(db=False),
        spec_of(data_gib=2),
        spec_of(cpus_milli=1000, memory_bytes=GIB),
        spec_of(networks=()),
        but(ssh_authorized_keys=("ssh-ed25519 AAAA",)),
    ],
)
def test_what_can_be_changed_has_no_fault(new: GridSpec) -> None:
    assert faults(new) == ()


def test_something_must_be_left_and_only_what_is_there_can_be_left_out() -> None:
    (nothing,) = faults(OLD, "web-1", "web-2", "db-1")
    assert nothing == "nothing would be left of shop\n  would work: `overlayctl down shop`"
    assert faults(OLD, "web-3") == ("web-3: not in the grid, so it cannot be left out",)
    assert faults(OLD, "web-1", "web-1") == ("one workspace is left out twice",)
    assert faults(OLD, "web-1") == ()


def test_who_mounts_data_must_be_where_it_is() -> None:
    web, db = OLD.clusters
    mounts = (*db.mounts, Mount("log", "/log"))
    new = but(
        clusters=(web, msgspec.structs.replace(db, mounts=mounts)),
        volumes=(*OLD.volumes, VolumeSpec("log", GIB)),
    )
    there = (*VOLUMES, KeptVolume("log", B, GIB, "old-1"))
    assert apply_faults(OLD, new, PLACED, there) == ()
    elsewhere = (*VOLUMES, KeptVolume("log", A, GIB, "old-1"))
    first, second = apply_faults(OLD, new, PLACED, elsewhere)
    assert first.startswith("volumes.log: its data is on another host than db-1")
    assert second.startswith("clusters.db.volumes: the data of data and log is on several hosts")


def test_networks_come_and_go_and_those_that_stay_are_as_they_were() -> None:
    wan = NetworkSpec("wan", "10.44.0.0/24")
    assert faults(but(networks=(*OLD.networks, wan))) == ()
    assert faults(but(networks=(wan, *OLD.networks))) == ()
    both = but(networks=(*OLD.networks, wan))
    swapped = but(networks=(wan, *OLD.networks))
    (said,) = network_faults(both, swapped)
    assert said == "networks: in another order\n  would work: lan, wan, and new ones anywhere"
    assert tuple(network_faults(both, OLD)) == ()
    assert tuple(network_faults(both, but(networks=(wan,)))) == ()


def test_a_network_can_get_ipv6_and_keeps_what_it_has() -> None:
    assert tuple(network_faults(OLD, network(cidr6=SIX_AUTO))) == ()
    for other in ("", "fd42::/64"):
        (said,) = network_faults(network(cidr6=SIX_AUTO), network(cidr6=other))
        assert said.startswith(f"networks.lan.cidr6: {other or 'none'}, but its members have")
        assert "would work: cidr6: auto" in said


def test_a_network_of_another_range_is_another_network() -> None:
    (said,) = network_faults(OLD, network(cidr="10.43.0.0/24"))
    assert "would work: cidr: 10.42.0.0/24; or a network of another name with 10.43.0.0/24" in said
