"""A process that owns machines, to be killed: one JSON command a line in, one JSON answer a line out.

python machine_owner.py STATE_DIR
{"do": "observe"}                       -> {"ok": [MachineSeen, ...]}
{"do": "start", "machine": Machine}     -> {"ok": null} or {"error": "..."}
{"do": "pause", "name": "ovl-head"}     -> likewise for resume, save and stop
{"do": "set_clock", "name": "ovl-head"} -> {"ok": true} if an agent has answered
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.ports.compute import Compute, ComputeError, Machine


class Command(msgspec.Struct):
    do: str
    name: str = ""
    machine: Machine | None = None


async def obey(compute: Compute, command: Command) -> object:
    if command.do == "observe":
        return await compute.observe()
    if command.do == "start":
        assert command.machine is not None
        await compute.start(command.machine)
        return None
    if command.do == "set_clock":
        return await compute.set_clock(command.name)
    acts = {
        "pause": compute.pause,
        "resume": compute.resume,
        "save": compute.save,
        "stop": compute.stop,
    }
    await acts[command.do](command.name)
    return None


async def main(state_dir: Path) -> None:
    uri = f"qemu:///embed?root={state_dir / 'libvirt'}"
    compute = LibvirtCompute(uri, state_dir, "never", cache_dir=state_dir.parent / "cache")
    say({"ok": await compute.open(lambda _: None)})
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer = await obey(compute, msgspec.json.decode(line, type=Command))
            say({"ok": answer})
        except ComputeError as error:
            say({"error": str(error)})
    await compute.close()


def say(answer: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
