"""The grid file: what is read from it, and what is said of a bad one, word for word."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlayd.config.documents import DocumentError
from overlayd.config.gridfile import grid_of, load_grid
from overlayd.config.yaml_source import parse_yaml
from protocol.grid.check import problems
from protocol.grid.model import (
    SIX_AUTO,
    ClusterSpec,
    Encryption,
    Exposure,
    GridSpec,
    ImageRef,
    LeaseTerms,
    Mount,
    NetworkSpec,
    OnExpiry,
    PlacementSpec,
    Restart,
    Spread,
    Transport,
    VolumeSpec,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
GOOD = """\
grid: star-sim
vo: star
lease: {for: 6h}
networks:
  lan: {cidr: 10.42.0.0/24}
volumes:
  scratch: {size: 20G}
clusters:
  head:
    image: debian-12
    cpus: 2
    memory: 4G
    networks: [lan]
    volumes: {scratch: /srv}
    provides: [nfs-server]
  worker:
    count: 16
    image: debian-12
    cpus: 0.5
    memory: 512M
    networks: [lan]
    requires: [nfs-server]
placement: {spread: site, sites: [uc, fnal], exclude: [uc-4]}
profiles:
  test: {clusters: {worker: {count: 2, cpus: 250m}}}
"""


def parse_grid(text: str, file: str, profile: str | None = None) -> GridSpec:
    return grid_of(parse_yaml(text, file), profile)


def said(text: str, profile: str | None = None) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        parse_grid(text, "star.yaml", profile)
    return [problem.render() for problem in caught.value.problems]


def test_the_whole_file_is_read() -> None:
    lan = ("lan",)
    image = ImageRef("debian-12")
    assert parse_grid(GOOD, "star.yaml") == GridSpec(
        name="star-sim",
        vo="star",
        lease_s=6 * 3600,
        lease=LeaseTerms(warn_s=(900,)),
        networks=(NetworkSpec("lan", "10.42.0.0/24", Encryption.REQUIRED, cidr6=SIX_AUTO),),
        volumes=(VolumeSpec("scratch", 20 << 30),),
        clusters=(
            ClusterSpec(
                "head",
                1,
                image,
                2000,
                4 << 30,
                networks=lan,
                mounts=(Mount("scratch", "/srv"),),
                provides=("nfs-server",),
            ),
            ClusterSpec(
                "worker",
                16,
                image,
                500,
                512 << 20,
                networks=lan,
                requires=("nfs-server",),
            ),
        ),
        placement=PlacementSpec(Spread.SITE, ("uc", "fnal"), ("uc-4",)),
    )


def test_a_profile_is_written_over_the_file_and_keeps_the_rest() -> None:
    worker = parse_grid(GOOD, "star.yaml", "test").clusters[1]
    assert (worker.count, worker.cpus_milli, worker.memory_bytes) == (2, 250, 512 << 20)


def test_ports_that_a_cluster_exposes() -> None:
    ports = "[443, 53/udp, {port: 22, as: 2222}, 80/tcp, {port: 5353/udp, as: 53}]"
    text = GOOD.replace("    count: 16", f"    count: 16\n    expose: {ports}")
    assert parse_grid(text, "f").clusters[1].expose == (
        Exposure(443),
        Exposure(53, Transport.UDP),
        Exposure(22, outside=2222),
        Exposure(80),
        Exposure(5353, Transport.UDP, 53),
    )


def test_the_terms_of_a_lease() -> None:
    text = GOOD.replace("{for: 6h}", "{for: 6h, start: 2126-01-02T14:00:00+00:00, warn: [1h, 5m]}")
    start_s = datetime(2126, 1, 2, 14, tzinfo=UTC).timestamp()
    assert parse_grid(text, "f").lease == LeaseTerms(start_s=start_s, warn_s=(3600, 300))
    text = GOOD.replace("{for: 6h}", "{for: 10m, before: in 2h, on-expiry: delete}")
    terms = parse_grid(text, "f").lease
    assert (terms.on_expiry, terms.grace_s, terms.warn_s) == (OnExpiry.DELETE, 0, ())
    assert 7100 < terms.before_s - time.time() <= 7200


def test_a_lease_left_out_is_a_day() -> None:
    assert parse_grid(GOOD.replace("lease: {for: 6h}\n", ""), "f").lease_s == 86400


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_grid(path: Path) -> None:
    spec = load_grid(path)
    assert problems(spec) == ()
    assert spec.name == path.stem


UNSUPPORTED = "not supported yet: "
NAME = "a name is 1 to 40 lower-case letters, digits and inner dashes, a letter first"

TABLE = {
    "unknown key": (
        "    memory: 4G",
        "    memroy: 4G",
        [
            "star.yaml:9:3: clusters.head.memory: missing; write for example 4G",
            'star.yaml:12:5: clusters.head.memroy: unknown key; did you mean "memory"?',
        ],
    ),
    "unknown key unlike any": (
        "vo: star",
        "vo: star\nxyzzy: 1",
        [
            "star.yaml:3:1: xyzzy: unknown key; allowed here are grid, vo, lease, networks,"
            " volumes, clusters, placement, ssh-authorized-keys and profiles"
        ],
    ),
    "wrong type": (
        "count: 16",
        "count: sixteen",
        ['star.yaml:17:12: clusters.worker.count: found "sixteen"; write a whole number'],
    ),
    "quantity": (
        "memory: 4G",
        "memory: 8 gigs",
        [
            'star.yaml:12:13: clusters.head.memory: found "8 gigs";'
            " write for example 512M, 4G or 1.5T"
        ],
    ),
    "negative cpus": (
        "cpus: 2",
        "cpus: -2",
        [
            "star.yaml:11:11: clusters.head.cpus: found the number -2;"
            " write for example 2, 0.5 or 500m"
        ],
    ),
    "impossible quantity": (
        "memory: 512M",
        "memory: 512",
        ["star.yaml:20:13: clusters.worker.memory: found 512 B; allowed are 32 MiB to 64 TiB"],
    ),
    "text for a list": (
        "networks: [lan]\n    volumes",
        "networks: lan\n    volumes",
        ['star.yaml:13:15: clusters.head.networks: found "lan"; write a list: [lan]'],
    ),
    "list for a mapping": (
        "lan: {cidr: 10.42.0.0/24}",
        "lan: [10.42.0.0/24]",
        [
            "star.yaml:5:8: networks.lan: found a list of 1; write a mapping of keys out of"
            " cidr, cidr6, encryption, internet and multicast"
        ],
    ),
    "truth for a network's IPv6": (
        "lan: {cidr: 10.42.0.0/24}",
        "lan: {cidr: 10.42.0.0/24, cidr6: true}",
        [
            "star.yaml:5:36: networks.lan.cidr6: found true; write text, for example auto, none and"
            " fd42:17::/64"
        ],
    ),
    "number for a name": (
        "grid: star-sim",
        "grid: 7",
        [
            "star.yaml:1:7: grid: found the number 7; write text, in quotes where it looks like"
            ' something else: "7"'
        ],
    ),
    "left empty": (
        "grid: star-sim",
        "grid:",
        ["star.yaml:1:6: grid: found nothing; write text, for example star-sim"],
    ),
    "closed vocabulary": (
        "spread: site",
        "spread: sites",
        ['star.yaml:23:21: placement.spread: found "sites"; allowed are site, host and none'],
    ),
    "duplicate name": (
        "  lan: {cidr: 10.42.0.0/24}",
        "  lan: {cidr: 10.42.0.0/24}\n  lan: {cidr: 10.43.0.0/24}",
        ["star.yaml:6:3: networks.lan: a second time; it is on line 5 already"],
    ),
    "CIDR": (
        "10.42.0.0/24",
        "10.42.0.0/28",
        [
            "star.yaml:5:15: networks.lan.cidr: 17 workspaces asked, 10.42.0.0/28 holds 13;"
            " 10.42.0.0/27 holds 29"
        ],
    ),
    "unknown volume": (
        "volumes: {scratch: /srv}",
        "volumes: {scrach: /srv}",
        [
            'star.yaml:14:15: clusters.head.volumes.scrach: found "scrach", which is no volume;'
            ' did you mean "scratch"?'
        ],
    ),
    "mount point": (
        "volumes: {scratch: /srv}",
        "volumes: {scratch: /dev}",
        [
            'star.yaml:14:24: clusters.head.volumes.scratch: found "/dev"; /dev is the guest\'s'
            " own; mount for example at /srv"
        ],
    ),
    "cluster name": (
        "  head:",
        "  Head:",
        [f'star.yaml:9:3: clusters.Head: found "Head"; {NAME}'],
    ),
    "unprovided": (
        "requires: [nfs-server]",
        "requires: [nfs]",
        [
            'star.yaml:22:16: clusters.worker.requires[0]: found "nfs", which is no service any'
            " cluster provides; there is nfs-server"
        ],
    ),
    "cycle": (
        "provides: [nfs-server]",
        "provides: [nfs-server]\n    requires: [nfs-server]",
        [
            "star.yaml:16:15: clusters.head.requires: head requires what it provides itself;"
            " leave that out of its requires"
        ],
    ),
    "replicas": (
        "size: 20G",
        "size: 20G, replicas: 3",
        [
            "star.yaml:7:34: volumes.scratch.replicas: found 3; one replica for now,"
            " so write 1 or leave it out"
        ],
    ),
    "min": (
        "count: 16",
        "count: 16\n    min: 0",
        [
            "star.yaml:18:10: clusters.worker.min: found 0; allowed are 1 to the count, 16",
            'star.yaml:18:10: clusters.worker.min: with profile "test": found 0; allowed are 1 to'
            " the count, 2",
        ],
    ),
    "expose": (
        "    count: 16",
        "    count: 16\n    expose: [443, 80/sctp, {port: 22, at: 2222}, {port: 22, as: ssh}, 0]",
        [
            'star.yaml:18:19: clusters.worker.expose[1]: found "80/sctp"; '
            "write 443, 53/udp or {port: 22, as: 2222}",
            'star.yaml:18:28: clusters.worker.expose[2]: found a mapping of "port" and "at"; '
            "write 443, 53/udp or {port: 22, as: 2222}",
            'star.yaml:18:50: clusters.worker.expose[3]: found a mapping of "port" and "as"; '
            "write 443, 53/udp or {port: 22, as: 2222}",
            "star.yaml:18:71: clusters.worker.expose[4].port: found 0; allowed are 1 to 65535",
        ],
    ),
    "within": (
        "{spread: site",
        "{within: 30m, spread: site",
        ['star.yaml:23:21: placement.within: found "30m"; write for example 5ms, 30ms or 1s'],
    ),
    "two ways to begin": (
        "{for: 6h}",
        "{for: 6h, start: tomorrow 14:00, before: 2126-01-01 00:00}",
        [
            "star.yaml:3:8: lease: found start and before;"
            " a lease has one of start, before and best-effort"
        ],
    ),
    "no time": (
        "{for: 6h}",
        "{for: 6h, start: soon}",
        [
            'star.yaml:3:25: lease.start: found "soon"; write for example tomorrow 14:00,'
            " friday 18:00, in 2h or 2026-11-25 14:00"
        ],
    ),
    "grace of what is deleted": (
        "{for: 6h}",
        "{for: 6h, on-expiry: delete, grace: 2h}",
        [
            "star.yaml:3:44: lease.grace: found a grace for what is deleted at the end;"
            " leave grace out, or write on-expiry: stop"
        ],
    ),
    "warned before it begins": (
        "{for: 6h}",
        "{for: 6h, warn: [1h, 6h]}",
        [
            "star.yaml:3:29: lease.warn[1]: found 6 h;"
            " a warning comes before the end of the lease, and after its start"
        ],
    ),
    "lease": (
        "{for: 6h}",
        "6h",
        [
            'star.yaml:3:8: lease: found "6h"; write a mapping of keys out of for, start,'
            " before, best-effort, on-expiry, grace and warn, for example {for: 6h}"
        ],
    ),
    "lease too long": (
        "{for: 6h}",
        "{for: 90000h}",
        ["star.yaml:3:14: lease.for: found 3750 d; allowed are 1 min to 366 d"],
    ),
    "ssh key": (
        "vo: star",
        "vo: star\nssh-authorized-keys: [secret]",
        [
            'star.yaml:3:23: ssh-authorized-keys[0]: found "secret"; write one public key a line,'
            " for example ssh-ed25519 AAAAC3... name"
        ],
    ),
    "wrong key in a profile": (
        "cpus: 250m",
        "cpu: 250m",
        ['star.yaml:25:40: profiles.test.clusters.worker.cpu: unknown key; did you mean "cpus"?'],
    ),
    "wrong value in a profile": (
        "count: 2,",
        "count: two,",
        ['star.yaml:25:37: profiles.test.clusters.worker.count: found "two"; write a whole number'],
    ),
    "plain line that is wrong only with a profile": (
        "count: 2,",
        "count: 500,",
        [
            'star.yaml:5:15: networks.lan.cidr: with profile "test": 501 workspaces asked,'
            " 10.42.0.0/24 holds 253; 10.42.0.0/23 holds 509"
        ],
    ),
    "too many profiles": (
        "profiles:\n",
        "profiles:\n" + "".join(f"  p{n}: {{}}\n" for n in range(16)),
        ["star.yaml:24:1: profiles: found 17 profiles; at most 16 are allowed"],
    ),
    "a list of grids": (
        GOOD,
        "- grid: a\n- grid: b\n",
        [
            "star.yaml:1:1: found a list of 2; write a mapping of keys out of grid, vo, lease,"
            " networks, volumes, clusters, placement, ssh-authorized-keys and profiles"
        ],
    ),
    "nothing": (
        GOOD,
        "",
        [
            "star.yaml:1:1: grid: missing; write for example star-sim",
            "star.yaml:1:1: clusters: missing; write for example"
            " {worker: {count: 2, image: debian-12, cpus: 1, memory: 1G}}",
        ],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_a_bad_file_is_answered_with_where_what_and_what_is_allowed(case: str) -> None:
    old, new, expected = TABLE[case]
    assert old in GOOD
    assert said(GOOD.replace(old, new, 1)) == expected


def test_every_error_is_said_at_once_in_the_file_s_order() -> None:
    text = (
        GOOD.replace("star-sim", "Star")
        .replace("10.42.0.0/24", "10.42.0.1/24")
        .replace("memory: 4G", "memory: lots")
        .replace("count: 16", "count: 0")
        .replace("[uc, fnal]", "uc")
        .replace("cpus: 250m", "cpus: 0")
    )
    assert [line.split(": ")[0:2] for line in said(text)] == [
        ["star.yaml:1:7", "grid"],
        ["star.yaml:5:15", "networks.lan.cidr"],
        ["star.yaml:12:13", "clusters.head.memory"],
        ["star.yaml:17:12", "clusters.worker.count"],
        ["star.yaml:23:34", "placement.sites"],
        ["star.yaml:25:46", "profiles.test.clusters.worker.cpus"],
    ]


def test_what_follows_from_a_broken_place_is_not_said_as_well() -> None:
    assert said(GOOD.replace("provides: [nfs-server]", "provides: nfs-server")) == [
        'star.yaml:15:15: clusters.head.provides: found "nfs-server"; write a list: [nfs-server]'
    ]


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    assert said(GOOD, "tset") == [
        'star.yaml:25:3: profiles: found "tset", which is no profile; did you mean "test"?'
    ]


def test_a_missing_file_is_a_document_error(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        load_grid(tmp_path / "no.yaml")
    assert str(caught.value) == f"{tmp_path}/no.yaml: cannot be read: no such file or directory"


def test_on_a_terminal_a_caret_points_at_it() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_grid(GOOD.replace("memory: 4G", "memory: 8 gigs"), "star.yaml")
    assert caught.value.problems[0].render(caret=True).split("\n")[1:] == [
        "        memory: 8 gigs",
        "                ^",
    ]


_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("null", "true", "false")
)


ENVIRONMENT = """\
grid: star-sim
networks:
  lan: {cidr: 10.42.0.0/24, internet: true, multicast: true}
