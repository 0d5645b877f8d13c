"""A member that says too much. It is a process of its own, so that what it costs is not the test's.

    python flooder.py KEYS PEER HOST:PORT KIND

It sends as fast as the transport takes it, and again when it was hung up on, until it is told to stop. Then
it prints how much that was.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from insider import Insider

from overlayd.adapters.credentials import load_host
from protocol.broadcast.messages import Compare, Root
from protocol.contract.messages import QuoteAsk
from protocol.membership.messages import Ping
from protocol.terms.ids import PeerId, RequestId
from protocol.wire.envelope import pack

AT_ONCE = 64

FRAMES = {
    "pings": pack(Ping(1.0), ""),
    "asks": pack(QuoteAsk(RequestId("flood"), "ams"), ""),
    "comparisons": pack(Compare((Root("", 1),), True), ""),
    "noise": os.urandom(1000),
}


async def flood(keys: Path, peer: str, endpoint: str, kind: str) -> None:
    """Floods until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sent, introduced = 0, -1
    async with Insider(load_host(keys), PeerId(peer), endpoint) as insider:
        while not stop.is_set():
            if insider.connected and introduced != insider.hung_up:
                introduced = insider.hung_up
                with suppress(AssertionError):  # Hung up on again meanwhile.
                    insider.introduce()
            for _ in range(AT_ONCE if insider.connected else 0):
                sent += insider.transport.send(insider.peer, FRAMES[kind])
            await asyncio.sleep(0 if insider.connected else 0.05)
    print(sent, insider.hung_up)


if __name__ == "__main__":
    os.nice(15)  # It shares this machine with its victim; a real one has a machine of its own.
    folder, who, where, what = sys.argv[1:]
    asyncio.run(flood(Path(folder), who, where, what))
