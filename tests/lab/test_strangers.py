"""Strangers: outsiders, expired members, noise, forged and replayed orders."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from federation import orders
from federation.launch import Host, wait_for
from insider import Insider
from loopback import Daemons, make_daemons

from overlayd.adapters.credentials import enrol_host, load_host
from protocol.contract.messages import HoldAsk, HoldReply
from protocol.grid.record import grid_id
from protocol.requesting.request import RequestState
from protocol.terms.ids import PeerId
from protocol.terms.refusal import Constraint
from protocol.trust.order import Action
from protocol.wire.codec import pack_plain
from protocol.wire.limits import MAX_DEPTH, MAX_FRAME_BYTES
from protocol.wire.versions import SPOKEN

GARBAGE = (
    b"GET / HTTP/1.1\r\nHost: overlay\r\n\r\n",
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL" + b"\0" * 43 + b"\x04\x26\x05READY",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    b"",
)


def metric(host: Host, name: str) -> float:
    """The value of one of the daemon's counters; 0 if it has counted none."""
    for line in host.ask("GET", "metrics").text.splitlines():
        if line.startswith(f"overlayd_{name} "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def peer_of(daemons: Daemons, name: str) -> PeerId:
    return orders.me(daemons.hosts[name]).peer


def joins(daemons: Daemons, stranger: Host) -> None:
    """Tells the stranger's daemon to join here."""
    host = daemons.hosts["h1"]
    config = stranger.folder / "overlayd.toml"
    text = config.read_text()
    join = f'join = ["{peer_of(daemons, "h1")}@{host.endpoint}"]'
    assert "join = []" in text
    config.write_text(text.replace("join = []", join))


def nobody_knows(daemons: Daemons, stranger: str) -> bool:
    return all(stranger not in orders.peers(host) for host in daemons.hosts.values())


def test_a_peer_of_another_federation_meets_nobody(daemons: Daemons, folder: Path) -> None:
    counted = 'faults{reason="hello-wrong-federation"}'
    before = metric(daemons.hosts["h1"], counted)
    with make_daemons(folder, ("ams",)) as others:
        joins(daemons, others.hosts["h1"])
        others.start_all()
        wait_for(lambda: metric(daemons.hosts["h1"], counted) > before, 20, "h1 counts it")
        rows = orders.peers(others.hosts["h1"])
        assert list(rows) == ["h1"]
        key = rows["h1"].peer
    for host in daemons.hosts.values():
        assert key not in [row.peer for row in orders.peers(host).values()]
    assert daemons.converged(*daemons.names)


def test_a_peer_whose_certificate_expired_meets_nobody(daemons: Daemons, folder: Path) -> None:
    counted = 'faults{reason="hello-expired"}'
    before = metric(daemons.hosts["h1"], counted)
    made = make_daemons(folder, ("ams",))
    host = made.hosts["h1"]
    keys = enrol_host(daemons.identity("ams"), "late", days=1e-6, output=folder / "late")
    config = host.folder / "overlayd.toml"
    joins(daemons, host)
    text = config.read_text().replace('name = "h1"', 'name = "late"')
    config.write_text(text.replace(f"{made.identity('ams')}/hosts/h1", str(keys)))
    argv = [sys.executable, str(Path(__file__).parent / "late_daemon.py"), "60", "run", "-c"]
    with host.log.open("wb") as log:
        host.process = subprocess.Popen([*argv, str(config)], stdout=log, stderr=log)
    with made:
        made.wait_ready(host)
        wait_for(lambda: metric(daemons.hosts["h1"], counted) > before, 20, "h1 counts it")
        rows = orders.peers(host)
        assert [row.name for row in rows.values() if row.age_s >= 0 and row.health != "self"] == []
        assert nobody_knows(daemons, "late")
    assert daemons.converged(*daemons.names)


@contextmanager
def noise(host: Host) -> Iterator[list[socket.socket]]:
    """Connections that speak anything but the overlay's language."""
    address, _, port = host.endpoint.partition(":")
    dice = random.Random(7)
    opened: list[socket.socket] = []
    try:
        for number in range(40):
            connection = socket.create_connection((address, int(port)), timeout=5)
            opened.append(connection)
            said = GARBAGE[number] if number < len(GARBAGE) else dice.randbytes(5000)
            connection.sendall(said)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def open_files(host: Host) -> int:
    assert host.process is not None
    return len(os.listdir(f"/proc/{host.process.pid}/fd"))


def test_noise_at_the_port_costs_nothing(daemons: Daemons) -> None:
    host = daemons.hosts["h2"]
    before = open_files(host)
    incarnation = orders.me(host).incarnation
    with noise(host):
        made = orders.obeyed(
            daemons.hosts["h1"],
            orders.up(
                daemons.identity("bnl"), orders.spec("calm", daemons.image, 8), daemons.hosts["h1"]
            ),
        )
        assert made.state is RequestState.DONE, made.answer
        assert daemons.converged(*daemons.names)
    wait_for(lambda: open_files(host) <= before + 8, 20, "the connections are gone")
    assert orders.me(host).incarnation == incarnation
    gone = orders.obeyed(host, orders.signed(daemons.identity("bnl"), Action.DOWN, "calm"))
    assert gone.state is RequestState.DONE, gone.answer


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x00"


FRAMES = {
    "syntax": os.urandom(300),
    "truncated": pack_plain([SPOKEN.newest, "", {"type": "ping", "sent_s": 1.0}])[:-4],
    "deep": nested(MAX_DEPTH + 4),
    "very deep": nested(MAX_FRAME_BYTES - 100),
    "unknown type": pack_plain([SPOKEN.newest, "", {"type": "surprise"}]),
    "wrong shape": pack_plain([SPOKEN.newest, "", {"type": "ping", "sent_s": "soon"}]),
    "unknown version": pack_plain([9, "", {"type": "ping", "sent_s": 1.0}]),
    "no frame": b"",
}


async def test_a_member_that_talks_nonsense_is_counted_and_shunned(
    daemons: Daemons, folder: Path
) -> None:
    host = daemons.hosts["h2"]
    keys = load_host(enrol_host(daemons.identity("bnl"), "babbler", output=folder / "babbler"))
    before = orders.me(host)
    async with Insider(keys, before.peer, host.endpoint) as insider:
        insider.introduce()
        for _ in range(3):
            for frame in FRAMES.values():
                if insider.connected:
                    insider.transport.send(insider.peer, frame)
        await insider.until(lambda: insider.hung_up > 0, "hanging up")
        after = orders.me(host)
    assert sum(after.faults.values()) >= sum(before.faults.values()) + 19
    assert len(set(after.faults) - {r for r in after.faults if r.startswith("hello")}) >= 4
    assert after.incarnation == before.incarnation
    assert daemons.converged(*daemons.names)


def test_a_forged_order_is_refused(daemons: Daemons, folder: Path) -> None:
    """It is signed by an admin of another federation, or was changed after it was signed."""
    others = make_daemons(folder, ("ams",))
    spec = orders.spec("forged", daemons.image, 2)
    asked = daemons.hosts["h1"]
    honest = orders.up(daemons.identity("ams"), spec, asked)
    foreign = orders.up(others.identity("ams"), spec, asked)
    swapped = msgspec.structs.replace(foreign, chain=honest.chain)
    greedier = orders.up(daemons.identity("ams"), orders.spec("forged", daemons.image, 9), asked)
    changed = msgspec.structs.replace(greedier, signature=honest.signature)
    # One order's answer is kept at the peer that gave it, so each goes to another.
    for name, order, why in (
        ("h1", foreign, "is of federation"),
        ("h2", swapped, "signature"),
        ("h3", changed, "signature"),
    ):
        ended = orders.obeyed(daemons.hosts[name], order)
        assert ended.state is RequestState.FAILED
        assert "this order is not accepted" in ended.answer[0]
        assert why in ended.answer[0]
    assert all(orders.grid(host, "forged") is None for host in daemons.hosts.values())


async def test_a_host_does_not_trust_the_peer_that_carries_an_order(
    daemons: Daemons, folder: Path
) -> None:
    """A member with good keys asks it to hold for a forged order, then for a good one, which it gets."""
    others = make_daemons(folder / "others", ("ams",))
    spec = orders.spec("carried", daemons.image, 1)
    host = daemons.hosts["h2"]
    forged, good = (orders.up(f.identity("ams"), spec, host) for f in (others, daemons))
    keys = load_host(enrol_host(daemons.identity("bnl"), "carrier", output=folder / "carrier"))
    peer = peer_of(daemons, "h2")
    async with Insider(keys, peer, host.endpoint) as insider:
        insider.introduce()
        for order in (forged, good):
            grid = grid_id(order)
            insider.say(HoldAsk(grid, order, ("n-1",), (), 2.0))
            await insider.until(
                lambda grid=grid: any(
                    isinstance(m, HoldReply) and m.grid == grid for m in insider.heard
                ),
                "reply",
            )
        refused, held = [m for m in insider.heard if isinstance(m, HoldReply)]
    assert refused.held == ()
    assert refused.refused[0][1].constraint is Constraint.AUTHORITY
    assert held.held == ("n-1",)
    # Nobody commits it, so it is voted down when its time is up.
    daemons.wait_nothing_left()


def test_an_order_given_again_after_down_makes_nothing(daemons: Daemons) -> None:
    order = orders.up(
        daemons.identity("ams"), orders.spec("once", daemons.image, 3), daemons.hosts["h1"]
    )
    assert orders.obeyed(daemons.hosts["h1"], order).state is RequestState.DONE
    down = orders.signed(daemons.identity("ams"), Action.DOWN, "once")
    assert orders.obeyed(daemons.hosts["h1"], down).state is RequestState.DONE
    daemons.wait_nothing_left()
    daemons.kill("h1")
    daemons.restart("h1")
    daemons.wait_converged()
    remembered = orders.obeyed(daemons.hosts["h1"], order)
    assert remembered.answer == ("once is up: 3 workspaces",), "the answer of then, still on disk"
    assert daemons.left() == []
    for name in daemons.names[1:]:
        again = orders.obeyed(daemons.hosts[name], order)
        assert again.state is RequestState.FAILED, again.answer
        said = " ".join(again.answer)
        assert "sign a new order" in said or "was taken down meanwhile" in said
    assert daemons.left() == []


def test_an_order_that_is_no_order_is_refused_by_the_api(daemons: Daemons) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        daemons.hosts["h1"].ask("POST", "orders", b'{"payload": "bm90aGluZw=="')
