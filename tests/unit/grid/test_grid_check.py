"""What is wrong with a grid is said all at once, with what was found and what is allowed."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.grid import limits
from protocol.grid.check import problems
from protocol.grid.model import (
    ClusterSpec,
    GridSpec,
    ImageRef,
    Mount,
    NetworkSpec,
    PlacementSpec,
    VolumeSpec,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGh1bWFucyBhcmUgbm90IGtleXMgYnV0IGtleXM= ann"
HEAD = ClusterSpec(
    name="head",
    count=1,
    image=ImageRef("guest"),
    cpus_milli=1000,
    memory_bytes=1 << 30,
    networks=("lan",),
    mounts=(Mount("scratch", "/srv"),),
    provides=("nfs",),
)
WORKER = ClusterSpec(
    name="worker",
    count=4,
    image=ImageRef("guest"),
    cpus_milli=250,
    memory_bytes=128 << 20,
    networks=("lan",),
    requires=("nfs",),
)
GRID = GridSpec(
    name="star",
    clusters=(HEAD, WORKER),
    networks=(NetworkSpec("lan", "10.42.0.0/24"),),
    volumes=(VolumeSpec("scratch", 1 << 30),),
    ssh_authorized_keys=(KEY,),
)


def said(spec: GridSpec) -> list[str]:
    return [str(problem) for problem in problems(spec)]


def head(**changes: object) -> GridSpec:
    return replace(GRID, clusters=(replace(HEAD, **changes), WORKER))


def worker(**changes: object) -> GridSpec:
    return replace(GRID, clusters=(HEAD, replace(WORKER, **changes)))


def lan(cidr: str, *more: str) -> GridSpec:
    others = (NetworkSpec(f"net{n}", other) for n, other in enumerate(more))
    return replace(GRID, networks=(NetworkSpec("lan", cidr), *others))


def six(cidr6: str) -> GridSpec:
    return replace(GRID, networks=(NetworkSpec("lan", "10.42.0.0/24", cidr6=cidr6),))


def test_a_sound_grid_has_no_problems() -> None:
    assert said(GRID) == []


NAME = "lower-case letters, digits and inner dashes, a letter first"
SHARE = "mount it in one cluster of count 1 and share it from there over the network"
SIX = "write none, auto, or a /64 of IPv6 inside fd00::/8 or 2000::/3, for example fd42:17::/64"
PRIVATE = "write a private IPv4 range, for example 10.42.0.0/24"

TABLE = {
    "grid name": (
        replace(GRID, name="Star_1"),
        f'name: found "Star_1"; a name is 1 to 32 {NAME}',
    ),
    "grid name too long": (
        replace(GRID, name="a" * 33),
        f'name: found "{"a" * 33}" of 33 characters; a name is 1 to 32 {NAME}',
    ),
    "vo": (replace(GRID, vo="-x"), f'vo: found "-x"; a name is 1 to 40 {NAME}'),
    "lease too short": (
        replace(GRID, lease_s=5),
        "lease_s: found 5 s; allowed are 1 min to 366 d",
    ),
    "lease too long": (
        replace(GRID, lease_s=400 * 86400),
        "lease_s: found 400 d; allowed are 1 min to 366 d",
    ),
    "no clusters": (
        replace(GRID, clusters=()),
        "clusters: found none; a grid has at least one cluster",
    ),
    "second cluster of a name": (
        replace(GRID, clusters=(HEAD, WORKER, WORKER)),
        'clusters[2].name: found a second cluster "worker"; each needs a name of its own',
    ),
    "second network of a name": (
        replace(GRID, networks=(*GRID.networks, NetworkSpec("lan", "10.43.0.0/24"))),
        'networks[1].name: found a second network "lan"; each needs a name of its own',
    ),
    "volume name longer than an ext4 label": (
        replace(GRID, volumes=(*GRID.volumes, VolumeSpec("v" * 17, 1 << 30))),
        f'volumes[1].name: found "{"v" * 17}" of 17 characters; a name is 1 to 16 {NAME}',
    ),
    "volume name by which a guest knows its seed": (
        replace(GRID, volumes=(*GRID.volumes, VolumeSpec("cidata", 1 << 30))),
        'volumes[1].name: found "cidata", by which a guest knows its seed; choose another name',
    ),
    "more cards and disks than a machine takes": (
        replace(
            head(
                mounts=tuple(Mount(f"v{n}", f"/srv/{n}") for n in range(23)), scratch_bytes=1 << 30
            ),
            volumes=tuple(VolumeSpec(f"v{n}", 1 << 30) for n in range(23)),
        ),
        "clusters[0].networks: found 25 networks, volumes and disks of one workspace; at most 24 are allowed",
    ),
    "root disk too small": (
        worker(disk_bytes=1 << 20),
        "clusters[1].disk_bytes: found 1 MiB; allowed are 8 MiB to 1 PiB",
    ),
    "a console's log too small": (
        worker(console_bytes=1 << 20),
        "clusters[1].console_bytes: found 1 MiB; allowed are 4 MiB to 1 GiB",
    ),
    "cpus that cannot grow to what it has": (
        worker(cpus_milli=2000, max_cpus_milli=1000),
        "clusters[1].max_cpus_milli: found 1; allowed are 2 to 240 cpus",
    ),
    "more places for cpus than a machine has": (
        worker(cpus_milli=1000, max_cpus_milli=256_000),
        "clusters[1].max_cpus_milli: found 256; allowed are 1 to 240 cpus",
    ),
    "a rate that no frame waits for": (
        worker(networks=("lan",), network_bits_s=64_000),
        "clusters[1].network_bits_s: found 64 kbit/s; allowed are 256 kbit/s to 1 Tbit/s",
    ),
    "a rate of no network": (
        worker(networks=(), network_bits_s=10**8),
        "clusters[1].network_bits_s: found a rate, and no networks that it could be of; name them, or leave"
        " it out",
    ),
    "a rate of disks that boots nothing": (
        worker(disk_bytes_s=1000),
        "clusters[1].disk_bytes_s: found 1000 B/s; allowed are 1 MiB/s to 1 TiB/s",
    ),
    "memory that cannot grow to what it has": (
        worker(memory_bytes=64 << 20, max_memory_bytes=1),
        "clusters[1].max_memory_bytes: found 1 B; allowed are 64 MiB to 1 GiB",
    ),
    "more memory than its guest could have tables for": (
        worker(memory_bytes=64 << 20, max_memory_bytes=2 << 30),
        "clusters[1].max_memory_bytes: found 2 GiB; allowed are 64 MiB to 1 GiB",
    ),
    "memory that grows to less than nothing": (
        worker(memory_bytes=64 << 20, max_memory_bytes=-1),
        "clusters[1].max_memory_bytes: found -1 B; allowed are 64 MiB to 1 GiB",
    ),
    "what its user data is no digest of": (
        worker(user_data="head.yaml"),
        'clusters[1].user_data: found the digest "head.yaml"; '
        "a digest is 64 lower-case hexadecimal digits",
    ),
    "no time to shut down": (
        worker(stop_within_s=660),
        "clusters[1].stop_within_s: found 11 min; allowed are 0 s to 10 min",
    ),
    "none at once": (
        worker(update_at_once=0),
        "clusters[1].update_at_once: found 0; allowed are 1 to 1024",
    ),
    "scratch disk too small": (
        worker(scratch_bytes=1 << 20),
        "clusters[1].scratch_bytes: found 1 MiB; allowed are 8 MiB to 1 PiB",
    ),
    "scratch disk of less than nothing": (
        worker(scratch_bytes=-1),
        "clusters[1].scratch_bytes: found -1 B; allowed are 8 MiB to 1 PiB",
    ),
    "a volume that the guest could not tell from the scratch disk": (
        head(scratch_bytes=1 << 30),
        "clusters[0].mounts[0].volume: a guest knows its own disk by the name scratch; "
        "give the volume another name",
    ),
    "a volume where the scratch disk is": (
        replace(
            head(scratch_bytes=1 << 30, mounts=(Mount("data", "/scratch"),)),
            volumes=(VolumeSpec("data", 1 << 30),),
        ),
        'clusters[0].mounts[0].path: found "/scratch", where its own disk is mounted; '
        "choose another path",
    ),
    "no workspaces": (worker(count=0), "clusters[1].count: found 0; allowed are 1 to 1024"),
    "negative count": (worker(count=-3), "clusters[1].count: found -3; allowed are 1 to 1024"),
    "count": (worker(count=1025), "clusters[1].count: found 1025; allowed are 1 to 1024"),
    "total": (
        worker(count=1024),
        "clusters: found 1025 workspaces in all; a grid has at most 1024",
    ),
    "minimum": (
        worker(count=4, minimum=5),
        "clusters[1].minimum: found 5; allowed are 1 to the count, 4",
    ),
    "no cpus": (
        worker(cpus_milli=0),
        "clusters[1].cpus_milli: found 0; allowed are 0.01 to 1024 cpus",
    ),
    "too many cpus": (
        worker(cpus_milli=1024_001),
        "clusters[1].cpus_milli: found 1024.001; allowed are 0.01 to 1024 cpus",
    ),
    "little memory": (
        worker(memory_bytes=8 << 20),
        "clusters[1].memory_bytes: found 8 MiB; allowed are 32 MiB to 64 TiB",
    ),
    "one byte too little memory": (
        worker(memory_bytes=(32 << 20) - 1),
        "clusters[1].memory_bytes: found 33554431 bytes; allowed are 32 MiB to 64 TiB",
    ),
    "negative memory": (
        worker(memory_bytes=-(1 << 30)),
        "clusters[1].memory_bytes: found -1 GiB; allowed are 32 MiB to 64 TiB",
    ),
    "image name": (
        worker(image=ImageRef("../etc")),
        'clusters[1].image: found "../etc"; an image\'s name is 1 to 63 letters, digits, dots,'
        " dashes and underscores, a letter or digit first, for example debian-12",
    ),
    "image digest": (
        worker(image=ImageRef("guest", "ABC")),
        'clusters[1].image: found the digest "ABC"; a digest is 64 lower-case hexadecimal digits',
    ),
    "unknown network": (
        worker(networks=("lam",)),
        'clusters[1].networks[0]: found "lam", which is no network; did you mean "lan"?',
    ),
    "network twice": (
        worker(networks=("lan", "lan")),
        'clusters[1].networks[1]: found "lan" a second time; once is enough',
    ),
    "unknown volume": (
        head(mounts=(Mount("home", "/home"),)),
        'clusters[0].mounts[0].volume: found "home", which is no volume; there is scratch',
    ),
    "volume of many workspaces": (
        head(count=3),
        "clusters[0].mounts[0].volume: volume scratch would be mounted by 3 workspaces"
        f" (head-1 to head-3); one can have it: {SHARE}",
    ),
    "volume of two clusters": (
        worker(count=1, mounts=(Mount("scratch", "/srv"),)),
        "clusters[1].mounts[0].volume: volume scratch is mounted by head already;"
        f" one workspace can have it: {SHARE}",
    ),
    "volume twice in a workspace": (
        head(mounts=(Mount("scratch", "/srv"), Mount("scratch", "/data"))),
        "clusters[0].mounts[1].volume: volume scratch is mounted by head already;"
        f" one workspace can have it: {SHARE}",
    ),
    "relative mount point": (
        head(mounts=(Mount("scratch", "srv"),)),
        'clusters[0].mounts[0].path: found "srv"; a mount point is an absolute path of letters,'
        " digits, dots, dashes and underscores, at most 255 characters, for example /srv/data",
    ),
    "mount point of the kernel": (
        head(mounts=(Mount("scratch", "/proc/x"),)),
        'clusters[0].mounts[0].path: found "/proc/x"; /proc is the guest\'s own;'
        " mount for example at /srv",
    ),
    "replicas": (
        replace(GRID, volumes=(VolumeSpec("scratch", 1 << 30, 3),)),
        "volumes[0].replicas: found 3; one replica for now, so write 1 or leave it out",
    ),
    "empty volume": (
        replace(GRID, volumes=(VolumeSpec("scratch", 0),)),
        "volumes[0].size_bytes: found 0 B; allowed are 8 MiB to 1 PiB",
    ),
    "no CIDR": (lan("lan"), f'networks[0].cidr: found "lan"; {PRIVATE}'),
    "no prefix": (
        lan("10.42.0.0"),
        f'networks[0].cidr: found "10.42.0.0", which has no prefix length; {PRIVATE}',
    ),
    "IPv6": (
        lan("fd00::/64"),
        f'networks[0].cidr: found "fd00::/64", which is IPv6 (that is cidr6, beside a cidr); {PRIVATE}',
    ),
    "IPv6 of another size": (
        six("fd42::/48"),
        f'networks[0].cidr6: found "fd42::/48"; a network has 64 bits of IPv6; {SIX}',
    ),
    "IPv6 without a size": (
        six("fd42::1"),
        f'networks[0].cidr6: found "fd42::1"; a network has 64 bits of IPv6; {SIX}',
    ),
    "IPv6 of the link": (
        six("fe80::/64"),
        f'networks[0].cidr6: found "fe80::/64", where no host can have an address; {SIX}',
    ),
    "IPv6 of a group": (
        six("ff02::/64"),
        f'networks[0].cidr6: found "ff02::/64", where no host can have an address; {SIX}',
    ),
    "IPv4 for IPv6": (six("10.42.0.0/24"), f'networks[0].cidr6: found "10.42.0.0/24"; {SIX}'),
    "IPv6 written otherwise": (
        six("FD42:0::1/64"),
        'networks[0].cidr6: found "FD42:0::1/64"; write it as "fd42::/64"',
    ),
    "IPv6 twice": (
        replace(
            GRID,
            networks=(
                NetworkSpec("lan", "10.42.0.0/24", cidr6="fd42::/64"),
                NetworkSpec("wan", "10.43.0.0/24", cidr6="fd42::/64"),
            ),
        ),
        "networks[1].cidr6: fd42::/64 is that of network lan; networks of one grid must be apart",
    ),
    "host bits": (
        lan("10.42.0.7/24"),
        'networks[0].cidr: found "10.42.0.7/24", an address inside a network;'
        ' the network is "10.42.0.0/24"',
    ),
    "netmask": (
        lan("10.42.0.0/255.255.255.0"),
        'networks[0].cidr: found "10.42.0.0/255.255.255.0"; write it as "10.42.0.0/24"',
    ),
    "public": (
        lan("8.8.8.0/24"),
        'networks[0].cidr: found "8.8.8.0/24", which is not private;'
        " allowed are ranges inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
    ),
    "wider than private": (
        lan("172.0.0.0/8"),
        'networks[0].cidr: found "172.0.0.0/8", which is not private;'
        " allowed are ranges inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
    ),
    "no room at all": (
        lan("10.42.0.0/31"),
        'networks[0].cidr: found "10.42.0.0/31", which holds no workspace beside its gateway;'
        " allowed are /8 to /30",
    ),
    "exhausted": (
        lan("10.42.0.0/30"),
        "networks[0].cidr: 5 workspaces asked, 10.42.0.0/30 holds 1; 10.42.0.0/29 holds 5",
    ),
    "overlap": (
        lan("10.42.0.0/16", "10.42.7.0/24"),
        "networks[1].cidr: 10.42.7.0/24 overlaps network lan (10.42.0.0/16);"
        " networks of one grid must be apart, for example 10.43.0.0/24",
    ),
    "unprovided": (
        worker(requires=("nfss",)),
        'clusters[1].requires[0]: found "nfss", which is no service any cluster provides;'
        ' did you mean "nfs"?',
    ),
    "requires a cluster": (
        worker(requires=("head",)),
        'clusters[1].requires[0]: found "head", a cluster; requires names a service:'
        " give head provides: [NAME] and require that NAME",
    ),
    "requires itself": (
        worker(provides=("batch",), requires=("batch",)),
        "clusters[1].requires: worker requires what it provides itself;"
        " leave that out of its requires",
    ),
    "service name": (
        head(provides=("nfs", "NFS")),
        f'clusters[0].provides[1]: found "NFS"; a name is 1 to 40 {NAME}',
    ),
    "site name": (
        replace(GRID, placement=PlacementSpec(sites=("UC",))),
        f'placement.sites[0]: found "UC"; a name is 1 to 40 {NAME}',
    ),
    "host excluded twice": (
        replace(GRID, placement=PlacementSpec(exclude=("uc-1", "uc-1"))),
        'placement.exclude[1]: found "uc-1" a second time; once is enough',
    ),
    "key type": (
        replace(GRID, ssh_authorized_keys=("ssh-dss AAAA ann",)),
        'ssh_authorized_keys[0]: found a key of type "ssh-dss"; allowed are ssh-ed25519, ssh-rsa,'
        " ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521,"
        " sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com",
    ),
    "key cut short": (
        replace(GRID, ssh_authorized_keys=("ssh-ed25519 AAAAC3Nz",)),
        'ssh_authorized_keys[0]: found "ssh-ed25519 AAAAC3Nz", which is damaged or cut short;'
        " write one public key a line, for example ssh-ed25519 AAAAC3... name",
    ),
    "private key": (
        replace(GRID, ssh_authorized_keys=("-----BEGIN OPENSSH PRIVATE KEY-----",)),
        "ssh_authorized_keys[0]: found a private key; keep it to yourself and write the line of"
        " its .pub file",
    ),
    "key with a second line": (
        replace(GRID, ssh_authorized_keys=(f"{KEY}\nx",)),
        f'ssh_authorized_keys[0]: found "{KEY[:57]}..."; write one public key a line,'
        " for example ssh-ed25519 AAAAC3... name",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_one_thing_wrong_is_one_problem_in_words(case: str) -> None:
    spec, message = TABLE[case]
    assert said(spec) == [message]


def test_two_volumes_cannot_be_mounted_in_one_place() -> None:
    spec = head(mounts=(Mount("scratch", "/srv"), Mount("home", "/srv")))
    spec = replace(spec, volumes=(*GRID.volumes, VolumeSpec("home", 1 << 30)))
    assert said(spec) == [
        'clusters[0].mounts[1].path: found "/srv", where scratch is mounted; choose another path'
    ]


def test_a_cycle_is_named_once_and_in_its_order() -> None:
    ring = tuple(
        replace(WORKER, name=name, count=1, provides=(name,), requires=(needs,))
        for name, needs in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    )
    assert said(replace(GRID, clusters=ring)) == [
        "clusters[0].requires: these clusters wait for each other: a -> b -> c -> a;"
        " leave out one of the requires"
    ]


def test_everything_is_said_at_once() -> None:
    spec = replace(
        GRID,
        name="",
        lease_s=0,
        networks=(NetworkSpec("lan", "x"),),
        clusters=(replace(HEAD, cpus_milli=0, memory_bytes=0), replace(WORKER, image=ImageRef(""))),
    )
    assert [problem.path for problem in problems(spec)] == [
        ("name",),
        ("lease_s",),
        ("networks", 0, "cidr"),
        ("clusters", 0, "cpus_milli"),
        ("clusters", 0, "memory_bytes"),
        ("clusters", 1, "image"),
    ]


def test_a_workspace_without_a_network_is_allowed() -> None:
    assert said(worker(networks=())) == []


def test_too_many_of_anything_is_said_alone() -> None:
    clusters = tuple(replace(WORKER, name="!") for _ in range(limits.CLUSTERS_MAX + 1))
    assert said(replace(GRID, clusters=clusters)) == [
        "clusters: found 65 entries; at most 64 are allowed"
    ]


def test_what_a_stranger_wrote_is_shown_short_and_without_control_characters() -> None:
    (message,) = said(replace(GRID, name="\x1b[2J" + "x" * 500))
    assert message.startswith('name: found "?[2Jxxx')
    assert "\x1b" not in message
    assert len(message) < 250


@settings(max_examples=50)
@given(st.from_type(GridSpec))
def test_any_grid_that_decodes_is_answered(spec: GridSpec) -> None:
    decoded = msgspec.convert(msgspec.to_builtins(spec), GridSpec)
    assert problems(decoded) == problems(spec)


def test_a_number_of_many_digits_is_no_trouble() -> None:
    spec = worker(count=10**5000, minimum=1, memory_bytes=10**5000)
    spec = replace(spec, lease_s=-(10**5000), volumes=(VolumeSpec("scratch", 1 << 30, 10**5000),))
    assert [problem.message.split(";")[0] for problem in problems(spec)] == [
        "found a number beyond 64 bits",
        "found a number beyond 64 bits",
        "found a number beyond 64 bits",
        "found a number beyond 64 bits",
    ]


def test_a_grid_passes_the_codec_unchanged() -> None:
    encoded = msgspec.msgpack.encode(GRID)
    assert msgspec.msgpack.decode(encoded, type=GridSpec) == GRID