clusters:
  head:
    image: debian-12
    cpus: 2
    memory: 4G
    networks: [lan]
    disk: 20G
    scratch: 50G
    console: 64M
    restart: always
    stop-within: 2m
    max-cpus: 4
    max-memory: 16G
    update: {at-once: 3, wait: running}
"""


def test_a_cluster_says_how_large_its_disks_are_and_how_it_begins_and_ends() -> None:
    spec = parse_grid(ENVIRONMENT, "f")
    (head,) = spec.clusters
    assert (head.disk_bytes, head.scratch_bytes) == (20 << 30, 50 << 30)
    assert head.console_bytes == 64 << 20
    assert (head.restart, head.stop_within_s) == (Restart.ALWAYS, 120)
    assert (head.max_cpus_milli, head.max_memory_bytes) == (4000, 16 << 30)
    assert (head.update_at_once, head.update_wait) == (3, "running")
    assert spec.networks[0].internet
    assert spec.networks[0].multicast


def test_what_a_cluster_leaves_out_is_said_by_the_specification() -> None:
    for cluster in parse_grid(GOOD, "f").clusters:
        assert (cluster.disk_bytes, cluster.scratch_bytes) == (0, 0), "as large as the image"
        assert (cluster.max_cpus_milli, cluster.max_memory_bytes) == (0, 0), "as it begins"
        assert (cluster.update_at_once, cluster.update_wait) == (1, "ready")
        assert (cluster.restart, cluster.stop_within_s) == (Restart.ON_FAILURE, 30)
    assert not parse_grid(GOOD, "f").networks[0].internet
    assert not parse_grid(GOOD, "f").networks[0].multicast


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("disk: 20G", "disk: 1M", "10:11: clusters.head.disk: found 1 MiB; allowed are 8 MiB to"),
        ("64M", "2M", "12:14: clusters.head.console: found 2 MiB; allowed are 4 MiB to 1 GiB"),
        ("restart: always", "restart: often", '13:14: clusters.head.restart: found "often"; '),
        ("cpus: 4", "cpus: 1", "15:15: clusters.head.max-cpus: found 1; allowed are 2 to 240 cpus"),
        ("16G", "1G", "16:17: clusters.head.max-memory: found 1 GiB; allowed are 4 GiB to 64 GiB"),
        (
            "at-once: 3",
            "at-once: 0",
            "17:23: clusters.head.update.at-once: found 0; allowed are 1 to",
        ),
        ("wait: running", "wait: never", '17:32: clusters.head.update.wait: found "never"; '),
        ("2m", "11m", "14:18: clusters.head.stop-within: found 11 min; allowed are 0 s to 10 min"),
    ],
)
def test_an_environment_that_cannot_be_is_told_with_its_line(
    old: str, new: str, expected: str
) -> None:
    (problem,) = said(ENVIRONMENT.replace(old, new, 1))
    assert problem.startswith(f"star.yaml:{expected}")


@given(
    name=_names,
    lease_s=st.integers(1, 366).map(lambda days: days * 86400),
    shapes=st.dictionaries(
        _names,
        st.tuples(
            st.integers(1, 50),
            st.integers(10, 9999),
            st.integers(32, 1 << 20),
            st.just(0) | st.integers(8, 1 << 20),
        ),
        min_size=1,
        max_size=5,
    ),
    networks=st.lists(_names, unique=True, max_size=4),
)
def test_a_written_grid_is_read_back(
    name: str, lease_s: int, shapes: dict[str, tuple[int, int, int, int]], networks: list[str]
) -> None:
    spec = GridSpec(
        name,
        tuple(
            ClusterSpec(
                cluster,
                count,
                ImageRef("guest"),
                cpus_milli,
                memory << 20,
                networks=tuple(networks),
                scratch_bytes=disk << 20,
            )
            for cluster, (count, cpus_milli, memory, disk) in shapes.items()
        ),
        lease_s=lease_s,
        lease=LeaseTerms(warn_s=(900,)),
        networks=tuple(
            NetworkSpec(n, f"10.{i}.0.0/16", cidr6=("", SIX_AUTO, f"fd42:{i + 1}::/64")[i % 3])
            for i, n in enumerate(networks)
        ),
    )
    document = {
        "grid": spec.name,
        "lease": {"for": f"{spec.lease_s}s"},
        "networks": {n.name: {"cidr": n.cidr, "cidr6": n.cidr6 or "none"} for n in spec.networks},
        "clusters": {
            c.name: {
                "count": c.count,
                "image": c.image.name,
                "cpus": f"{c.cpus_milli}m",
                "memory": c.memory_bytes,
                "scratch": c.scratch_bytes,
                "networks": list(c.networks),
            }
            for c in spec.clusters
        },
    }
    # JSON is YAML.
    assert parse_grid(msgspec.json.encode(document).decode(), "f") == spec


def test_a_root_disk_of_no_size_is_refused_and_a_scratch_disk_of_none_is_none(
    tmp_path: Path,
) -> None:
    file = tmp_path / "star.yaml"
    file.write_text(GOOD.replace("memory: 4G", "memory: 4G\n    disk: 0"))
    with pytest.raises(DocumentError) as found:
        load_grid(file)
    assert str(found.value).endswith(
        "star.yaml:13:11: clusters.head.disk: found the number 0;"
        " write for example 512M, 4G or 1.5T, or leave it out"
    )
    file.write_text(GOOD.replace("memory: 4G", "memory: 4G\n    scratch: 0"))
    assert load_grid(file).clusters[0].scratch_bytes == 0
