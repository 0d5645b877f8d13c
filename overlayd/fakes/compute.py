"""A hypervisor that lives in memory, and the Compute port on it."""

import asyncio
import uuid
from collections.abc import Callable

import msgspec

from overlayd.ports.compute import (
    Accelerator,
    Cause,
    ComputeError,
    ComputeOffer,
    LostMachine,
    Machine,
    MachineSeen,
    MachineState,
    Resized,
    Sizes,
)
from protocol.policy.receipts import Figures

CPU_MILLI_MIN = 10


class FakeHypervisor:
    """What outlives a daemon. Give the same one to the next FakeCompute."""

    def __init__(self, cpus_milli: int = 4000, memory_bytes: int = 8 << 30) -> None:
        self.cpus_milli = cpus_milli
        self.memory_bytes = memory_bytes
        self.machines: dict[str, Machine] = {}
        self.states: dict[str, MachineState] = {}
        self.refusals: dict[str, str] = {}
        """By machine name: what `start` says instead of starting it."""
        self.save_refusals: dict[str, str] = {}
        """By machine name: what `save` says instead of saving it."""
        self.broken = ""
        """Why no machine at all can be started; empty if they can."""
        self.saves: list[str] = []
        """Every real save, in order."""
        self.starts: list[tuple[str, int]] = []
        """(name, boot) of every real start, in order: to show that nothing was made twice."""
        self.lost: dict[str, LostMachine] = {}
        """By machine name: what runs, though this hypervisor does not know it."""
        self.listeners: list[Callable[[str], None]] = []
        self.causes: dict[str, tuple[Cause, str]] = {}
        """By machine name: why it is stopped or paused, if that was not asked for."""
        self.stuck_on: dict[str, tuple[str, ...]] = {}
        self.forgotten: list[str] = []
        self.resets: dict[str, int] = {}
        self.figures: dict[str, Figures] = {}
        self.resumes: list[str] = []
        """Every real resume, in order."""
        self.clocks_set: list[str] = []
        self.deaf: set[str] = set()
        """Machines whose guests hear that they are asked to shut down, and do not."""
        self.asked: list[str] = []
        """Every machine whose guest was asked to shut down, in order."""
        self.agents: set[str] = set()
        """The machines whose guests have an agent that answers."""
        self.frozen: list[str] = []
        self.uses: dict[str, int] = {}
        """By machine name: bytes of memory that its guest uses, and does not give back."""
        self.resizes: list[tuple[str, Sizes]] = []
        """Every resize that was asked for, in order."""

    def end(
        self, name: str, cause: Cause = Cause.KILLED, why: str = "QEMU was killed (signal 9)"
    ) -> None:
        """The guest stops by itself: shut down from inside, crashed, or killed."""
        self.causes[name] = cause, why
        self.change(name, MachineState.STOPPED)

    def stall(self, name: str, cause: Cause, why: str, *paths: str) -> None:
        """The guest is paused by the hypervisor, because of those disks."""
        self.causes[name], self.stuck_on[name] = (cause, why), paths
        self.change(name, MachineState.PAUSED)

    def reset(self, name: str) -> None:
        """The guest restarts itself: it never stops running."""
        self.resets[name] = self.resets.get(name, 0) + 1
        self.change(name, self.states[name])

    def change(self, name: str, state: MachineState) -> None:
        """Puts a machine into that state, and tells every open FakeCompute."""
        self.states[name] = state
        for tell in self.listeners:
            tell(name)


