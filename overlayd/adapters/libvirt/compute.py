"""The Compute port by libvirt: asyncio outside, blocking calls in threads inside."""

import asyncio
import contextlib
import os
import platform
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from overlayd.adapters.libvirt import confinement, io_limits, orphans, private
from overlayd.adapters.libvirt.confinement import is_mapped, open_state, why_no_users
from overlayd.adapters.libvirt.consoles import Consoles
from overlayd.adapters.libvirt.domains import Domains
from overlayd.adapters.libvirt.driver import (
    DomainType,
    Driver,
    domain_type,
    embed_root,
    own_root,
    runs_qemu,
)
from overlayd.adapters.libvirt.embed import prepare_root
from overlayd.adapters.libvirt.events import ensure_event_loop
from overlayd.adapters.libvirt.folders import GuestFolders
from overlayd.adapters.libvirt.history import Folder, History
from overlayd.adapters.libvirt.plans import EMULATOR as LXC_EMULATOR
from overlayd.adapters.libvirt.plans import Containers, why_no_ids
from overlayd.adapters.libvirt.trial import KernelFinder, group_for_kvm, kvm_verdict
from overlayd.adapters.libvirt.users import (
    ROOT,
    User,
    UserRange,
    built_in_containers,
    built_in_range,
)
from overlayd.ports.compute import (
    ComputeError,
    ComputeOffer,
    LostMachine,
    Machine,
    MachineSeen,
    Resized,
    Sizes,
)
from protocol.policy.receipts import Figures

Answer = TypeVar("Answer")

EMULATOR = "/usr/bin/qemu-system-x86_64"

GUESTS = "guests"
"""The folder in the state directory that has a folder for each guest."""

CONTAINERS = "containers"
"""The folder in the state directory that has a plan for each container."""

_SLOW_AT_ONCE = 8
"""Guests that are waited for at once, in threads of their own: an agent may take seconds to answer."""

_TOLD = frozenset(
    {
        libvirt.VIR_DOMAIN_EVENT_STARTED,
        libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
        libvirt.VIR_DOMAIN_EVENT_RESUMED,
        libvirt.VIR_DOMAIN_EVENT_STOPPED,
        libvirt.VIR_DOMAIN_EVENT_CRASHED,
        libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED,
    }
)
"""Life cycle events that change what a machine does. Definitions come and go with our own calls."""


