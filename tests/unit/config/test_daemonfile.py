"""The daemon's configuration: defaults that follow, and every error at once."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from overlayd.config.daemonfile import (
    ComputeUri,
    DaemonConfig,
    KvmUse,
    LogFormat,
    LogLevel,
    ReachUse,
    WireguardUse,
    check,
    load_daemon,
)
from overlayd.config.documents import DocumentError

PEER = "ab" * 32
EXAMPLE = Path(__file__).parents[3] / "examples" / "overlayd.toml"
GOOD = f"""\
[host]
name = "uc-1"
site = "uc"
state = "state"

[overlay]
listen = "10.0.0.1:7700"
join = ["{PEER}@10.0.0.2:7700"]

[identity]
key = "host.key"
certificate = "host.cert"
federation = "federation.pub"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with the identity files a configuration names. Its path is as short as a state's has to be."""
    with TemporaryDirectory(prefix="d", dir="/tmp") as made:
        for name in ("host.key", "host.cert", "federation.pub"):
            (Path(made) / name).write_text("x")
            (Path(made) / name).chmod(0o600)
        yield Path(made)


def written(folder: Path, text: str) -> Path:
    path = folder / "d.toml"
    path.write_text(text)
    return path


def said(folder: Path, text: str) -> list[str]:
    """Problems, without the folder's name, which differs from run to run."""
    path = written(folder, text)
    return [problem.render().replace(f"{folder}/", "") for problem in check(path)]


def read(folder: Path, text: str = GOOD) -> DaemonConfig:
    return load_daemon(written(folder, text))


def test_what_is_left_out_follows_from_what_is_there(folder: Path) -> None:
    config = read(folder)
    assert config.host.state == f"{folder}/state"
    assert config.identity.key == f"{folder}/host.key"
    assert config.api.socket == "/run/overlayd/overlayd.sock"
    assert config.overlay.listen.address == ("10.0.0.1", 7700)
    assert config.overlay.advertise == "10.0.0.1:7700"
    assert config.network.underlay == "auto"
    assert (config.network.mtu, config.network.tunnel_port) == (1450, 7700)
    assert (config.network.wireguard, config.network.wireguard_port) == (WireguardUse.TRY, 7701)
    assert (config.offer.cpus, config.offer.memory, config.offer.disk) == (None, None, None)
    assert (config.compute.uri, config.compute.kvm) == (ComputeUri.EMBED, KvmUse.TRY)
    (contact,) = config.overlay.join
    assert (contact.peer, contact.endpoint) == (PEER, "10.0.0.2:7700")


def test_levels_have_bounds(folder: Path) -> None:
    text = GOOD.replace("[overlay]", "[overlay]\nlevels-above = 5")
    (problem,) = check(written(folder, text))
    assert "found 5; allowed are 16 to 10000" in problem.message


def test_a_peer_behind_nat_need_not_listen(folder: Path) -> None:
    text = GOOD.replace('listen = "10.0.0.1:7700"', 'reach = "nat"')
    config = read(folder, text + '[network]\nunderlay = "10.0.0.1"\n')
    assert config.overlay.reach is ReachUse.NAT
    assert config.overlay.listen == config.overlay.advertise == ""
    assert config.network.tunnel_port == 7700


@pytest.mark.parametrize("underlay", ["auto", "eth0", "bond0.100", "10.0.0.9", "2001:db8::9"])
def test_the_underlay_is_an_address_or_follows_an_interface(folder: Path, underlay: str) -> None:
    config = read(folder, GOOD + f'[network]\nunderlay = "{underlay}"\n')
    assert config.network.underlay == underlay


@pytest.mark.parametrize(
    "underlay", ["10.0.0", "10.0.0.1/24", "0.0.0.0", "::", "fe80::1", "a-name-too-long-", "eth 0"]
)
def test_what_is_no_underlay(folder: Path, underlay: str) -> None:
    (problem,) = check(written(folder, GOOD + f'[network]\nunderlay = "{underlay}"\n'))
    assert problem.path == ("network", "underlay")
    assert "write " in problem.message


