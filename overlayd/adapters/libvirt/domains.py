"""What is done to domains, by blocking calls: run them in a thread.

Domains are persistent, so libvirt still knows a guest that shut down by itself, even after a restart of this
process or of the host. A domain's metadata says which start of the machine it is (`boot`). That is compared
before anything is done, which makes each call idempotent.
"""

import binascii
import contextlib
import os
import threading
import time
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt

from overlayd.adapters.libvirt import asking, quiescing, sizes
from overlayd.adapters.libvirt.consoles import Terminal
from overlayd.adapters.libvirt.container import make_root, remove_root
from overlayd.adapters.libvirt.driver import DomainType, Driver, runs_qemu
from overlayd.adapters.libvirt.figures import figures_of
from overlayd.adapters.libvirt.folders import GuestFolders, RunsAs
from overlayd.adapters.libvirt.history import History
from overlayd.adapters.libvirt.plans import Containers, root_beside
from overlayd.adapters.libvirt.xml import (
    CONSOLE_LOG,
    CONSOLE_SOCKET,
    DEVICES_MAX,
    KEEPSAKE,
    LONG_PERIOD_US,
    NAMESPACE,
    QUOTA_MIN_US,
    cpu_quota_us,
    domain_xml,
    try_out_name,
    try_out_xml,
)
from overlayd.config.places import SOCKET_PATH_MAX
from overlayd.ports.compute import (
    NO_DISK_RATE,
    Cause,
    ComputeError,
    DiskBoot,
    Machine,
    MachineSeen,
    MachineState,
    Resized,
    Sizes,
)
from protocol.policy.receipts import Figures

_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_RUNNING: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: MachineState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: MachineState.PAUSED,
}
AGENT_WITHIN_S = 3
"""How long a guest's agent has for an answer."""

_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA)


