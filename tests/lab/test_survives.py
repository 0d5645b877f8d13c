"""A stranger reaches a fault of a real daemon: it begins anew, once, without what was said; its grid stays."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders
from federation.launch import Host, wait_for
from insider import Insider
from loopback import Daemons, image_file, make_daemons

from overlayd.adapters.credentials import Credentials, enrol_host, load_host
from overlayd.loop.mishandled import FOLDER
from protocol.broadcast.messages import Gossip
from protocol.membership.messages import Disconnect, Hello, Ping, Pong
from protocol.requesting.request import RequestState
from protocol.terms.ids import KeyId
from protocol.trust.record import Record, sign_record

PROGRAM = Path(__file__).parent / "failing_daemon.py"


@pytest.fixture
def daemons(folder: Path) -> Iterator[Daemons]:
    """h1, which has the fault, carries a grid; h2 is there, too."""
    with make_daemons(folder / "f", ("ams", "bnl")) as made:
        host = made.hosts["h1"]
        argv = [sys.executable, str(PROGRAM), "run", "-c", str(host.folder / "overlayd.toml")]
        with host.log.open("ab") as log:
            host.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        made.wait_ready(host)
        made.image = orders.add_image(host, image_file(folder / "image"))
        made.start("h2")
        made.wait_ready(made.hosts["h2"])
        made.wait_converged()
        yield made


def member(daemons: Daemons, folder: Path, name: str) -> Credentials:
    """Good keys, of a member of bnl that means harm."""
    return load_host(enrol_host(daemons.identity("bnl"), name, output=folder / name))


def mishandled(host: Host) -> list[Path]:
    return sorted((host.folder / "state" / FOLDER).glob("*.txt"))


async def anew(daemons: Daemons, host: Host, times: int) -> None:
    """Waits until the same process has begun anew so often, with its grid running."""

    def check() -> None:
        wait_for(lambda: len(mishandled(host)) >= times, 20, "it is written down")
        daemons.wait_ready(host)
        wait_for(lambda: runs(host), 30, "the grid runs")
        assert len(mishandled(host)) == times

    await asyncio.to_thread(check)


def runs(host: Host) -> bool:
    view = orders.grid(host, "shop")
    return view is not None and {row.phase for row in view.workspaces} == {"running"}


async def meets(insider: Insider) -> None:
    """Says hello until it is heard."""
    insider.heard.clear()
    await insider.until(lambda: insider.connected, "a connection", 30)
    insider.introduce()
    await insider.hears(Hello)


async def answers(insider: Insider, said: Gossip) -> bool:
    """Whether a peer is heard again, and goes on being heard when it says that again."""
    for _ in range(20):
        insider.heard.clear()
        if insider.connected:
            with contextlib.suppress(AssertionError):
                insider.introduce()
                for message in (said, Ping(1.0)):
                    insider.say(message)
                await insider.hears(Pong, 1.0)
                return True
        await asyncio.sleep(0.5)
    return False


async def test_it_begins_anew_once_without_what_was_said(daemons: Daemons, folder: Path) -> None:
    host, peer = daemons.hosts["h1"], orders.me(daemons.hosts["h1"]).peer
    up = orders.up(daemons.identity("ams"), orders.spec("shop", daemons.image, 2), host)
    done = await asyncio.to_thread(orders.obeyed, host, up)
    assert done.state is RequestState.DONE
    assert host.process is not None
    pid = host.process.pid
    first, second, *others = (member(daemons, folder, f"evil-{n}") for n in (1, 2, 3, 4))
    async with Insider(first, peer, host.endpoint) as insider:
        await meets(insider)
        insider.say(Disconnect())
        await anew(daemons, host, 1)
        assert orders.me(host).quarantined == 1
        insider.connected = False
        await asyncio.sleep(0)
        assert not insider.connected, "it is refused"
    text = mishandled(host)[0].read_text()
    assert "stranger" in text
    assert "\x1b" not in text
    # Another member passes on what the first has signed: it is the record that is refused, not who brings it.
    signer = first.identity
    bad = Record(KeyId(signer.key), "news", "1", int(time.time()), 9, b"fails", 60.0)
    async with Insider(second, peer, host.endpoint) as insider:
        await meets(insider)
        insider.say(Gossip((sign_record(bad, signer),)))
        await anew(daemons, host, 2)
        assert await answers(insider, Gossip((sign_record(bad, signer),)))
    assert orders.me(host).quarantined == 1
    assert host.process.poll() is None
    assert host.process.pid == pid
    assert len(mishandled(host)) == 2
    # Two more keys of that site, and none of it is believed for a while, in the next life either.
    for times, other in enumerate(others, start=3):
        async with Insider(other, peer, host.endpoint) as insider:
            await meets(insider)
            insider.say(Disconnect())
            await asyncio.to_thread(
                wait_for, lambda times=times: len(mishandled(host)) >= times, 20, "another life"
            )
            await asyncio.to_thread(daemons.wait_ready, host)

    def none_of_bnl() -> bool:
        return orders.me(host).faults.get("hello-shut-out", 0) > 0 and "h2" not in orders.peers(
            host
        )

    await asyncio.to_thread(wait_for, none_of_bnl, 30, "its site is shut out")
    daemons.kill("h1")
    daemons.restart("h1")
    await asyncio.to_thread(wait_for, none_of_bnl, 30, "also by the next process")