class FakeCompute:
    """The Compute port on a FakeHypervisor."""

    def __init__(self, hypervisor: FakeHypervisor | None = None) -> None:
        self.hypervisor = hypervisor or FakeHypervisor()
        self._listener: Callable[[str], None] | None = None

    async def open(self, on_change: Callable[[str], None]) -> ComputeOffer:
        """Offers what the hypervisor was made with."""
        loop = asyncio.get_running_loop()

        def tell(name: str) -> None:
            loop.call_soon_threadsafe(on_change, name)

        self._listener = tell
        self.hypervisor.listeners.append(tell)
        return await self.reconsider()

    async def reconsider(self) -> ComputeOffer:
        """The same again."""
        return ComputeOffer(
            driver="fake",
            accelerator=Accelerator.TEST,
            why="test: machines in memory",
            architecture="x86_64",
            cpus_milli=self.hypervisor.cpus_milli,
            memory_bytes=self.hypervisor.memory_bytes,
        )

    async def try_out(self) -> str:
        """What the hypervisor was told to say of all machines."""
        return self.hypervisor.broken

    @property
    def confined(self) -> str:
        """Nothing runs, so nothing is confined."""
        return ""

    async def forget(self, name: str) -> None:
        """It is noted which."""
        self.hypervisor.forgotten.append(name)

    async def close(self) -> None:
        """The machines stay."""
        if self._listener is not None:
            self.hypervisor.listeners.remove(self._listener)
            self._listener = None

    async def observe(self) -> tuple[MachineSeen, ...]:
        """Every machine, by name."""
        self._opened()
        return tuple(
            MachineSeen(
                name=name,
                uuid=machine.uuid,
                state=self.hypervisor.states[name],
                boot=machine.boot,
                cpu_time_s=0.0,
                cpu_milli=machine.cpu_milli,
                memory_bytes=machine.memory_bytes,
                grid=machine.grid,
                workspace=machine.workspace,
                keepsake=machine.keepsake,
                cause=self.hypervisor.causes.get(name, (Cause.UNKNOWN, ""))[0],
                why=self.hypervisor.causes.get(name, (Cause.UNKNOWN, ""))[1],
                stuck_on=self.hypervisor.stuck_on.get(name, ()),
                resets=self.hypervisor.resets.get(name, 0),
                build=machine.build,
                vcpus=machine.vcpus,
                epoch=machine.epoch,
                disk_rate=machine.disk_rate,
            )
            for name, machine in sorted(self.hypervisor.machines.items())
        )

    async def figures(self) -> dict[tuple[str, str], Figures]:
        """As a test says, for those that run; else nothing but their memory."""
        self._opened()
        return {
            (machine.grid, machine.workspace): self.hypervisor.figures.get(
                name, Figures(memory_bytes=machine.memory_bytes)
            )
            for name, machine in sorted(self.hypervisor.machines.items())
            if self.hypervisor.states[name] is MachineState.RUNNING
        }

    async def lost(self) -> tuple[LostMachine, ...]:
        """What the hypervisor has lost."""
        return tuple(lost for _, lost in sorted(self._opened().lost.items()))

    async def start(self, machine: Machine) -> None:
        """Running afterwards, or what `refusals` says."""
        world = self._opened()
        self._check(machine)
        if machine.name in world.lost:
            raise ComputeError(f"{machine.name} runs already")
        before = world.machines.get(machine.name)
        if before is not None and before.boot > machine.boot:
            raise ComputeError(f"{machine.name}: an order for start {machine.boot} is out of date")
        over = world.states.get(machine.name) in (None, MachineState.STOPPED)
        anew = before is None or over or before.boot < machine.boot
        if anew and machine.name in world.refusals:
            await self.stop(machine.name)
            raise ComputeError(f"{machine.name}: {world.refusals[machine.name]}")
        if before is not None and not anew:
            machine, _ = self._resized(before, machine.sizes)
        world.machines[machine.name] = machine
        if anew:
            world.starts.append((machine.name, machine.boot))
        if world.states.get(machine.name) is not MachineState.RUNNING or anew:
            self._calm(machine.name)
            world.change(machine.name, MachineState.RUNNING)

    async def resize(self, name: str, sizes: Sizes) -> Resized:
        """The sizes it can have, with what it uses left to it."""
        world = self._opened()
        if world.states.get(name) is not MachineState.RUNNING:
            raise ComputeError(f"{name} cannot be resized: it does not run")
        world.resizes.append((name, sizes))
        world.machines[name], left = self._resized(world.machines[name], sizes)
        return left

    async def pause(self, name: str) -> None:
        """Paused afterwards."""
        if self._opened().states.get(name) is MachineState.RUNNING:
            self.hypervisor.causes[name] = Cause.ASKED, "paused by a user of libvirt"
        self._turn(name, MachineState.PAUSED)

    async def resume(self, name: str) -> None:
        """Running afterwards."""
        if self._opened().states.get(name) is MachineState.PAUSED:
            self.hypervisor.resumes.append(name)
            self._calm(name)
        self._turn(name, MachineState.RUNNING)

    async def set_clock(self, name: str) -> bool:
        """Remembered."""
        self._opened().clocks_set.append(name)
        return True

    async def freeze(self, name: str) -> bool:
        """Whether its agent answers."""
        answers = name in self._opened().agents
        if answers:
            self.hypervisor.frozen.append(name)
        return answers

    async def thaw(self, name: str) -> bool:
        """Nothing of it is frozen afterwards, if its agent answers."""
        answers = name in self._opened().agents
        if answers and name in self.hypervisor.frozen:
            self.hypervisor.frozen.remove(name)
        return answers

    async def save(self, name: str) -> None:
        """Saved afterwards, or what `save_refusals` says."""
        now = self._opened().states.get(name)
        if now is MachineState.SAVED:
            return
        if now in (None, MachineState.STOPPED):
            raise ComputeError(f"{name} cannot be saved: it does not run")
        if name in self.hypervisor.save_refusals:
            raise ComputeError(f"{name}: {self.hypervisor.save_refusals[name]}")
        self.hypervisor.saves.append(name)
        self.hypervisor.change(name, MachineState.SAVED)

    async def shut_down(self, name: str) -> bool:
        """Off afterwards, unless its guest is deaf, or it is paused by other than us."""
        world = self._opened()
        if world.states.get(name) is MachineState.PAUSED and world.causes[name][0] is Cause.ASKED:
            await self.resume(name)
        if world.states.get(name) is not MachineState.RUNNING:
            return False
        world.asked.append(name)
        if name not in world.deaf:
            world.end(name, Cause.POWERED_OFF, "powered off from inside")
        return True

    async def stop(self, name: str) -> None:
        """Gone afterwards, unless it is lost."""
        world = self._opened()
        if name in world.lost:
            raise ComputeError(f"{name} runs already")
        if world.machines.pop(name, None) is not None:
            world.change(name, MachineState.STOPPED)
            del world.states[name]
            self._calm(name)
            world.resets.pop(name, None)

    def _resized(self, machine: Machine, wanted: Sizes) -> tuple[Machine, Resized]:
        vcpus_max = max(machine.vcpus, machine.vcpus_max)
        memory_max_bytes = max(machine.memory_bytes, machine.memory_max_bytes)
        uses_bytes = self.hypervisor.uses.get(machine.name, 0)
        least = max(wanted.memory_bytes, min(machine.memory_bytes, uses_bytes))
        now = msgspec.structs.replace(
            machine,
            cpu_milli=wanted.cpu_milli,
            vcpus=min(max(machine.vcpus, wanted.vcpus), vcpus_max),
            vcpus_max=vcpus_max,
            memory_bytes=min(least, memory_max_bytes),
            memory_max_bytes=memory_max_bytes,
            disk_rate=wanted.disk_rate,
        )
        restart = [
            f"{wanted.vcpus} cpus: it was started with places for {vcpus_max}"
            if wanted.vcpus > vcpus_max
            else "",
            f"{wanted.memory_bytes} B of memory: it was started with room for {memory_max_bytes}"
            if wanted.memory_bytes > memory_max_bytes
            else "",
        ]
        waits = "" if least == wanted.memory_bytes else f"its guest uses {uses_bytes} B of memory"
        return now, Resized("; ".join(filter(None, restart)), waits)

    def _calm(self, name: str) -> None:
        """It runs, so there is nothing to say of an end or a pause."""
        self._opened().causes.pop(name, None)
        self._opened().stuck_on.pop(name, None)

    def _turn(self, name: str, state: MachineState) -> None:
        now = self._opened().states.get(name)
        if now in (None, MachineState.STOPPED, MachineState.SAVED):
            raise ComputeError(f"{name} does not run")
        if now is not state:
            self.hypervisor.change(name, state)

    def _check(self, machine: Machine) -> None:
        try:
            uuid.UUID(machine.uuid)
        except ValueError as error:
            raise ComputeError(f"{machine.name}: malformed UUID {machine.uuid!r}") from error
        if machine.cpu_milli < CPU_MILLI_MIN:
            raise ComputeError(f"{machine.name}: the least cap is {CPU_MILLI_MIN}")
        for other in self.hypervisor.machines.values():
            if (other.name == machine.name) != (other.uuid == machine.uuid):
                raise ComputeError(f"{machine.name}: its name or UUID is taken by {other.name}")

    def _opened(self) -> FakeHypervisor:
        if self._listener is None:
            raise ComputeError("the hypervisor is not open")
        return self.hypervisor
