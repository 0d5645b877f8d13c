"""What the daemon calls: bring about one network on this host, look at it, reach into it, remove it.

Everything here blocks, so call it in a thread. Links are made in the network namespace of the calling
process, which is the host's. Calls on one run directory wait for each other. Each call can be killed at
any step: the next one observes what there is, and goes on from there.
"""

import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from netns import inside, model, program, saved
from netns.failures import NetnsError, StaleEpoch
from netns.kernel import (
    addresses,
    filters,
    links,
    namespaces,
    probe,
    rates,
    sockets,
    ways,
    wireguard,
)
from netns.kernel import observe as seen
from netns.kernel.filters import Listing
from netns.kernel.tap import carry
from netns.model import NetworkPlan
from netns.plan import way_text, wireguard_text, words
from netns.plan.difference import removal, steps
from netns.plan.wanted import alias_of, scope_of_vni, wanted
from netns.resources import (
    Action,
    Filter,
    Namespace,
    Rate,
    Resource,
    Scope,
    Service,
    Step,
    WayOut,
    WireguardLink,
)
from netns.services import dnsmasq

_ORPHAN = re.compile(r"vni-([0-9a-f]{6})")
_OWN_LINK = re.compile(r"ov[bxsve]-([0-9a-f]{6})")
_HERE = Path("/proc/thread-self/ns/net")
_NO_VNI = 0  # no network has it, so only taps are found


class Ensured(msgspec.Struct, frozen=True):
    """What it took to put a plan in force.

    `harm` says what was wrong, if just this plan had been in force since this boot of the host: somebody
    else has undone it. It is empty when the plan is new or another.
    """

    steps: tuple[Step, ...]
    harm: str = ""


def ensure(plan: NetworkPlan, run_dir: Path) -> Ensured:
    """Puts exactly this plan in force. It takes no step if it is.

    `run_dir` is this host's own directory for networks. Raises ValueError for a plan that makes no sense,
    StaleEpoch for one older than what is in force, and NetnsError when a step fails.
    """
    plan.check()
    probe.require()
    _check_underlay(plan)
    run_dir = run_dir.resolve()
    directory = saved.directory_of(run_dir, plan.network)
    with saved.locked(run_dir):
        before = saved.load_plan(directory)
        taken: list[Step] = []
        if before is not None:
            _check_epoch(plan, before.plan)
            if (before.plan.vni, before.plan.owner_tag) != (plan.vni, plan.owner_tag):
                taken += _take_down(
                    plan.network,
                    scope_of_vni(before.plan.owner_tag, before.plan.vni, before.taps),
                    directory,
                )
                before = None
        taps = {port.tap for port in plan.ports}
        slot = _slot(plan, before, run_dir)
        all_taps = tuple(sorted(taps.union(before.taps if before else ())))
        done = saved.SavedPlan(plan, tuple(sorted(taps)), saved.boot_id(), slot)
        promised = saved.SavedPlan(plan, all_taps, slot=slot)
        if before not in (promised, done):
            saved.save_plan(directory, promised)
        scope = scope_of_vni(plan.owner_tag, plan.vni, promised.taps, _cards(plan))
        found = _observe_all(scope, directory)
        todo = steps(wanted(plan, slot), found)
        _take(todo, plan.network, scope, plan.owner_tag, directory)
        undone = _settle_wireguard(run_dir, plan.owner_tag) if plan.wireguard is not None else ()
        if before != done:
            saved.save_plan(directory, done)
        stood = before == done and bool(done.in_force)
        harm = "; ".join(filter(None, (*undone, words.harm(plan, todo, found))))
        return Ensured((*taken, *todo), harm if stood else "")