class Domains:
    """The domains of one owner on one connection. Calls for the same name wait for each other."""

    def __init__(
        self,
        connection: libvirt.virConnect,
        driver: Driver,
        history: History,
        folders: GuestFolders | None = None,
        containers: Containers | None = None,
        locks: defaultdict[str, threading.Lock] | None = None,
    ) -> None:
        """`folders` give each guest a user of its own. Without them virtual machines run as root.

        `containers` have the plans by which containers are started. Calls under way hold some of `locks`.
        """
        self._containers = containers
        self._runs_as = RunsAs(driver, folders)
        self._connection = connection
        self._driver = driver
        self._history = history
        self._locks = locks if locks is not None else defaultdict(threading.Lock)

    def use(self, connection: libvirt.virConnect) -> None:
        """Goes on with another connection to the same libvirt."""
        self._connection = connection

    def try_out(self, look: Callable[[str], None] = lambda name: None) -> str:
        """Starts a guest of nothing and ends it. Why that failed, in libvirt's words; empty if it worked.

        `look` is called while it is there. Containers are not tried, since one needs a root file system.
        """
        if self._driver.type is DomainType.LXC:
            return ""
        # One is left if this process was killed in the middle: an embedded driver does not end it by itself.
        name = try_out_name(self._driver)
        with contextlib.suppress(libvirt.libvirtError):
            self._connection.lookupByName(name).destroy()
        flags = 0 if self._driver.type is DomainType.TEST else libvirt.VIR_DOMAIN_START_PAUSED
        try:
            tried = self._connection.createXML(
                try_out_xml(self._driver, self._runs_as.tried), flags
            )
            try:
                look(name)
            finally:
                tried.destroy()
        except (libvirt.libvirtError, OSError) as error:
            return str(error)
        finally:
            self._history.forget(name)
        return ""

    def observe(self) -> tuple[MachineSeen, ...]:
        """Every domain of ours, by name. A domain that vanishes meanwhile is left out."""
        seen = []
        for domain in self._connection.listAllDomains(0):
            try:
                mark = self._mark(domain)
                if mark is not None:
                    seen.append(self._seen(domain, mark))
            except libvirt.libvirtError as error:
                if error.get_error_code() not in _GONE:
                    raise
        return tuple(sorted(seen, key=lambda machine: machine.name))

    def figures(self) -> dict[tuple[str, str], Figures]:
        """What is counted of those of ours that run, by grid and workspace."""
        found = {}
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                mark = self._mark(domain)
                if mark is not None:
                    whose = mark.get("grid", ""), mark.get("workspace") or _titled(domain)
                    found[whose] = figures_of(self._connection, domain)
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (*_GONE, libvirt.VIR_ERR_OPERATION_INVALID):
                    raise
        return found

    def terminals(self) -> tuple[Terminal, ...]:
        """The consoles of containers that run. Other machines' are read by their hypervisor."""
        if self._driver.type is not DomainType.LXC:
            return ()
        found = []
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            with contextlib.suppress(libvirt.libvirtError):  # it has ended meanwhile
                mark = self._mark(domain) or {}
                console = ET.fromstring(domain.XMLDesc()).find("devices/console")  # noqa: S314, libvirt's own
                path = console.get("tty") if console is not None else None
                if path and mark.get(CONSOLE_LOG) and mark.get(CONSOLE_SOCKET):
                    log, socket = Path(mark[CONSOLE_LOG]), Path(mark[CONSOLE_SOCKET])
                    found.append(Terminal(domain.name(), path, log, socket))
        return tuple(found)

    def start(self, machine: Machine) -> None:
        """Brings a machine to running with this boot and this quantum."""
        self._check(machine)
        with self._locks[machine.name]:
            domain = self._find(machine)
            if domain is not None:
                boot = int((self._mark(domain) or {}).get("boot", "0"))
                if boot > machine.boot:
                    raise ComputeError(
                        f"{machine.name} was started for the {boot}th time already; "
                        f"an order for start {machine.boot} is out of date"
                    )
                if boot == machine.boot and self._goes_on(domain, machine):
                    return
                self._end(domain)
            self._make(machine)

    def resize(self, name: str, wanted: Sizes) -> Resized:
        """Gives a machine these sizes, as far as it can have them now."""
        with self._locks[name]:
            domain = self._ours(name)
            if domain is None or _state(domain) is not MachineState.RUNNING:
                raise ComputeError(f"{name} cannot be resized: it does not run")
            return sizes.resize(domain, self._driver.type, wanted)

    def pause(self, name: str) -> None:
        """Stops a machine's vcpus. It is no error if they are stopped."""
        with self._locks[name]:
            domain = self._ours(name)
            if domain is None or not domain.isActive():
                raise ComputeError(f"{name} cannot be paused: it does not run")
            if _state(domain) is MachineState.RUNNING:
                domain.suspend()

    def resume(self, name: str) -> None:
        """Lets a machine go on. It is no error if it runs."""
        with self._locks[name]:
            domain = self._ours(name)
            if domain is None or not domain.isActive():
                raise ComputeError(f"{name} cannot be resumed: it does not run")
            if _state(domain) is MachineState.PAUSED:
                _go_on(domain)

    def set_clock(self, name: str) -> bool:
        """Tells the guest's agent the time; False if none answers. It takes no lock: an agent may be slow."""
        domain = self._ours(name)
        if domain is None or not runs_qemu(self._driver.type):
            return False
        try:
            domain.agentSetResponseTimeout(AGENT_WITHIN_S)
            seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
            domain.setTime({"seconds": seconds, "nseconds": nanoseconds})
        except libvirt.libvirtError:
            return False
        return True

    def shut_down(self, name: str) -> bool:
        """Asks the guest to shut down; False if it cannot be asked. It takes no lock: an agent may be slow."""
        domain = self._ours(name)
        try:
            return domain is not None and asking.shut_down(domain, self._driver.type)
        except libvirt.libvirtError:
            return False  # It has ended meanwhile, or has no way of being asked.

    def freeze(self, name: str) -> bool:
        """Freezes the guest's file systems; False if they are not. It takes no lock: an agent may be slow."""
        domain = self._with_agent(name)
        return domain is not None and quiescing.freeze(domain)

    def thaw(self, name: str) -> bool:
        """Lets the guest's file systems go on; False if no agent answers."""
        domain = self._with_agent(name)
        return domain is not None and quiescing.thaw(domain)

    def _with_agent(self, name: str) -> libvirt.virDomain | None:
        """The domain, if its driver knows of agents."""
        return self._ours(name) if runs_qemu(self._driver.type) else None

    def save(self, name: str) -> None:
        """Saves a machine by libvirt's managed save: the image is libvirt's own, and a start restores it. If
        libvirt is killed in the middle, it lets the guest go on when it finds it again."""
        if self._driver.type is DomainType.LXC:
            raise ComputeError(f"{name} cannot be suspended: containers cannot be saved to disk")
        with self._locks[name]:
            domain = self._ours(name)
            if domain is not None and not domain.isActive() and domain.hasManagedSaveImage():
                return
            if domain is None or not domain.isActive():
                raise ComputeError(f"{name} cannot be saved: it does not run")
            try:
                sizes.let_go(domain, self._driver.type)
                domain.managedSave(0)
            except libvirt.libvirtError:
                if domain.isActive():
                    sizes.hold(domain, self._driver.type)
                    raise
                # The machine ended by itself meanwhile, so there is nothing to save.
                raise ComputeError(f"{name} cannot be saved: it has ended") from None

    def stop(self, name: str) -> None:
        """Ends a machine. It is no error if there is no such domain."""
        with self._locks[name]:
            domain = self._ours(name)
            if domain is not None:
                self._end(domain)
                self._history.forget(name)

    def forget(self, name: str) -> None:
        """Lets go of the user of a machine that is wanted no more, and of what a kill has left of it."""
        with self._locks[name]:
            self._runs_as.forget(name)
            if self._containers is not None:
                for tree in self._containers.trees(name):
                    remove_root(tree)
                self._containers.forget(name)

    def _check(self, machine: Machine) -> None:
        """Refuses what libvirt would refuse late or, worse, take for something else."""
        if cpu_quota_us(machine.cpu_milli) < QUOTA_MIN_US:
            raise ComputeError(
                f"{machine.name}: a cap of {machine.cpu_milli} thousandths of a cpu is too small; "
                f"the least is {QUOTA_MIN_US * 1000 // LONG_PERIOD_US}"
            )
        for what, path in (("console", machine.console_socket), ("agent", machine.agent_socket)):
            excess = len(path) - SOCKET_PATH_MAX
            if excess > 0:
                raise ComputeError(
                    f"{machine.name}: the {what} socket {path} is {excess} "
                    "characters too long for a Unix socket; use a shorter state directory"
                )
        devices = len(machine.disks) + len(machine.nics)
        devices -= isinstance(machine.boots, DiskBoot)  # Its root disk has a slot of its own.
        if devices > DEVICES_MAX:
            raise ComputeError(
                f"{machine.name}: {devices} disks and network cards are "
                f"{devices - DEVICES_MAX} too many; one machine may have {DEVICES_MAX}"
            )

    def _find(self, machine: Machine) -> libvirt.virDomain | None:
        """The domain of that name. Raises ComputeError if another owner has the name or the UUID."""
        domain = self._ours(machine.name)
        if domain is not None and domain.UUIDString() == machine.uuid:
            return domain
        if domain is not None:
            raise ComputeError(
                f"a machine {machine.name} with another UUID ({domain.UUIDString()}) exists here; "
                "stop it first"
            )
        try:
            other = self._connection.lookupByUUIDString(machine.uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        raise ComputeError(
            f"{machine.name} cannot be made: its UUID {machine.uuid} is taken by the domain "
            f"{other.name()}"
        )

    def _ours(self, name: str) -> libvirt.virDomain | None:
        """The domain of that name; None if there is none. Raises ComputeError if it is not ours."""
        try:
            domain = self._connection.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        if self._mark(domain) is None:
            raise ComputeError(
                f"the name {name} is taken by a domain that is not ours; rename or remove that one"
            )
        return domain

    def _goes_on(self, domain: libvirt.virDomain, machine: Machine) -> bool:
        """Brings the right boot to running with the right quantum. False if that boot is over."""
        if domain.isActive() and _state(domain) is MachineState.STOPPED:
            return False  # Its kernel panicked, and nobody was there to end it.
        if not domain.isActive():
            if self._driver.type is DomainType.LXC or not domain.hasManagedSaveImage():
                return False
            self._runs_as.give_back(domain, machine)
            domain.create()
            self._history.watch(domain)
        sizes.resize(domain, self._driver.type, machine.sizes)
        if _state(domain) is MachineState.PAUSED:
            _go_on(domain)
        return True

    def _make(self, machine: Machine) -> None:
        for path in (machine.console_log, machine.console_socket, machine.agent_socket):
            if path:
                Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ids = None
        if self._driver.type is DomainType.LXC:
            ids = self._containers.prepare(machine) if self._containers is not None else None
            make_root(machine, ids)
        machine, user = self._runs_as.prepare(machine)
        machine = sizes.within(machine, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        domain = self._connection.defineXML(domain_xml(machine, self._driver, user, ids))
        try:
            domain.create()
        except libvirt.libvirtError:
            self._end(domain)
            raise
        sizes.hold(domain, self._driver.type)
        if self._driver.type is DomainType.LXC and machine.disk_rate != NO_DISK_RATE:
            # What stops it is told when its sizes are looked at next.
            sizes.resize(domain, self._driver.type, machine.sizes)
        self._history.watch(domain)

    def _end(self, domain: libvirt.virDomain) -> None:
        xml = ET.fromstring(domain.XMLDesc())  # noqa: S314, libvirt's own, which it validated
        mark = self._mark(domain) or {}
        if domain.isActive():
            _unless_gone(domain.destroy)
        _unless_gone(lambda: self._undefine(domain))
        for device in ("serial", "channel"):
            for source in xml.iterfind(f"devices/{device}[@type='unix']/source[@path]"):
                Path(source.attrib["path"]).unlink(missing_ok=True)
        if self._driver.type is DomainType.LXC and (log := mark.get(CONSOLE_LOG)):
            remove_root(root_beside(log, domain.name()))
        self._runs_as.clear(domain.name())

    def _undefine(self, domain: libvirt.virDomain) -> None:
        if self._driver.type is DomainType.LXC:
            domain.undefine()
            return
        flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        if self._driver.type is not DomainType.TEST:
            # UEFI's variables are beside the root disk, and go with it.
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
        domain.undefineFlags(flags)

    def _mark(self, domain: libvirt.virDomain) -> dict[str, str] | None:
        """Our metadata on a domain; None if it has none, or another owner's."""
        try:
            text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _GONE:
                return None
            raise
        element = ET.fromstring(text)  # noqa: S314, libvirt's own, which it validated
        mark = dict(element.attrib)
        # libvirt takes the namespace off what it answers.
        mark[KEEPSAKE] = element.findtext(f"{{*}}{KEEPSAKE}") or ""
        return mark if mark.get("owner") == self._driver.owner else None

    def _seen(self, domain: libvirt.virDomain, mark: dict[str, str]) -> MachineSeen:
        state = _state(domain)
        lxc = self._driver.type is DomainType.LXC
        if state is MachineState.STOPPED and not lxc and domain.hasManagedSaveImage():
            state = MachineState.SAVED
        cause, why, stuck_on = self._why(domain, state)
        running = state not in (MachineState.STOPPED, MachineState.SAVED)
        has = sizes.of(domain, self._driver.type, running)
        return MachineSeen(
            name=domain.name(),
            uuid=domain.UUIDString(),
            state=state,
            boot=int(mark.get("boot", "0")),
            cpu_time_s=domain.info()[4] / 1e9,
            cpu_milli=has.cpu_milli,
            memory_bytes=has.memory_bytes,
            grid=mark.get("grid", ""),
            workspace=mark.get("workspace") or _titled(domain),
            keepsake=_bytes(mark.get(KEEPSAKE, "")),
            cause=cause,
            why=why,
            stuck_on=stuck_on,
            resets=self._history.resets(domain.name()),
            build=int(mark.get("build", "1")),
            vcpus=has.vcpus,
            epoch=int(mark.get("epoch", "0")),
            disk_rate=has.disk_rate,
        )

    def _why(
        self, domain: libvirt.virDomain, state: MachineState
    ) -> tuple[Cause, str, tuple[str, ...]]:
        """Why it is in that state, and which disks have to do with it."""
        now, reason = domain.state()
        if state is MachineState.RUNNING:
            self._history.watch(domain)
        elif state is MachineState.PAUSED and now == libvirt.VIR_DOMAIN_PAUSED:
            return self._history.paused(domain, reason)
        elif state is MachineState.PAUSED:
            return Cause.UNKNOWN, "its guest put itself to sleep", ()
        elif state is MachineState.STOPPED and now == libvirt.VIR_DOMAIN_SHUTOFF:
            return (*self._history.stopped(domain, reason), ())
        elif state is MachineState.STOPPED:
            return Cause.CRASHED, "its kernel panicked", ()
        return Cause.UNKNOWN, "", ()


def _titled(domain: libvirt.virDomain) -> str:
    """The workspace, as its title has it behind the grid's name: older builds wrote it nowhere else."""
    try:
        title = str(domain.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None))
    except libvirt.libvirtError:
        return ""
    return title.rpartition("/")[2]


def _bytes(text: str) -> bytes:
    """What a machine keeps; nothing if somebody has written something else there."""
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _state(domain: libvirt.virDomain) -> MachineState:
    state, reason = domain.state()
    if (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED):
        return MachineState.STOPPED  # It cannot go on.
    return _STATES.get(state, MachineState.STOPPED)


def _go_on(domain: libvirt.virDomain) -> None:
    """Ends a pause. A guest that put itself to sleep is woken: libvirt does not resume it."""
    if domain.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED:
        domain.pMWakeup(0)
    else:
        domain.resume()


def _unless_gone(act: Callable[[], object]) -> None:
    """A domain may end between our look and our act: its guest may end it, for one."""
    try:
        act()
    except libvirt.libvirtError as error:
        gone = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)
        if error.get_error_code() not in gone:
            raise
