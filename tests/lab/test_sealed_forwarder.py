"""Two real forwarders, two hosts and a guest on each: frames cross sealed, whatever the way does to them."""

import os
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bad_road import BadRoad
from federation.launch import wait_for
from sealed_world import MTU, PORT, Host, SealedWorld

from netns import program
from netns.tunnel import client, process
from netns.tunnel.tables import Probe, ProbeAnswer

MEGABYTE = 1 << 20


@pytest.fixture(scope="module", params=[True, False], ids=["native", "python"])
def world(request: pytest.FixtureRequest) -> Iterator[SealedWorld]:
    made = SealedWorld(native=request.param)
    try:
        made.start()
        assert made.a.state().native is request.param
        yield made
    finally:
        made.tear_down()


@contextmanager
def losing(host: Host, per_mille: int) -> Iterator[None]:
    """Of the datagrams that arrive at a host, so many are lost."""
    chain = f"""table ip loss {{
        chain arrives {{
            type filter hook input priority 0; policy accept;
            udp dport {PORT} numgen random mod 1000 < {per_mille} drop
        }}
    }}
    """
    host.on(lambda: program.run(["nft", "-f", "-"], text=chain))
    try:
        yield
    finally:
        host.run("nft delete table ip loss")


class Wire:
    """All frames that cross the underlay at a host."""

    def __init__(self, host: Host) -> None:
        self.frames: list[bytes] = []
        self._handle = host.on(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300))
        self._handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._handle.bind(("eth0", 3))
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            while select.select([self._handle], [], [], 0.02)[0]:
                self.frames.append(self._handle.recv(70_000))

    def stop(self) -> list[bytes]:
        self._ends.set()
        self._thread.join()
        self._handle.close()
        return self.frames


def test_guests_of_two_hosts_reach_each_other(world: SealedWorld) -> None:
    assert world.pings(world.a)
    assert world.pings(world.b, "-s", "1390", "-M", "do")
    state = world.a.state()
    assert state.counters["sent"] >= 2
    assert state.counters["received"] >= 2
    assert state.peers[0].last_heard_s > 0


def test_a_probe_comes_back_whole_as_any_frame_does(world: SealedWorld) -> None:
    a, b = world.a, world.b
    instance = a.state().instance

    def answers(*probes: Probe) -> tuple[ProbeAnswer, ...]:
        return a.on(lambda: client.probe(a.run_dir, instance, probes))

    found = list(answers(Probe("b", 1, 1_400), Probe("b", 2)))
    wait_for(lambda: found.extend(answers()) or len(found) == 2, 10, "both are answered")
    for answer in found:
        assert (answer.address, answer.port) == (b.underlay, PORT)
        assert (answer.seen_address, answer.seen_port) == (a.underlay, PORT)
        assert 0 < answer.round_trip_s < 5


def test_nothing_that_crosses_can_be_read(world: SealedWorld) -> None:
    wire = Wire(world.b)
    try:
        assert world.pings(world.a, "-s", "1000", "-p", "5365637265744d6573736167654f757273")
    finally:
        frames = wire.stop()
    crossed = [frame for frame in frames if frame[23:24] == b"\x11" and len(frame) > 1000]
    assert crossed, "the echo was seen as it crossed"
    assert not any(b"SecretMessage" in frame for frame in frames)
    assert not any(socket.inet_aton(world.b.address) in frame for frame in crossed), (
        "nor who is meant"
    )


def test_a_stream_arrives_as_it_was_sent_in_large_pieces(world: SealedWorld) -> None:
    before = world.b.state().counters
    world.carries(8 * MEGABYTE)
    after = world.b.state().counters
    received = after["received"] - before["received"]
    assert received > 5_800, "it was cut at the MTU"
    assert after["joined"] - before["joined"] < received / 4, "and joined again before the guest"


def test_a_stream_over_ipv6_is_carried_as_one_over_ipv4(world: SealedWorld) -> None:
    before = world.b.state().counters
    world.carries(4 * MEGABYTE, to=world.b.address6)
    after = world.b.state().counters
    received = after["received"] - before["received"]
    assert received > 2_900, "it was cut at the MTU"
    assert after["joined"] - before["joined"] < received / 4, "and joined again before the guest"
    assert after["nd-answered"] > 0, "and found by an answer from its own host"


def test_a_stream_arrives_as_it_was_sent_though_one_in_a_hundred_is_lost(
    world: SealedWorld,
) -> None:
    with losing(world.a, 10), losing(world.b, 10):
        world.carries(3 * MEGABYTE)