@pytest.mark.parametrize("every", ["0.0.0.0:7700", "[::]:7700"])
def test_who_listens_on_every_address_need_not_say_which_it_has(folder: Path, every: str) -> None:
    config = read(folder, GOOD.replace("10.0.0.1:7700", every))
    assert config.overlay.advertise == every
    assert config.overlay.advertise.is_everywhere
    assert config.network.underlay == "auto"


def test_hosts_are_named_by_ipv6_and_by_name_and_written_in_one_way(folder: Path) -> None:
    text = GOOD.replace(
        "10.0.0.1:7700", '[2001:DB8:0::1]:7700"\nadvertise = "UC-1.Example.org:7701'
    )
    config = read(folder, text.replace("10.0.0.2:7700", "[2001:DB8::2]:7700"))
    assert config.overlay.listen == "[2001:db8::1]:7700"
    assert config.overlay.listen.address == ("2001:db8::1", 7700)
    assert config.overlay.advertise == "uc-1.example.org:7701"
    assert config.overlay.join[0] == f"{PEER}@[2001:db8::2]:7700"
    assert config.network.tunnel_port == 7700


def test_everything_can_be_said(folder: Path) -> None:
    config = read(
        folder,
        GOOD.replace("10.0.0.1:7700", '0.0.0.0:7700"\nadvertise = "10.0.0.1:7701')
        + """
[api]
socket = "/run/o.sock"
group = "root"
[compute]
uri = "test:///default"
kvm = "never"
kvm-trial = "5s"
guest-uids = "700000-709999"
guest-disk-rate = "200M"
guest-disk-operations = 2000
[offer]
cpus = 0.5
memory = "2G"
disk = "10G"
network-rate = "10G"
disk-rate = "500M"
disk-operations = 20000
[network]
guest-rate = "500M"
underlay = "10.0.0.9"
mtu = 1400
tunnel-port = 7799
wireguard = "never"
wireguard-port = 51820
[log]
level = "debug"
format = "json"
""",
    )
    assert config.overlay.advertise == "10.0.0.1:7701"
    assert (config.api.socket, config.api.group) == ("/run/o.sock", "root")
    assert (config.compute.uri, config.compute.kvm) == (ComputeUri.TEST, KvmUse.NEVER)
    assert config.compute.kvm_trial == 5
    assert config.compute.guest_uids.ends == (700_000, 709_999)
    assert (config.offer.cpus, config.offer.memory, config.offer.disk) == (500, 2 << 30, 10 << 30)
    assert (config.network.underlay, config.network.mtu) == ("10.0.0.9", 1400)
    assert config.network.tunnel_port == 7799, "not that of listen"
    assert (config.offer.network_rate, config.network.guest_rate) == (10**10, 5 * 10**8)
    assert (config.offer.disk_rate, config.offer.disk_operations) == (500 << 20, 20_000)
    most = (config.compute.guest_disk_rate, config.compute.guest_disk_operations)
    assert most == (200 << 20, 2000)
    assert (config.network.wireguard, config.network.wireguard_port) == (WireguardUse.NEVER, 51820)
    assert (config.log.level, config.log.format) == (LogLevel.DEBUG, LogFormat.JSON)


def test_the_example_lacks_only_what_enrolling_writes(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("/etc/overlayd", str(tmp_path / "not-enrolled"))
    assert [problem.where for problem in check(written(tmp_path, text))] == [
        "identity.key",
        "identity.certificate",
        "identity.federation",
    ]


def test_what_the_example_comments_out_is_the_default(folder: Path) -> None:
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line
        for line in EXAMPLE.read_text().split("\n")
    ]
    text = "\n".join(
        line
        for line in lines
        if not line.startswith(
            (
                "cpus",
                "memory",
                "disk",
                "network-rate",
                "guest-rate",
                "guest-disk",
                "labels",
                "devices",
                "egress-closed",
                "resolvers",
                "expose",
            )
        )
    )
    text = text.replace("/etc/overlayd", str(folder))
    plain = EXAMPLE.read_text().replace("/etc/overlayd", str(folder))
    assert text != plain
    assert read(folder, text) == read(folder, plain)


