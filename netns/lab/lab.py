"""A lab on this machine: brought up, cut, healed, looked at, taken down.

One namespace holds the wide-area segment: a bridge for each site, and a router with a leg in each. The two
ends of a leg limit the rate, each in its direction. One namespace for each host holds its eth0. A site behind
NAT has its router in a namespace of its own, with nftables' masquerade. Everything hangs on the namespaces, so
a lab leaves no file and no link behind. The router's loopback bears the topology's digest, which is written
last: a lab without that mark is half made.
"""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from netns import program
from netns.failures import NetnsError
from netns.kernel import namespaces, sysctl
from netns.kernel.observe import link_alias
from netns.lab import cuts, leftovers, topology, wiring
from netns.lab.topology import Host, Site, Topology

_PREFIX = "ovl-lab-"
_WAN = "wan"


class HostStatus(NamedTuple):
    host: str
    site: str
    address: str
    namespace: str
    exists: bool
    processes: int
    is_cut: bool


class Lab:
    """One lab by its topology. Calls block; each is idempotent."""

    def __init__(self, plan: Topology) -> None:
        plan.check()
        self.topology = plan
        self._hosts = {host.name: (site, host) for site in plan.sites for host in site.hosts}

    @classmethod
    def from_file(cls, path: Path | str, name: str = "") -> "Lab":
        """The lab of a topology file. Another `name` than the file's makes a second, separate lab."""
        return cls(topology.read(Path(path), name))

    @property
    def name(self) -> str:
        return self.topology.name

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names in the order of the file."""
        return tuple(self._hosts)

    def namespace(self, host: str) -> str:
        """The name in /run/netns."""
        self._entry(host)
        return self._full(host)

    def address(self, host: str) -> str:
        return self._entry(host)[1].address

    def site(self, host: str) -> str:
        return self._entry(host)[0].name

    def command(self, host: str, *argv: str) -> list[str]:
        """The command that runs `argv` in the host's network namespace; everything else is the caller's.

        It does not use `ip netns exec`, which mounts a fresh /sys and so hides the cgroups from libvirt.
        """
        return ["nsenter", f"--net={namespaces.path_of(self.namespace(host))}", "--", *argv]

    def is_up(self) -> bool:
        """Whether the lab is there, whole, and of this topology."""
        return self._mark() == self._digest() and all(map(namespaces.is_mounted, self._wanted()))

    def up(self) -> bool:
        """Makes it; False if it was there. What an earlier attempt left is cleared first."""
        if self.is_up():
            return False
        if self._mark() not in ("", self._digest()):
            raise NetnsError(
                f"lab {self.name}: one of another topology is up under this name; take it down "
                f"with that topology's file, or give this one another name"
            )
        self.down()
        ipv6 = {self._full(h.name) for site, h in self._hosts.values() if site.is_ipv6}
        if ipv6:
            ipv6.add(self._full(_WAN))
        for name in self._wanted():
            namespaces.add(name)
            if name not in ipv6:
                namespaces.inside(name, lambda: sysctl.disable_ipv6("default"))
        wan = self._full(_WAN)
        _batch("ip", wan, wiring.wan_links(self.topology, self._full))
        for index, site in enumerate(self.topology.sites):
            if site.nat:
                self._route(index, site)
        for site, host in self._hosts.values():
            _batch("ip", self._full(host.name), wiring.host_links(site, host))
        _batch("tc", wan, wiring.rates(self.topology))
        namespaces.inside(wan, lambda: sysctl.set_forwarding(True))
        if ipv6:
            namespaces.inside(wan, lambda: sysctl.set_forwarding_ipv6(True))
        _nft(wan, wiring.reached_only(self.topology))
        program.run(["ip", "-n", wan, "link", "set", "lo", "alias", self._digest()])
        return True

    def down(self, *, force: bool = False) -> bool:
        """Takes it away; False if nothing was there. It works on a half-made lab, too.

        It refuses while processes run on the hosts, or networks of grids lie on them. With `force` these are
        ended and removed.
        """
        existing = self._existing()
        grids = [inner for name in existing for inner in leftovers.grid_namespaces(name)]
        running = [who for name in [*existing, *grids] for who in leftovers.processes(name)]
        if (running or grids) and not force:
            raise NetnsError(_still_there(self.name, running, grids))
        leftovers.end(running)
        for name in [*grids, *existing]:
            namespaces.delete(name)
        return bool(existing)

    def partition(self, *names: str) -> None:
        """Cuts these sites and hosts off from all others. Among each other they still talk."""
        addresses = self._addresses(names)
        self._need_up()
        cuts.cut(self._full(_WAN), addresses)

    def heal(self) -> int:
        """Undoes every partition. Answers how many there were."""
        self._need_up()
        return cuts.heal(self._full(_WAN))

    def open(self, name: str) -> bool:
        """Lets everybody dial the hosts of a site behind NAT; False if its router let them already."""
        router = self._router(name)
        if not _is_closed(router):
            return False
        table = f"ip {wiring.NAT_TABLE} {wiring.CLOSED}"
        _nft(router, f"flush chain {table}\ndelete chain {table}\n")
        return True

    def close(self, name: str) -> bool:
        """Undoes `open`; False if the site was not open."""
        router = self._router(name)
        if _is_closed(router):
            return False
        _nft(router, wiring.closed())
        return True

    def status(self) -> list[HostStatus]:
        """One entry for each host, in the order of the file, even if the lab is not up."""
        wan = self._full(_WAN)
        cut = cuts.cut_addresses(wan) if namespaces.is_mounted(wan) else frozenset()
        return [
            HostStatus(
                host.name,
                site.name,
                host.address,
                self._full(host.name),
                namespaces.is_mounted(self._full(host.name)),
                len(namespaces.pids(self._full(host.name))),
                host.address in cut,
            )
            for site, host in self._hosts.values()
        ]

    def _full(self, short: str) -> str:
        return f"{_PREFIX}{self.name}.{short}"  # no name has a dot, so no two labs can mix

    def _route(self, index: int, site: Site) -> None:
        """Makes a site's NAT router."""
        router = self._full(wiring.router_of(site))
        _batch("ip", router, wiring.router_links(index, site))
        _nft(router, wiring.masquerade() + wiring.closed())
        namespaces.inside(router, lambda: sysctl.set_forwarding(True))

    def _router(self, name: str) -> str:
        """The namespace of the NAT router of a site."""
        behind = {site.name: site for site in self.topology.sites if site.nat}
        if name not in behind:
            raise NetnsError(
                f"lab {self.name} has no site {name!r} behind NAT; "
                f"there is {', '.join(behind) or 'none'}"
            )
        self._need_up()
        return self._full(wiring.router_of(behind[name]))

    def _wanted(self) -> list[str]:
        routers = [wiring.router_of(site) for site in self.topology.sites if site.nat]
        return [self._full(name) for name in (_WAN, *routers, *self._hosts)]

    def _existing(self) -> list[str]:
        """Namespaces that bear the lab's name, those of hosts no longer in the topology among them."""
        return [name for name in namespaces.names() if name.startswith(self._full(""))]

    def _digest(self) -> str:
        return sha256(msgspec.json.encode(self.topology)).hexdigest()[:20]

    def _mark(self) -> str:
        """The digest of the topology that is up; empty if none is, or only half of one."""
        wan = self._full(_WAN)
        return (
            namespaces.inside(wan, lambda: link_alias("lo")) if namespaces.is_mounted(wan) else ""
        )

    def _entry(self, host: str) -> tuple[Site, Host]:
        if host not in self._hosts:
            raise NetnsError(
                f"lab {self.name} has no host {host!r}; it has {', '.join(self._hosts)}"
            )
        return self._hosts[host]

    def _addresses(self, names: tuple[str, ...]) -> list[str]:
        sites = {site.name: [host.address for host in site.hosts] for site in self.topology.sites}
        hosts = {name: [host.address] for name, (_, host) in self._hosts.items()}
        known = sites | hosts
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise NetnsError(
                f"lab {self.name} has no site or host {', '.join(map(repr, unknown)) or 'to cut'}; "
                f"sites are {', '.join(sites)}, hosts {', '.join(hosts)}"
            )
        return sorted({address for name in names for address in known[name]})

    def _need_up(self) -> None:
        if not self.is_up():
            raise NetnsError(f"lab {self.name} is not up; bring it up first")


def _batch(tool: str, namespace: str, text: str) -> None:
    if text:
        program.run([tool, "-n", namespace, "-batch", "-"], text=text)


def _nft(namespace: str, text: str) -> None:
    if text:
        namespaces.inside(namespace, lambda: program.run(["nft", "-f", "-"], text=text))


def _is_closed(router: str) -> bool:
    listed = namespaces.inside(router, lambda: program.run(["nft", "list", "chains", "ip"]))
    return f"chain {wiring.CLOSED} " in listed


def _still_there(name: str, running: list[leftovers.Running], grids: list[str]) -> str:
    lines = [f"lab {name} is in use and was left as it is:"]
    lines += [f"  {who.namespace}: process {who.pid} {who.command}" for who in running]
    lines += [f"  {namespace}: network of a grid" for namespace in grids]
    return "\n".join([*lines, "End these first, or use --force to end them all."])
