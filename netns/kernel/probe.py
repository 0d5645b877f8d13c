"""What this kernel can do, tried in a namespace that vanishes afterwards."""

import functools
from collections.abc import Callable

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netns import program
from netns.failures import NetnsError
from netns.kernel import namespaces
from netns.kernel.tap import add_tap

PROGRAMS = ("ip", "nft", "nsenter", "setpriv", "dnsmasq")
_RULES = """table bridge probe {
    set card { type ifname . ether_addr; }
    chain early {
        type filter hook prerouting priority -250;
        iifname . ether saddr @card drop;
    }
}
"""


@functools.cache
def require() -> None:
    """Raises NetnsError that names everything that is missing. It is tried once in a process's life."""
    absent = program.missing_programs(PROGRAMS)
    if absent:
        raise NetnsError(f"programs are missing: {', '.join(absent)}; install these packages")
    problems = namespaces.inside_fresh(_problems)
    if problems:
        raise NetnsError(
            "this kernel cannot carry grid networks: " + "; ".join(problems) + ". "
            "Load the modules, or use a kernel that has them"
        )


def _problems() -> list[str]:
    tries: list[tuple[str, Callable[[], object]]] = [
        ("bridge (CONFIG_BRIDGE)", lambda: _try_link("bridge")),
        (
            "vxlan (CONFIG_VXLAN)",
            lambda: _try_link("vxlan", vxlan_id=1, vxlan_learning=0, vxlan_proxy=1),
        ),
        ("veth (CONFIG_VETH)", lambda: _try_link("veth", peer="probe-peer")),
        ("taps (CONFIG_TUN)", lambda: add_tap("probe-tap")),
        ("nftables (CONFIG_NF_TABLES_BRIDGE)", _try_rules),
    ]
    problems = []
    for what, work in tries:
        try:
            work()
        except (NetlinkError, OSError, NetnsError) as error:
            problems.append(f"no {what}: {error}")
    return problems


def _try_rules() -> None:
    program.run(["nft", "-f", "-"], text=_RULES)


def _try_link(kind: str, **how: object) -> None:
    with IPRoute() as netlink:
        netlink.link("add", ifname=f"probe-{kind}", kind=kind, **how)
