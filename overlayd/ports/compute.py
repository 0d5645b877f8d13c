"""Machines: what a hypervisor (or container driver, or libvirt's test driver) does for one host."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from protocol.image.facts import Firmware
from protocol.policy.receipts import Figures


class Accelerator(StrEnum):
    """How guests execute. It is KVM only after a guest was seen to run under it."""

    KVM = "kvm"
    EMULATED = "emulated"
    CONTAINER = "container"
    TEST = "test"


class ComputeOffer(msgspec.Struct, frozen=True):
    """What was probed: whole-host capacity, before the configuration's caps."""

    driver: str
    accelerator: Accelerator
    why: str
    """One line that says how the accelerator was found, for `overlayctl peers` and the log."""
    architecture: str
    cpus_milli: int
    memory_bytes: int
    disk_rate_fault: str = ""
    """Why machines cannot be held to a rate of their disks here, for people; empty if they can."""


class Nic(msgspec.Struct, frozen=True):
    """A guest's network card. The tap named here exists already, and belongs to the network adapter."""

    tap: str
    mac: str
    mtu: int
    card: str = ""
    """The link that is to be moved into the guest, if it is a container."""


class Disk(msgspec.Struct, frozen=True):
    """A block device of the guest, which finds it by `serial` (at most 20 characters)."""

    path: str
    serial: str
    format: str = "raw"
    read_only: bool = False
    mount: str = ""
    """Where a container has it. A virtual machine mounts its disks itself."""
    backing: str = ""
    """Path of the raw image that a qcow2 disk lies on, for one that does. It is read, never written."""


class KernelBoot(msgspec.Struct, frozen=True, tag="kernel"):
    """The hypervisor loads a kernel and its initramfs. Paths on this host."""

    kernel: str
    initrd: str
    cmdline: str


class DiskBoot(msgspec.Struct, frozen=True, tag="disk"):
    """The guest's firmware starts it from its first disk."""

    firmware: Firmware
    variables: str = ""
    """Path of the file in which UEFI keeps its variables. A BIOS has none."""


class ContainerBoot(msgspec.Struct, frozen=True, tag="container"):
    """A container starts from a root file system of its own, by the init in it."""

    root: str
    """A file on this host with an ext4 file system."""


Boots = KernelBoot | DiskBoot | ContainerBoot


class DiskRate(msgspec.Struct, frozen=True):
    """What a machine may read and write in a second, together, of all its disks. 0: as much as there is.

    A container may read so much and write so much on each of its disks: its kernel counts these apart.
    """

    bytes_s: int = 0
    operations_s: int = 0


NO_DISK_RATE = DiskRate()


class Sizes(msgspec.Struct, frozen=True):
    """What of a machine can be changed while it runs: as in `Machine`."""

    cpu_milli: int
    vcpus: int
    memory_bytes: int
    disk_rate: DiskRate = NO_DISK_RATE


class Resized(msgspec.Struct, frozen=True):
    """What a change of sizes has left undone, in words for a person; empty if the machine has them all."""

    restart: str = ""
    """What it can only have from its next start on, and why."""
    waits: str = ""
    """What its guest has yet to do, and what is known of why it does not. To ask again goes on with it."""


class Machine(msgspec.Struct, frozen=True):
    """A wanted guest, complete. The same value always makes the same guest.

    `name` and `uuid` derive from grid id and workspace, so that it cannot be made twice. `boot` counts wanted
    starts: a running guest with a smaller number is replaced. `cpu_milli` is the exact cap (1500 is one and a
    half host cpus), and `vcpus` is how many the guest sees.
    """

    name: str
    uuid: str
    title: str
    grid: str
    epoch: int
    boot: int
    vcpus: int
    cpu_milli: int
    memory_bytes: int
    boots: Boots
    seed: str
    """Path of the NoCloud ISO."""
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    console_log: str = ""
    """The file that logs the serial console. It is kept across restarts of the guest."""
    console_socket: str = ""
    """The Unix socket of the serial console, for typing."""
    workspace: str = ""
    keepsake: bytes = b""
    """What the machine keeps for a host that has lost its memory. It is not looked into here."""
    agent_socket: str = ""
    """The Unix socket on which the guest's agent is heard, if it has one."""
    build: int = 1
    """Which of its workspace's root disks it has. It is kept on the machine, and means nothing here."""
    vcpus_max: int = 0
    """How many it can be given while it runs; 0: no more than it has."""
    memory_max_bytes: int = 0
    """How much it can be given while it runs; 0: no more than it has. A guest's kernel gives back at its start
    what is beyond `memory_bytes`. It is held to that, with something for what QEMU needs."""
    disk_rate: DiskRate = NO_DISK_RATE
    """What it is held to. A container cannot be, and is started all the same."""

    @property
    def sizes(self) -> Sizes:
        """What of it can be changed while it runs."""
        return Sizes(self.cpu_milli, self.vcpus, self.memory_bytes, self.disk_rate)


class MachineState(StrEnum):
    """What the hypervisor says."""

    RUNNING = "running"
    PAUSED = "paused"
    SAVED = "saved"
    """Its memory is on disk. It uses no cpu and no memory, and a start lets it go on where it stopped."""
    STOPPED = "stopped"
    """It is known but does not run: it shut down by itself, crashed, or was killed."""


class Cause(StrEnum):
    """Why a machine is stopped or paused, as far as the hypervisor knows."""

    UNKNOWN = "unknown"
    ASKED = "asked"
    """Somebody asked for it: we, or another of the hypervisor's users."""
    POWERED_OFF = "powered off"
    """The guest shut itself down."""
    CRASHED = "crashed"
    """The guest's kernel gave up."""
    KILLED = "killed"
    """The hypervisor's process for it ended, and not by the guest's wish."""
    NO_ROOM = "no room"
    """It wrote to a disk whose file could not grow: it is paused and loses nothing."""
    IO_ERROR = "input/output error"
    """A disk's file did not do what the guest asked of it: likewise."""