def harms(plans: Iterable[NetworkPlan], run_dir: Path, rules: Listing) -> dict[str, str]:
    """What is not as the plans say, in words, by network; nothing of those that are in force. Reads only.

    All networks are read together, and it starts no program if nobody changed the rules of the host. `rules`
    is the caller's for as long as it looks at this host. Raises NetnsError or OSError if it cannot be told.
    """
    run_dir = run_dir.resolve()
    with saved.locked(run_dir):
        scopes = [
            (plan, scope_of_vni(plan.owner_tag, plan.vni, _taps(plan), _cards(plan)))
            for plan in plans
        ]
        host, tables = seen.look(scope for _, scope in scopes), rules.tables()
        found = {}
        for plan, scope in scopes:
            directory = saved.directory_of(run_dir, plan.network)
            there = _observed(scope, directory, host, tables)
            state = saved.load_plan(directory)
            if todo := steps(wanted(plan, state.slot if state is not None else 0), there):
                found[plan.network] = words.harm(plan, todo, there)
        crossing = [plan for plan in plans if plan.wireguard is not None]
        if crossing and (link := _wireguard_link(run_dir, crossing[0].owner_tag)) is not None:
            wrong = "; ".join(wireguard.wrong(link, run_dir, tables.get(link.filter.table)))
            found |= {
                plan.network: wrong for plan in crossing if wrong and plan.network not in found
            }
        return found


def unplugged(taps: Iterable[str]) -> tuple[str, ...]:
    """Those of the taps of this host that no process has open: no guest has its card there.

    Raises NetnsError when the kernel refuses to tell.
    """
    links = {name for _, name in socket.if_nameindex()}
    return tuple(tap for tap in seen.without_carrier(taps) if _is_unplugged(tap, links))


def carried(taps: Iterable[str]) -> tuple[str, ...]:
    """Those of the taps that a process has open and whose carrier somebody had taken. They have it again.

    Raises NetnsError when the kernel refuses.
    """
    there = {name for _, name in socket.if_nameindex()}
    lost = seen.without_carrier(tap for tap in taps if tap in there)
    return tuple(tap for tap in lost if carry(tap))


def service_pidfd(network: str, run_dir: Path) -> int | None:
    """A descriptor that can be read once the network's dnsmasq has ended; None if none runs."""
    return dnsmasq.pidfd(saved.directory_of(run_dir.resolve(), network))


def remove(network: str, run_dir: Path, owner_tag: str) -> list[Step]:
    """Leaves nothing of that network on this host. Answers the steps that were needed.

    It needs no plan: what was saved says what to look for, or else the names in the kernel do.
    """
    if not model.is_network_id(network):
        return []  # nothing ever has such a name
    run_dir = run_dir.resolve()
    directory = saved.directory_of(run_dir, network)
    with saved.locked(run_dir):
        taken: list[Step] = []
        for scope in _scopes_of(network, run_dir, owner_tag):
            taken += _take_down(network, scope, directory)
        saved.forget(directory)
        _settle_wireguard(run_dir, owner_tag)
        return taken


def observe(run_dir: Path, owner_tag: str) -> tuple[str, ...]:
    """Ids of the networks of which anything exists here, sorted.

    A namespace of this owner of which nothing else is known is listed as `vni-xxxxxx`. `remove`
    understands that id.
    """
    prefix = alias_of(owner_tag, "")
    found = set(saved.networks(run_dir))
    found.update(
        alias.removeprefix(prefix) for _, alias in seen.aliased_links() if alias.startswith(prefix)
    )
    known = {
        scope.namespace for network in found for scope in _scopes_of(network, run_dir, owner_tag)
    }
    for name in namespaces.names():
        vni = _vni_of_namespace(name, owner_tag)
        if vni is not None and name not in known:
            found.add(f"vni-{vni:06x}")
    return tuple(sorted(found))


def reachable(network: str, run_dir: Path, address: str, port: int, timeout_s: float) -> bool:
    """Whether a TCP connection from the network's namespace on this host succeeds in time.

    Only members on this host can be reached so: every host has the gateway's address, and what it sends
    stays on its host. Raises NetnsError when the network is not on this host.
    """
    with namespaces.stream_socket_in(_namespace_of(network, run_dir)) as handle:
        handle.settimeout(timeout_s)
        try:
            handle.connect((address, port))
        except OSError:
            return False
        return True


def namespace_number(network: str, run_dir: Path) -> int:
    """A number of the network's namespace on this host. One that was made anew has another.

    Raises NetnsError when the network is not on this host.
    """
    return namespaces.path_of(_namespace_of(network, run_dir)).stat().st_ino


