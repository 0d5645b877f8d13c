"""A guest whose tap was deleted has lost its network card: QEMU opens a tap when it starts, and never again.

Unplugging the card and plugging in another would take the guest's help, and leave it to configure the new one.
So the machine is saved and restored, as for a suspension: it stands still for as long as the disk takes, and
goes on with all its connections.
"""

import time

import msgspec

from overlayd.ports.compute import Compute, ComputeError, MachineSeen, MachineState
from overlayd.ports.network import Network
from overlayd.realise import plan
from overlayd.realise.turns import Turns
from protocol.grid.lifecycle import Power
from protocol.hosting.part import Part, PartOf

_BEFORE_SAVING = (
    "its network card was lost with its tap; it is saved and restored, to have it again"
)


class Cards:
    """The network cards of this host's machines."""

    def __init__(self, network: Network, compute: Compute, turns: Turns) -> None:
        self._network, self._compute, self._turns = network, compute, turns
        self._lost_s: dict[str, float] = {}

    async def lost(self, part: Part, mine: PartOf, seen: MachineSeen) -> str:
        """What to say of a machine that has lost a card and is to have it again; empty if it has all.

        The taps must be there. Raises NetworkError if they are not.
        """
        if mine.wanted.power is not Power.RUNNING or seen.state is MachineState.SAVED:
            return ""
        taps = plan.taps(part, mine)
        return _BEFORE_SAVING if taps and await self._network.unplugged(taps) else ""

    async def unplug(self, seen: MachineSeen) -> MachineSeen:
        """Saves the machine. Raises ComputeError, with what would help, if that cannot be done."""
        self._lost_s[seen.name] = time.monotonic()
        try:
            async with self._turns.alone():
                await self._compute.save(seen.name)
        except ComputeError as error:
            del self._lost_s[seen.name]
            raise ComputeError(
                f"its network card was lost, because somebody deleted its tap, and it cannot be saved and "
                f"restored to have it again: {error}; overlayctl restart gives it a new one"
            ) from error
        return msgspec.structs.replace(seen, state=MachineState.SAVED)

    def plugged(self, machine: str) -> str:
        """What to tell of a machine that has its cards again; empty if it had them all the while."""
        began_s = self._lost_s.pop(machine, None)
        if began_s is None:
            return ""
        took_s = time.monotonic() - began_s
        return (
            f"the guest had lost its network card, because its tap was deleted; it was saved and restored in "
            f"{took_s:.1f} s and has it again"
        )