def test_a_stream_arrives_as_it_was_sent_on_a_road_that_forges_doubles_and_swaps(
    world: SealedWorld,
) -> None:
    a, b = world.a, world.b
    before = b.state().counters
    road = a.on(lambda: BadRoad(a.underlay, (a.underlay, PORT), (b.underlay, PORT)))
    try:
        world.new_sessions({"b": road.left, "a": road.right})
        world.carries(MEGABYTE)
        assert b.state().peers[0].port == road.right[1], "the peer is where its frames come from"
    finally:
        road.close()
        world.new_sessions()
    after = b.state().counters
    for reason in ("in-replayed", "in-forged", "in-not-sealed"):
        assert after[reason] > before[reason], reason


def test_datagrams_come_back_as_they_were_sent(world: SealedWorld) -> None:
    world.echoes(
        [1, 2, 3, 17, 18, 19, 500, 1389, 1390, 1391, 4000, 9001, 60_000, *range(1300, 1390, 7)]
    )


@contextmanager
def wire_of(world: SealedWorld, underlay_mtu: int, mtu: int, takes: int) -> Iterator[None]:
    """The wire carries that much, guests send so much, and forwarders are told what gets there."""
    world.takes = takes
    world.widen(underlay_mtu, mtu)
    world.new_sessions()
    try:
        yield
    finally:
        world.takes = 0
        world.widen(1500)
        world.new_sessions()


def test_a_way_that_takes_less_than_guests_send_carries_all_of_it(world: SealedWorld) -> None:
    with wire_of(world, 1400, MTU, 1318):
        wire = Wire(world.b)
        try:
            world.carries(MEGABYTE)
            world.carries(MEGABYTE, to=world.b.address6)
            assert world.pings(world.a, "-M", "do", "-s", "1290")
        finally:
            frames = wire.stop()
        assert len(frames) > 500
        assert max(map(len, frames)) == 1400 + 14
        assert not any(cut_up(frame) for frame in frames), "nothing went in fragments"
        for address, told in ((world.b.address, "mtu = 1318"), (world.b.address6, "mtu=1318")):
            status, said, _ = program.attempt(
                ["ip", "netns", "exec", world.a.guest, "ping", "-M", "do", "-c", "1", "-s", "1370", address]
            )  # fmt: skip
            assert status, "what is not to be cut does not get there"
            assert told in said
        world.echoes([1290, 1390, 4000])


def test_a_wire_of_jumbo_frames_is_used(world: SealedWorld) -> None:
    with wire_of(world, 9000, 8918, 0):
        before = world.b.state().counters["received"]
        world.carries(4 * MEGABYTE)
        assert world.b.state().counters["received"] - before < 1_000
        assert world.pings(world.a, "-M", "do", "-s", "8890")
        world.echoes([8890, 9001, 60_000])


def cut_up(frame: bytes) -> bool:
    """Whether it is a fragment of IPv4."""
    return frame[12:14] == b"\x08\x00" and int.from_bytes(frame[20:22]) & 0x3FFF != 0


def test_a_stream_goes_on_though_a_forwarder_is_killed_and_begun_anew(world: SealedWorld) -> None:
    def kill() -> None:
        first = world.b.state()
        os.kill(first.pid, signal.SIGKILL)
        second = world.ensure(world.b)
        assert second.instance != first.instance
        world.tell_networks()
        world.sessions.clear()  # another instance never gets keys of the one before
        world.new_sessions()

    world.carries(8 * MEGABYTE, between=kill)


def test_a_stream_goes_on_under_new_keys(world: SealedWorld) -> None:
    world.carries(8 * MEGABYTE, between=world.new_sessions)


def test_a_host_that_moves_is_followed(world: SealedWorld) -> None:
    def move() -> None:
        world.a.run("ip address flush dev eth0")
        world.a.run("ip address add 192.0.2.77/24 dev eth0")

    try:
        world.carries(8 * MEGABYTE, between=move)
        assert world.b.state().peers[0].address == "192.0.2.77"
    finally:
        world.a.run("ip address flush dev eth0")
        world.a.run("ip address add 192.0.2.1/24 dev eth0")
        world.new_sessions()


def test_a_tap_that_is_made_anew_is_taken_again(world: SealedWorld) -> None:
    world.make_tap(world.b)
    while world.b.state().taps:
        pass
    world.tell_networks()
    assert world.pings(world.a)


def test_a_forwarder_that_runs_is_not_started_again(world: SealedWorld) -> None:
    before = world.a.state()
    again = world.a.on(lambda: client.ensure(world.a.run_dir, before.port))
    assert (again.instance, again.pid) == (before.instance, before.pid)
    assert process.running(world.a.run_dir) is not None