def listen(network: str, run_dir: Path, address: str, port: int) -> socket.socket:
    """A TCP listener in the network's namespace on this host, without blocking. The caller closes it.

    Raises NetnsError when the network is not on this host, or has not that address.
    """
    return sockets.listen_in(_namespace_of(network, run_dir), address, port)


def socket_of(network: str, run_dir: Path) -> socket.socket:
    """A TCP socket in the network's namespace on this host, without blocking. The caller closes it.

    Local members alone answer it, as with `reachable`. Raises NetnsError when the network is not on this host.
    """
    handle = namespaces.stream_socket_in(_namespace_of(network, run_dir))
    handle.setblocking(False)
    return handle


def ping(network: str, run_dir: Path, address: str, timeout_s: float = 1.0) -> bool:
    """Whether a local member answers one echo request from the network's namespace."""
    path = namespaces.path_of(_namespace_of(network, run_dir))
    status, _, _ = program.attempt(
        ["nsenter", f"--net={path}", "ping", "-n", "-q", "-c", "1", "-W", f"{timeout_s:g}", address]
    )
    return status == 0


def _is_unplugged(tap: str, links: set[str]) -> bool:
    if seen.is_paired(tap):
        return model.card_name(tap) in links  # its container would have it
    return not carry(tap)


def _taps(plan: NetworkPlan) -> tuple[str, ...]:
    return tuple(port.tap for port in plan.ports)


def _cards(plan: NetworkPlan) -> tuple[str, ...]:
    return tuple(port.tap for port in plan.ports if port.paired)


def _vni_of_namespace(name: str, owner_tag: str) -> int | None:
    last = name.rpartition("-")[2]
    if not re.fullmatch("[0-9a-f]{6}", last):
        return None
    vni = int(last, 16)
    return vni if name == model.namespace_name(owner_tag, vni) else None


def _namespace_of(network: str, run_dir: Path) -> str:
    state = (
        saved.load_plan(saved.directory_of(run_dir, network))
        if model.is_network_id(network)
        else None
    )
    if state is None or not namespaces.is_mounted(state.plan.namespace):
        raise NetnsError(f"network {network} is not on this host; ensure it first")
    return state.plan.namespace


def _scopes_of(network: str, run_dir: Path, owner_tag: str) -> list[Scope]:
    """Where to look for the network: where its plan says, and wherever links bear its name."""
    taps: dict[int, set[str]] = {}
    state = saved.load_plan(saved.directory_of(run_dir, network))
    if state is not None:
        taps[state.plan.vni] = set(state.taps)
    if orphan := _ORPHAN.fullmatch(network):
        taps.setdefault(int(orphan[1], 16), set())
    alias = alias_of(owner_tag, network)
    mine = [name for name, said in seen.aliased_links() if said == alias]
    for name in mine:
        if own := _OWN_LINK.fullmatch(name):
            taps.setdefault(int(own[1], 16), set())
    for vni in list(taps) or [_NO_VNI] * bool(mine):
        taps.setdefault(vni, set()).update(
            name for name in mine if name.startswith(model.TAP_PREFIX)
        )
        taps[vni].update(
            model.tap_beside(name) for name in mine if name.startswith(model.RATE_PREFIX)
        )
    return [
        scope_of_vni(owner_tag, vni, tuple(sorted(names))) for vni, names in sorted(taps.items())
    ]


def _take_down(network: str, scope: Scope, directory: Path) -> list[Step]:
    todo = removal(_observe_all(scope, directory))
    _take(todo, network, scope, "", directory)
    return todo


def _observe_all(scope: Scope, directory: Path) -> list[Resource]:
    tables = {table: filters.printed(table) for table in (*scope.filters, scope.way_table)}
    return _observed(scope, directory, seen.look((scope,)), tables)


def _observed(
    scope: Scope, directory: Path, host: seen.HostSeen, tables: Mapping[str, str | None]
) -> list[Resource]:
    found = seen.observe(scope, host)
    shut = [filters.observe(table, directory, tables.get(table)) for table in scope.filters]
    way = seen.way_out(scope, host, directory, tables.get(scope.way_table))
    path = namespaces.path_of(scope.namespace)
    service = dnsmasq.observe(scope.namespace, path, directory)
    relay = dnsmasq.observe("", _HERE, directory / dnsmasq.RELAY)
    return found + [resource for resource in (*shut, way, service, relay) if resource is not None]