NAME = "a name is 1 to 40 lower-case letters, digits and inner dashes, a letter first"
HOST_PORT = (
    "write HOST:PORT, for example 192.0.2.7:7700, [2001:db8::7]:7700 or uc-1.example.org:7700"
)

TABLE = {
    "unknown table": (
        "[overlay]",
        "[overlays]",
        [
            "d.toml:1:1: overlay: missing",
            'd.toml:6:1: overlays: unknown key; did you mean "overlay"?',
        ],
    ),
    "unknown key": (
        "listen =",
        "listn =",
        [
            "d.toml:6:1: overlay.listen: missing; write for example 192.0.2.7:7700",
            'd.toml:7:1: overlay.listn: unknown key; did you mean "listen"?',
        ],
    ),
    "nobody to dial": (
        f'listen = "10.0.0.1:7700"\njoin = ["{PEER}@10.0.0.2:7700"]',
        'reach = "nat"',
        [
            "d.toml:6:1: overlay.join: nobody can dial this peer,"
            " so name at least one that it is to dial",
        ],
    ),
    "advertises where nobody listens": (
        'listen = "10.0.0.1:7700"',
        'reach = "nat"\nadvertise = "10.0.0.1:7700"',
        [
            "d.toml:8:13: overlay.advertise: nobody listens there without listen;"
            " write listen too, or leave both out",
        ],
    ),
    "reach": (
        "join =",
        'reach = "hidden"\njoin =',
        ['d.toml:8:9: overlay.reach: found "hidden"; allowed are auto, public and nat'],
    ),
    "host name": ('"uc-1"', '"UC_1"', [f'd.toml:2:8: host.name: found "UC_1"; {NAME}']),
    "number for a name": (
        '"uc-1"',
        "1",
        ["d.toml:2:8: host.name: found the number 1; write a name, for example uc-1"],
    ),
    "what is no host": (
        "10.0.0.1:7700",
        "uc_1:7700",
        [f'd.toml:7:10: overlay.listen: found "uc_1:7700"; {HOST_PORT}'],
    ),
    "IPv6 without brackets": (
        "10.0.0.1:7700",
        "2001:db8::1:7700",
        [
            'd.toml:7:10: overlay.listen: found "2001:db8::1:7700";'
            " an IPv6 address goes in brackets: [2001:db8::1]:7700"
        ],
    ),
    "of many hosts": (
        "10.0.0.1:7700",
        "[ff02::1]:7700",
        [
            'd.toml:7:10: overlay.listen: found "[ff02::1]:7700";'
            " ff02::1 is of many hosts; write an address of one"
        ],
    ),
    "port": (
        "10.0.0.1:7700",
        "10.0.0.1:77000",
        ['d.toml:7:10: overlay.listen: found "10.0.0.1:77000"; ports are 1 to 65535'],
    ),
    "port 0": (
        "10.0.0.1:7700",
        "10.0.0.1:0",
        [f'd.toml:7:10: overlay.listen: found "10.0.0.1:0"; {HOST_PORT}'],
    ),
    "advertise": (
        "join =",
        'advertise = "0.0.0.0:1"\njoin =',
        ['d.toml:8:13: overlay.advertise: found "0.0.0.0:1"; write the address others reach it by'],
    ),
    "contact": (
        f"{PEER}@",
        "abc@",
        [
            'd.toml:8:9: overlay.join[0]: found "abc@10.0.0.2:7700"; write KEY@HOST:PORT,'
            " KEY being that peer's 64 hexadecimal digits"
        ],
    ),
    "contact's port": (
        "@10.0.0.2:7700",
        "@10.0.0.2",
        [
            f'd.toml:8:9: overlay.join[0]: found "{PEER[:57]}..."; behind the @, {HOST_PORT}',
        ],
    ),
    "joins itself": (
        "@10.0.0.2",
        "@10.0.0.1",
        [
            "d.toml:8:9: overlay.join[0]: found this daemon's own address; name other peers,"
            " or none if it is the first"
        ],
    ),
    "no key file": (
        '"host.key"',
        '"hots.key"',
        [
            "d.toml:11:7: identity.key: hots.key: no such file or directory;"
            " overlayctl host enrol writes it"
        ],
    ),
    "folder for a certificate": (
        '"host.cert"',
        '"/"',
        ["d.toml:12:15: identity.certificate: / is not a file"],
    ),
    "state that is a file": (
        '"state"',
        '"host.key"',
        ["d.toml:4:9: host.state: host.key is a file; name a folder, or one that can be made"],
    ),
    "hypervisor": (
        "[identity]",
        '[compute]\nuri = "xen:///"\n\n[identity]',
        [
            'd.toml:11:7: compute.uri: found "xen:///"; allowed are qemu:///embed,'
            " qemu:///system, lxc:///, lxc:///system and test:///default"
        ],
    ),
    "kvm trial": (
        "[identity]",
        '[compute]\nkvm-trial = "1h"\n\n[identity]',
        ["d.toml:11:13: compute.kvm-trial: found 3600 s; allowed are 1s to 10m"],
    ),
    "users of guests": (
        "[identity]",
        '[compute]\nguest-uids = "0-9999"\n\n[identity]',
        [
            'd.toml:11:14: compute.guest-uids: found "0-9999"; write the first and the last of at least two, '
            "for example 700000-709999"
        ],
    ),
    "offer": (
        "[identity]",
        '[offer]\nmemory = "lots"\ncpus = 0\n\n[identity]',
        [
            'd.toml:11:10: offer.memory: found "lots"; write for example 512M, 4G or 1.5T',
            "d.toml:12:8: offer.cpus: found 0; leave it out to offer all of it",
        ],
    ),
    "mtu": (
        "[identity]",
        "[network]\nmtu = 100\n\n[identity]",
        ["d.toml:11:7: network.mtu: found 100; allowed are 576 to 9000"],
    ),
    "tunnel port": (
        "[identity]",
        "[network]\ntunnel-port = 65536\n\n[identity]",
        ["d.toml:11:15: network.tunnel-port: found 65536; allowed are 1 to 65535"],
    ),
    "wireguard port": (
        "[identity]",
        "[network]\nwireguard-port = 7700\n\n[identity]",
        ["d.toml:11:18: network.wireguard-port: found 7700, which tunnel-port is"],
    ),
    "egress": (
        "[identity]",
        '[network]\negress-closed = ["10.0.0.0/8", "10.0.0.1/8"]\nresolvers = ["dns"]\n\n[identity]',
        [
            'd.toml:11:17: network.egress-closed: found "10.0.0.1/8", 10.0.0.1/8 has host bits set;'
            " write a range as 10.0.0.0/8",
            'd.toml:12:14: network.resolvers[0]: found "dns"; write an IPv4 address',
        ],
    ),
    "rates": (
        "[identity]",
        '[offer]\nnetwork-rate = 0\n[network]\nguest-rate = "10K"\n\n[identity]',
        [
            "d.toml:11:16: offer.network-rate: found 0 bit/s; leave it out to not count it",
            "d.toml:13:14: network.guest-rate: found 10 kbit/s; 256 kbit/s is the least",
        ],
    ),
    "rates of disks": (
        "[identity]",
        '[offer]\ndisk-rate = 0\ndisk-operations = "some"\n[compute]\nguest-disk-rate = "10K"\n'
        "guest-disk-operations = 1\n\n[identity]",
        [
            "d.toml:11:13: offer.disk-rate: found 0 B/s; leave it out to not count it",
            'd.toml:12:19: offer.disk-operations: found "some"; write a whole number, for example 500: reads'
            " and writes a second",
            "d.toml:14:19: compute.guest-disk-rate: found 10 KiB/s; 1 MiB/s is the least",
            "d.toml:15:25: compute.guest-disk-operations: found 1 operation/s; 16 operations/s is the least",
        ],
    ),
    "expose": (
        "[identity]",
        '[network]\nexpose = "32767-30000"\nexpose-address = "gate"\n\n[identity]',
        [
            'd.toml:11:10: network.expose: found "32767-30000"; write the first and the last, for example'
            " 30000-32767",
            'd.toml:12:18: network.expose-address: found "gate"; write an IPv4 address',
        ],
    ),
    "underlay": (
        "[identity]",
        '[network]\nunderlay = "fe80::1"\n\n[identity]',
        [
            'd.toml:11:12: network.underlay: found "fe80::1"; write an address,'
            " an interface or auto: 192.0.2.7, 2001:db8::7, eth0"
        ],
    ),
    "group": (
        "[identity]",
        '[api]\ngroup = "no-such-group"\n\n[identity]',
        [
            'd.toml:11:9: api.group: found "no-such-group", which is no group of this host;'
            " groupadd makes it"
        ],
    ),
    "log level": (
        "[identity]",
        '[log]\nlevel = "loud"\n\n[identity]',
        ['d.toml:11:9: log.level: found "loud"; allowed are debug, info, warning and error'],
    ),
    "not TOML": (
        'site = "uc"',
        "site = uc",
        ["d.toml:3:8: not TOML: invalid value"],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_a_bad_file_is_answered_with_where_what_and_what_is_allowed(
    folder: Path, case: str
) -> None:
    old, new, expected = TABLE[case]
    assert old in GOOD
    assert said(folder, GOOD.replace(old, new, 1)) == expected


def test_a_key_others_can_read_is_refused_with_the_command_that_helps(folder: Path) -> None:
    (folder / "host.key").chmod(0o644)
    assert said(folder, GOOD) == [
        "d.toml:11:7: identity.key: host.key has mode 0644; a secret key has 0600:"
        " chmod 600 host.key"
    ]


def test_a_socket_path_longer_than_the_kernel_takes_is_refused(folder: Path) -> None:
    (message,) = said(folder, GOOD + f'[api]\nsocket = "/{"x" * 107}"\n')
    assert message == (
        f"d.toml:15:10: api.socket: /{'x' * 107} has 108 bytes; a socket's path has at most 107,"
        " so write a shorter one"
    )
    assert said(folder, GOOD + f'[api]\nsocket = "/{"x" * 106}"\n') == []


@pytest.mark.parametrize(
    ("uri", "most"), [("qemu:///embed", 42), ("qemu:///system", 77), ("lxc:///", 77)]
)
def test_a_state_directory_too_long_for_guests_sockets_is_refused_where_it_is_written(
    folder: Path, uri: str, most: int
) -> None:
    def asked(length: int) -> str:
        text = GOOD.replace('"state"', f'"/{"s" * (length - 1)}"')
        return f'{text}[compute]\nuri = "{uri}"\n'

    assert said(folder, asked(most)) == []
    assert said(folder, asked(most + 1)) == [
        f"d.toml:4:9: host.state: /{'s' * most} has {most + 1} bytes; guests' Unix sockets lie in it, so"
        f" at most {most} are allowed, for example /var/lib/overlayd"
    ]
    assert said(folder, asked(200).replace(uri, "test:///default")) == []


def test_every_error_is_said_at_once(folder: Path) -> None:
    text = (
        GOOD.replace('"uc"', "5")
        .replace("10.0.0.1:7700", "nowhere")
        .replace("host.cert", "none.cert")
        .replace("[identity]", '[log]\nfromat = "json"\n[identity]')
    )
    assert [line.split(": ")[0:2] for line in said(folder, text)] == [
        ["d.toml:3:8", "host.site"],
        ["d.toml:7:10", "overlay.listen"],
        ["d.toml:11:1", "log.fromat"],
        ["d.toml:14:15", "identity.certificate"],
    ]


def test_an_empty_file_lacks_its_tables(folder: Path) -> None:
    assert said(folder, "") == [
        "d.toml:1:1: host: missing",
        "d.toml:1:1: overlay: missing",
        "d.toml:1:1: identity: missing",
    ]


def test_loading_raises_what_checking_returns(folder: Path) -> None:
    path = written(folder, GOOD.replace("uc-1", "-"))
    with pytest.raises(DocumentError) as caught:
        load_daemon(path)
    assert list(caught.value.problems) == check(path)


def test_a_missing_file_is_a_problem(folder: Path) -> None:
    assert [problem.message for problem in check(folder / "none.toml")] == [
        "cannot be read: no such file or directory"
    ]
