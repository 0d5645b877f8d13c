"""A flood from one member is dropped, counted and ended, and the others go on as if nothing happened.

How long others wait is printed (`pytest -rP`) and not asserted, since this machine may be busy.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from federation import orders
from federation.launch import Host, wait_for
from insider import Insider
from loopback import Daemons

from overlayd.adapters.credentials import enrol_host, load_host
from protocol.membership.messages import Ping, Pong
from protocol.node.rows import PeerRow
from protocol.requesting.request import RequestState
from protocol.terms.limits import PATIENCE
from protocol.trust.order import Action

PINGS = 50


async def round_trips_ms(insider: Insider) -> list[float]:
    """How long an honest member waits for each of some answers, one after another."""
    waited: list[float] = []
    for _ in range(PINGS):
        insider.heard.clear()
        began_s = time.perf_counter()
        insider.say(Ping(began_s))
        await insider.hears(Pong)
        waited.append((time.perf_counter() - began_s) * 1000)
    return waited


async def shown(host: Host, name: str, what: Callable[[PeerRow], bool]) -> None:
    """Waits until the host lists that peer as `what` asks."""

    def so() -> bool:
        row = orders.peers(host).get(name)
        return row is not None and what(row)

    await asyncio.to_thread(wait_for, so, 60, name)


def started(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["pings", "asks", "comparisons", "noise"])
async def test_a_flood_is_its_senders_trouble_alone(
    daemons: Daemons, folder: Path, kind: str
) -> None:
    host = daemons.hosts["h2"]
    site = daemons.identity("bnl")
    flooder = enrol_host(site, f"flood-{kind}", output=folder / "flooder")
    honest = load_host(enrol_host(site, f"calm-{kind}", output=folder / "calm"))
    before = orders.me(host)
    script = str(Path(__file__).parent / "flooder.py")
    argv = [sys.executable, script, str(flooder), before.peer, host.endpoint, kind]
    async with Insider(honest, before.peer, host.endpoint) as insider:
        insider.introduce()
        calm = await round_trips_ms(insider)
        with started(argv) as flood:
            await shown(host, f"flood-{kind}", lambda row: True)
            flooded = await round_trips_ms(insider)
            order = orders.up(
                site, orders.spec(f"in-{kind}", daemons.image, 4), daemons.hosts["h1"]
            )
            made = await asyncio.to_thread(orders.obeyed, daemons.hosts["h1"], order)
            await shown(host, f"flood-{kind}", lambda row: row.quarantine_s > 0)
            flood.terminate()
            said, _ = await asyncio.to_thread(flood.communicate, timeout=60)
    after, rows = orders.me(host), orders.peers(host)
    sent, hung_up = map(int, said.split())
    print(f"{kind}: {sent} sent, hung up on {hung_up} times; others' round trip, ms:")
    for name, waited in (("calm", calm), ("flooded", flooded)):
        print(f"  {name:8} median {median(waited):.2f}, worst {max(waited):.2f}")
    down = orders.signed(site, Action.DOWN, f"in-{kind}")
    assert made.state is RequestState.DONE, made.answer
    assert orders.obeyed(host, down).state is RequestState.DONE
    assert rows[f"flood-{kind}"].faults >= PATIENCE
    assert rows[f"calm-{kind}"].faults == 0, "who did nothing wrong is not blamed"
    assert rows[f"calm-{kind}"].quarantine_s == 0
    assert sum(after.faults.values()) > sum(before.faults.values())
    assert daemons.converged(*daemons.names)