class MachineSeen(msgspec.Struct, frozen=True):
    """One machine of ours as the hypervisor has it now."""

    name: str
    uuid: str
    state: MachineState
    boot: int
    cpu_time_s: float
    """Seconds of cpu time used since this start, by the host's own accounting."""
    cpu_milli: int
    """The cap in force; 0 if there is none, or it does not weigh as much as that among others."""
    memory_bytes: int
    """What its guest has now. That follows what it is given, as its kernel takes it and gives it back."""
    grid: str = ""
    workspace: str = ""
    keepsake: bytes = b""
    """What it was given when it was made; empty if that was by a build that gave it nothing."""
    cause: Cause = Cause.UNKNOWN
    """Why it is stopped or paused. It means nothing for one that runs."""
    why: str = ""
    """The same in words, with what is known besides: one line."""
    stuck_on: tuple[str, ...] = ()
    """Paths of the disks it is paused for (NO_ROOM, IO_ERROR)."""
    resets: int = 0
    """How often the guest has restarted itself since this process saw it first. It never stopped running."""
    build: int = 1
    """Which of its workspace's root disks it has."""
    vcpus: int = 0
    """How many cpus it has; 0 for one that sees all of its host's, and is held by its cap alone."""
    epoch: int = 0
    """The epoch of its grid in which it was started; 0 if it does not say."""
    disk_rate: DiskRate = NO_DISK_RATE
    """In force for its disks together, of a container for each of them, what is read and what is written; -1 in
    both if it is not the same for all."""


class LostMachine(msgspec.Struct, frozen=True):
    """A machine of ours that runs, though the hypervisor does not know it (any more)."""

    name: str
    pid: int
    """Its process on this host."""
    cpus_milli: int
    memory_bytes: int


class ComputeError(Exception):
    """The hypervisor refused. The text is its own, with what was asked. Nothing was left half-made."""


class Compute(Protocol):
    """Every call is idempotent: it is no error to start what runs, or to stop what is gone."""

    async def open(self, on_change: Callable[[str], None]) -> ComputeOffer:
        """Connects and probes. `on_change(name)` is called on the loop when a machine changes by itself."""

    async def reconsider(self) -> ComputeOffer:
        """Probes again, for instance because an image to try KVM with has come. Running machines are not
        touched. Machines started from now on are as the answer says."""

    async def try_out(self) -> str:
        """Starts a tiny guest and ends it. Why that failed, in the hypervisor's words; empty if it worked."""

    @property
    def confined(self) -> str:
        """How guests are confined here, in a few words, as was seen when one was last tried out; empty before.

        `user, seccomp, namespaces` for instance; it begins with `root` if guests have the powers of root.
        """

    async def close(self) -> None:
        """Disconnects. Guests go on running."""

    async def observe(self) -> tuple[MachineSeen, ...]:
        """Every machine of ours, those of an earlier life of this process included."""

    async def figures(self) -> dict[tuple[str, str], Figures]:
        """What every machine of ours that runs has used since its start, by grid and workspace. What a driver
        does not count is 0."""

    async def lost(self) -> tuple[LostMachine, ...]:
        """Every machine of ours that runs and that the hypervisor does not know, by name."""

    async def start(self, machine: Machine) -> None:
        """Brings a machine to running with this `boot` and this quantum. A saved one of this boot goes on where
        it stopped. Raises ComputeError if that is refused; what was saved is then still there. One that is
        lost, and runs, is not started a second time."""

    async def resize(self, name: str, sizes: Sizes) -> Resized:
        """Gives a machine that runs these sizes as far as it can have them now, and its next start too.

        Cap and disk rate are in force at once. Cpus are added, never taken away: the cap holds. Memory is given
        up to what it was made for; a guest is asked to give back what it does not use, never more: it would
        kill what runs in it. Raises ComputeError if there is no such machine, or it does not run.
        """

    async def pause(self, name: str) -> None:
        """Stops a machine's vcpus and keeps its memory. Raises ComputeError if there is no such machine."""

    async def resume(self, name: str) -> None:
        """Lets a machine go on. Raises ComputeError if there is no such machine."""

    async def set_clock(self, name: str) -> bool:
        """Tells the guest the host's time, since its clock stood still while it was paused or saved. False if
        it has no agent to tell, or that does not answer within seconds."""

    async def freeze(self, name: str) -> bool:
        """Has the guest's agent write out its file systems and keep them as they are. False if it did not, for
        want of one or of time: nothing is frozen then."""

    async def thaw(self, name: str) -> bool:
        """Lets the guest's file systems go on; it is no error if none is frozen. False if no agent answers."""

    async def save(self, name: str) -> None:
        """Saves a machine: its memory is on disk afterwards, and nothing of it runs. It takes as long as the
        disk does. Raises ComputeError if there is no such machine, or this driver cannot save; the machine
        then goes on."""

    async def shut_down(self, name: str) -> bool:
        """Asks a guest to shut down, by its agent or its power button, and does not wait until it has. Asking
        again does no harm. False if it cannot be asked, since it does not run or is held by its hypervisor. One
        that was paused goes on first."""

    async def stop(self, name: str) -> None:
        """Ends a machine at once, without asking the guest, and deletes what was saved. Its disks stay. Raises
        ComputeError for one that is lost, and runs."""

    async def forget(self, name: str) -> None:
        """Nothing of a machine is wanted any more: whoever it ran as is free for another. It is no error if
        there is none."""