def _take(todo: list[Step], network: str, scope: Scope, owner_tag: str, directory: Path) -> None:
    for step in todo:
        try:
            _apply(step, scope, alias_of(owner_tag, network), directory)
        except (NetnsError, OSError) as error:
            raise NetnsError(f"network {network}: could not {step}: {error}") from error


def _apply(step: Step, scope: Scope, alias: str, directory: Path) -> None:
    match step.resource:
        case Namespace(name=name):
            if step.action is not Action.ADD:
                namespaces.delete(name)
            if step.action is not Action.DELETE:
                namespaces.add(name)
        case Filter() as table:
            if step.action is Action.DELETE:
                filters.delete(table.table, directory)
            else:
                filters.load(table, directory)
        case WayOut() as way:
            if step.action is Action.DELETE:
                ways.remove(way.link, scope.way_table, directory)
            else:
                ways.bring_about(way, scope.way_table, alias, directory)
        case Rate() as rate:
            if step.action is Action.DELETE:
                rates.remove(rate)
            else:
                rates.bring_about(rate)
        case Service() as service:
            path = namespaces.path_of(service.namespace) if service.namespace else _HERE
            folder = directory if service.namespace else directory / dnsmasq.RELAY
            if step.action is Action.DELETE:
                dnsmasq.stop(folder)
            else:
                dnsmasq.ensure(service, path, folder)
        case resource:
            links.apply(step.action, resource)


def _wireguard_link(run_dir: Path, owner_tag: str) -> WireguardLink | None:
    """This host's WireGuard interface as its networks want it; None if they want none."""
    last = wireguard.told(run_dir)
    known = {peer.key: peer.peer for peer in last.peers} if last is not None else {}
    return wireguard_text.link_of(owner_tag, saved.wireguard_plans(run_dir), known)


def _settle_wireguard(run_dir: Path, owner_tag: str) -> tuple[str, ...]:
    """Makes this host's WireGuard interface as its networks want it. Answers what somebody had undone."""
    if (link := _wireguard_link(run_dir, owner_tag)) is not None:
        return wireguard.settle(link, run_dir)
    name, table = inside.link_name(owner_tag), inside.table_name(owner_tag)
    wireguard.remove(name, table, run_dir)
    return ()


def _slot(plan: NetworkPlan, before: saved.SavedPlan | None, run_dir: Path) -> int:
    """Which of the host's pairs of addresses is this network's way out: kept, or the first that is free."""
    if not plan.leads_out:
        return saved.NO_SLOT
    if before is not None and before.slot != saved.NO_SLOT:
        return before.slot
    others = [
        saved.load_plan(saved.directory_of(run_dir, name)) for name in saved.networks(run_dir)
    ]
    taken = {state.slot for state in others if state is not None}
    held = {entry.address for entry in addresses.addresses()}
    for slot in range(way_text.SLOTS):
        if slot not in taken and not held.intersection(way_text.ends(slot)):
            return slot
    raise NetnsError(
        f"network {plan.network}: all {way_text.SLOTS} ways out of this host are taken"
    )


def _check_epoch(plan: NetworkPlan, before: NetworkPlan) -> None:
    if plan.epoch < before.epoch:
        raise StaleEpoch(
            f"network {plan.network}: a plan of epoch {plan.epoch} was asked for, but epoch "
            f"{before.epoch} is in force here; ask the stewards for the newest"
        )


def _check_underlay(plan: NetworkPlan) -> None:
    mtu = seen.mtu_of_address(plan.underlay)
    if mtu is None:
        raise NetnsError(
            f"network {plan.network}: no link of this host has the underlay address "
            f"{plan.underlay}; give one that `ip address` shows"
        )
    room = mtu - plan.overhead_bytes
    if plan.neighbours and plan.mtu > room:
        raise NetnsError(
            f"network {plan.network}: an mtu of {plan.mtu} was asked for, but the link of "
            f"{plan.underlay} carries {mtu}, {plan.mtu - room} too few; at most {room} fits"
        )