class LibvirtCompute:
    """Machines by any of libvirt's drivers.

    `uri` is `qemu:///embed?root=DIR`, `qemu:///system`, `lxc:///?root=DIR` (a libvirtd of our own), `lxc:///`
    or `test:///...`. `owner` is written into
    each domain, and only domains with the same owner are seen, so several daemons can share a libvirtd. What
    trials find (KVM, QEMU's abilities) is kept in `cache_dir`, which several daemons of one host may share; by
    default it is in `state_dir`. `find_kernel` answers the kernel and initrd of any image here, for the trial
    of KVM, which has `trial_s` seconds. Without it, or with `kvm="never"`, guests are emulated.
    """

    def __init__(
        self,
        uri: str,
        state_dir: Path,
        kvm: Literal["try", "never"] = "try",
        *,
        find_kernel: KernelFinder = lambda: None,
        trial_s: float = 20.0,
        cache_dir: Path | None = None,
        owner: str = "overlayd",
        users: UserRange | None = None,
    ) -> None:
        """`users` are the user ids of its guests, if not those that are built in for this owner."""
        self._uri = uri
        self._state_dir = state_dir
        lxc = domain_type(uri) is DomainType.LXC
        self._users = users or (built_in_containers() if lxc else built_in_range(owner))
        self._folders: GuestFolders | None = None
        self._containers: Containers | None = None
        self._as_root = ""
        self._seen: tuple[str, ...] = ()
        self._kvm = kvm
        self._find_kernel = find_kernel
        self._trial_s = trial_s
        self._cache_dir = cache_dir or state_dir / "cache"
        self._owner = owner
        self._connection: libvirt.virConnect | None = None
        self._domains: Domains | None = None
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._callbacks: list[int] = []
        self._slow: ThreadPoolExecutor | None = None
        self._revive: Callable[[], None] = lambda: None
        self._reviving = threading.Lock()
        self._folder = _folder(uri)
        self._history = History(self._folder)
        self._consoles = Consoles()

    async def open(self, on_change: Callable[[str], None]) -> ComputeOffer:
        """Connects and probes. `on_change` also hears of changes we asked for: look again, do not assume."""
        type_, why = await self._call(self._probe)
        self._slow = self._slow or ThreadPoolExecutor(_SLOW_AT_ONCE, "overlayd-guests")
        loop = asyncio.get_running_loop()

        def tell(name: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(on_change, name)

        return await self._call(self._connect, type_, why, tell)

    async def reconsider(self) -> ComputeOffer:
        """Probes again, since an image to try KVM with may have come. Running machines are not touched."""
        self._opened()
        return self._use(*await self._call(self._probe))

    async def try_out(self) -> str:
        """Starts a tiny guest and ends it. Why that failed; empty if it worked."""
        return await self._call(self._opened().try_out, self._look)

    @property
    def confined(self) -> str:
        """How guests are confined here: what was seen of the last one that was tried out."""
        words = [
            f"root ({self._as_root})" if w == "root" and self._as_root else w for w in self._seen
        ]
        return ", ".join(words)

    async def close(self) -> None:
        """Disconnects. Guests go on running."""
        await self._consoles.close()
        if self._slow is not None:
            self._slow.shutdown(wait=False, cancel_futures=True)
            self._slow = None
        await self._call(self._disconnect)

    async def observe(self) -> tuple[MachineSeen, ...]:
        """Every machine of ours, by name."""
        seen = await self._call(self._opened().observe)
        await self._hear_consoles()
        return seen

    async def figures(self) -> dict[tuple[str, str], Figures]:
        """What libvirt counts of those that run."""
        return await self._call(self._opened().figures)

    async def lost(self) -> tuple[LostMachine, ...]:
        """Guests of an embedded libvirt that has lost what it knew of them. A libvirtd keeps that itself."""
        self._opened()
        return await self._call(self._lost)

    async def start(self, machine: Machine) -> None:
        """Brings a machine to running with this boot and this quantum. A paused one goes on."""
        await self._call(self._start, machine)
        await self._hear_consoles()

    async def resize(self, name: str, sizes: Sizes) -> Resized:
        """Gives a machine that runs these sizes, as far as it can have them now."""
        return await self._call(self._opened().resize, name, sizes, threads=self._slow)

    async def pause(self, name: str) -> None:
        """Stops a machine's vcpus."""
        await self._call(self._opened().pause, name)

    async def resume(self, name: str) -> None:
        """Lets a machine go on."""
        await self._call(self._opened().resume, name)

    async def set_clock(self, name: str) -> bool:
        """Tells the guest's agent the time. False if there is none that answers."""
        return await self._call(self._opened().set_clock, name, threads=self._slow)

    async def freeze(self, name: str) -> bool:
        """Has the guest's agent freeze its file systems. False if it did not."""
        return await self._call(self._opened().freeze, name)

    async def thaw(self, name: str) -> bool:
        """Lets them go on. False if no agent answers."""
        return await self._call(self._opened().thaw, name)

    async def save(self, name: str) -> None:
        """Saves a machine: its memory is on disk afterwards, and nothing of it runs."""
        await self._call(self._opened().save, name)

    async def shut_down(self, name: str) -> bool:
        """Asks the guest to shut down. False if it cannot be asked."""
        return await self._call(self._opened().shut_down, name, threads=self._slow)

    async def stop(self, name: str) -> None:
        """Ends a machine; it is no error if there is none. Raises ComputeError for one that is lost."""
        await self._call(self._stop, name)

    async def forget(self, name: str) -> None:
        """Nothing of a machine is wanted any more."""
        await self._call(self._opened().forget, name)

    async def _hear_consoles(self) -> None:
        if domain_type(self._uri) is DomainType.LXC:
            await self._consoles.follow(await self._call(self._opened().terminals))

    def _opened(self) -> Domains:
        if self._domains is None:
            raise ComputeError("the hypervisor is not open")
        return self._domains

    async def _call(
        self,
        function: Callable[..., Answer],
        *arguments: object,
        threads: ThreadPoolExecutor | None = None,
    ) -> Answer:
        """Calls in a thread. What libvirt says becomes our error, with what was asked."""
        try:
            loop = asyncio.get_running_loop()
            if self._connection is not None and own_root(self._uri) is not None:
                await loop.run_in_executor(threads, self._revive)
            return await loop.run_in_executor(threads, partial(function, *arguments))
        except libvirt.libvirtError as error:
            about = next((a.name for a in arguments if isinstance(a, Machine)), self._uri)
            raise ComputeError(f"{about}: libvirt says: {error}") from error

    def _lost(self) -> tuple[LostMachine, ...]:
        root = embed_root(self._uri)
        if root is None or self._connection is None:
            return ()
        known = self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return orphans.find(root, [domain.name() for domain in known])

    def _start(self, machine: Machine) -> None:
        self._require_known(machine.name, "is not started twice")
        self._opened().start(machine)
        if self._containers is not None:
            self._look_into(machine.name)

    def _stop(self, name: str) -> None:
        self._require_known(name, "cannot be ended by it")
        self._opened().stop(name)

    def _require_known(self, name: str, so: str) -> None:
        """Raises ComputeError for a machine that is lost, and says what follows."""
        lost = next((lost for lost in self._lost() if lost.name == name), None)
        if lost is not None:
            raise ComputeError(
                f"{name} runs as process {lost.pid}, which libvirt does not know (its directory was lost), "
                f"and {so}; `kill {lost.pid}` ends it"
            )

    def _probe(self) -> tuple[DomainType, str]:
        type_ = domain_type(self._uri)
        if type_ is not DomainType.QEMU:
            return type_, f"{type_.accelerator.value}: by libvirt's {type_.value} driver"
        if self._kvm == "never":
            return type_, "emulated: the configuration says not to use KVM"
        works, why = kvm_verdict(
            self._cache_dir, self._find_kernel, self._trial_s, self._trial_user()
        )
        return (DomainType.KVM if works else type_), why

    def _connect(self, type_: DomainType, why: str, tell: Callable[[str], None]) -> ComputeOffer:
        root = embed_root(self._uri)
        self._confine(type_)
        if root is not None:
            prepare_root(Path(root), self._cache_dir)
        ensure_event_loop()
        connection = libvirt.open(self._where())
        if type_ in (DomainType.QEMU, DomainType.KVM):
            # Otherwise the first guest waits some seconds for libvirt to learn what QEMU can do.
            connection.getDomainCapabilities(EMULATOR, platform.machine(), "q35", type_.value)
        self._listen(connection, tell)
        self._connection = connection
        offer = self._use(type_, why)
        self._revive = lambda: self._connected_again(type_, why, tell)
        if root is not None and self._folder is not None:
            self._folder.remove_logs_but({d.name() for d in connection.listAllDomains(0)})
        return offer

    def _trial_user(self) -> User:
        uid, group = self._users.first, group_for_kvm()
        if not is_mapped(self._users, Path("/proc/self/uid_map").read_text()):
            return ROOT
        return User(uid, uid if group is None else group)

    def _confine(self, type_: DomainType) -> None:
        """Makes it possible that guests run as users of their own, or finds why they cannot."""
        if runs_qemu(type_):
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._as_root = why_no_users(self._state_dir, self._users)
            if not self._as_root:
                open_state(self._state_dir)
                self._folders = GuestFolders(self._state_dir / GUESTS, self._users)
        if type_ is DomainType.LXC and self._containers is None:
            plans = self._state_dir / CONTAINERS
            self._as_root = why_no_ids(plans, self._users)
            self._seen = ("root",) if self._as_root else ("user", "namespaces")
            self._containers = Containers(plans, None if self._as_root else self._users)

    def _look(self, name: str) -> None:
        """Looks how a guest that runs is confined."""
        pid = self._folder.pid(name) if self._folder is not None else None
        self._look_at(pid or 0)

    def _look_into(self, name: str) -> None:
        """Looks how a container is confined, unless it has ended already."""
        with contextlib.suppress(libvirt.libvirtError):
            assert self._connection is not None
            keeper = self._connection.lookupByName(name).ID()
            self._look_at(confinement.init_of(keeper, settles=not self._as_root))

    def _look_at(self, pid: int) -> None:
        if pid and self._connection is not None:
            host = ET.fromstring(self._connection.getCapabilities())  # noqa: S314, libvirt's own
            models = frozenset(m.text or "" for m in host.iterfind("host/secmodel/model"))
            with contextlib.suppress(OSError):  # it has ended
                self._seen = confinement.seen(pid, models)

    def _where(self) -> str:
        """What libvirt calls it. A libvirtd of our own is started, unless it runs."""
        root = own_root(self._uri)
        if root is None:
            return self._uri
        assert self._containers is not None
        private.ensure(Path(root), self._containers.script(private.emulator_of(Path(root))))
        return private.uri_of(Path(root))

    def _connected_again(self, type_: DomainType, why: str, tell: Callable[[str], None]) -> None:
        """After a libvirtd has ended, and its machines have not. Who asks meanwhile waits for it."""
        with self._reviving:
            if self._connection is not None and not self._connection.isAlive():
                before = self._domains
                self._callbacks.clear()
                self._connect(type_, why, tell)
                if before is not None:
                    before.use(self._connection)

    def _listen(self, connection: libvirt.virConnect, tell: Callable[[str], None]) -> None:
        """What changes is remembered before it is told. Both callbacks come in libvirt's own thread."""

        def changed(
            _connection: object, domain: libvirt.virDomain, event: int, detail: int, _: object
        ) -> None:
            self._history.event(domain.name(), event, detail)
            if event in _TOLD:
                tell(domain.name())

        def restarted(_connection: object, domain: libvirt.virDomain, _: object) -> None:
            self._history.reset(domain.name())
            tell(domain.name())

        def ballooned(
            _connection: object, domain: libvirt.virDomain, _actual: int, _: object
        ) -> None:
            tell(domain.name())

        for event, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, ballooned),
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, changed),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, restarted),
        ):
            self._callbacks.append(connection.domainEventRegisterAny(None, event, callback, None))

    def _use(self, type_: DomainType, why: str) -> ComputeOffer:
        """Makes machines of that type from now on. Answers what the host offers with it."""
        assert self._connection is not None
        driver = Driver(
            type=type_,
            owner=self._owner,
            architecture=platform.machine(),
            gid=group_for_kvm() if type_ is DomainType.KVM else None,
            emulator=self._emulator(),
        )
        self._domains = Domains(
            self._connection,
            driver,
            self._history,
            self._folders,
            self._containers,
            self._locks,
        )
        cpus, memory_bytes = _capacity(self._connection, type_)
        return ComputeOffer(
            driver=self._uri,
            accelerator=type_.accelerator,
            why=why,
            architecture=driver.architecture,
            cpus_milli=cpus * 1000,
            memory_bytes=memory_bytes,
            disk_rate_fault=io_limits.why_not() if type_ is DomainType.LXC else "",
        )

    def _emulator(self) -> str:
        """What containers are started with: a script of ours, which a libvirtd of our own has there already."""
        if self._containers is None or own_root(self._uri) is not None:
            return LXC_EMULATOR
        return self._containers.install()

    def _disconnect(self) -> None:
        connection, self._connection, self._domains = self._connection, None, None
        if connection is None:
            return
        root = own_root(self._uri)
        with contextlib.suppress(libvirt.libvirtError):  # it may have ended
            unused = root is not None and not connection.listAllDomains(0)
            while self._callbacks:
                connection.domainEventDeregisterAny(self._callbacks.pop())
            connection.close()
            if root is not None and unused:
                private.end(Path(root))
        self._history.close()


def _folder(uri: str) -> Folder | None:
    """Where the driver of that URI has its logs and pid files."""
    if not uri.startswith("qemu:"):
        return None
    root = embed_root(uri) if uri.startswith("qemu:///embed") else None
    if root is not None:
        return Folder(Path(root, "log", "qemu"), Path(root, "run", "qemu"))
    return Folder(Path("/var/log/libvirt/qemu"), Path("/run/libvirt/qemu"))


def _capacity(connection: libvirt.virConnect, type_: DomainType) -> tuple[int, int]:
    """(cpus, bytes of memory). libvirt's own count of memory is wrong inside some sandboxes."""
    if type_ is DomainType.TEST:
        _, memory_mib, cpus, *_ = connection.getInfo()
        return int(cpus), int(memory_mib) << 20
    return len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
