"""Machines: what a hypervisor (or container driver, or libvirt's test driver) does for one host."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec


class Accelerator(StrEnum):
    """How guests execute. KVM is said only after a guest was seen to run under it."""

    KVM = "kvm"
    EMULATED = "emulated"
    CONTAINER = "container"
    TEST = "test"


class ComputeOffer(msgspec.Struct, frozen=True):
    """What was probed: whole-host capacity, before the configuration's caps."""

    driver: str
    accelerator: Accelerator
    why: str
    """One line: how the accelerator was found out, for `overlayctl peers` and the log."""
    architecture: str
    cpus_milli: int
    memory_bytes: int


class Nic(msgspec.Struct, frozen=True):
    """A guest's network card. The tap named here exists already and is owned by the network adapter."""

    tap: str
    mac: str
    mtu: int


class Disk(msgspec.Struct, frozen=True):
    """A block device of the guest; `serial` (at most 20 characters) is how the guest finds it."""

    path: str
    serial: str
    format: str = "raw"
    read_only: bool = False


class Machine(msgspec.Struct, frozen=True):
    """A wanted guest, complete. The same value always makes the same guest.

    `name` and `uuid` derive from grid id and workspace, so making it twice is impossible; `boot` counts
    wanted starts: a running guest with a smaller number is replaced. `cpu_milli` is the exact cap
    (1500 = one and a half host cpus); `vcpus` is how many the guest sees.
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
    kernel: str
    initrd: str
    cmdline: str
    seed: str
    """Path of the NoCloud ISO."""
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    console_log: str = ""
    """File the serial console is logged to, kept across restarts of the guest."""
    console_socket: str = ""
    """Unix socket of the serial console, for typing."""


class MachineState(StrEnum):
    """What the hypervisor says."""

    RUNNING = "running"
    PAUSED = "paused"
    SAVED = "saved"
    """Its memory is on disk; it uses no cpu and no memory, and goes on where it stopped when started."""
    STOPPED = "stopped"
    """Known but not running: shut down by itself, crashed, or killed."""


class MachineSeen(msgspec.Struct, frozen=True):
    """One machine of ours as the hypervisor has it now."""

    name: str
    uuid: str
    state: MachineState
    boot: int
    cpu_time_s: float
    """Cpu time used since this start, by the host's own accounting."""
    cpu_milli: int
    """The cap in force; 0 if none."""
    memory_bytes: int


class ComputeError(Exception):
    """The hypervisor refused; the text is its own, with what was asked. Nothing was left half made."""


class Compute(Protocol):
    """Every call is idempotent: starting what runs, stopping what is gone, are successes."""

    async def open(self, on_change: Callable[[str], None]) -> ComputeOffer:
        """Connects and probes; `on_change(name)` is called on the loop when a machine changes by itself."""

    async def reconsider(self) -> ComputeOffer:
        """Probes again, for instance because an image has come to try KVM with. Nothing that runs is
        touched; machines started from now on are of what is answered."""

    async def close(self) -> None:
        """Disconnects. Guests go on running."""

    async def observe(self) -> tuple[MachineSeen, ...]:
        """Every machine of ours, also those of an earlier life of this process."""

    async def start(self, machine: Machine) -> None:
        """Running afterwards, with this `boot` and this quantum; a saved one of this boot goes on where it
        stopped. ComputeError if refused; what was saved is then still there."""

    async def pause(self, name: str) -> None:
        """Stops its vcpus, keeps its memory. ComputeError if there is no such machine."""

    async def resume(self, name: str) -> None:
        """Goes on. ComputeError if there is no such machine."""

    async def save(self, name: str) -> None:
        """Saved afterwards: its memory on disk, nothing of it running. Takes as long as the disk does.
        ComputeError if there is no such machine, or this driver cannot; it goes on running then."""

    async def stop(self, name: str) -> None:
        """Gone afterwards, at once, without asking the guest, and what was saved of it; its disks stay."""
