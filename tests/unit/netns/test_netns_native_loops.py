"""The loops in C: the same bytes and counts as in Python, on anything that guests and strangers say."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tunnel_sides
from tunnel_sides import (
    HERE,
    KEYS,
    LOOPS,
    MACS,
    MTU,
    THERE,
    UDP,
    VNI,
    Side,
    compare,
    compiled,
    drained,
    incoming,
    packet,
    sealed,
    session,
    udp,
)

import netns.tunnel
from netns.tunnel import native_loops
from netns.tunnel.counters import Count
from netns.tunnel.frame import inner_header
from netns.tunnel.orders import HoldTaps, TakeSocket
from netns.tunnel.tables import SESSION_RECEIVES_S, SESSION_SENDS_S, SealedPeer

GROUP = bytes.fromhex("01005e010203")
FUZZED_S = 3.0


@pytest.fixture(scope="module", autouse=True)
def _built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is in the source now, whatever is installed."""
    before = getattr(native_loops, "native", None)
    tunnel_sides.use(compiled(tmp_path_factory.mktemp("native")))
    yield
    native_loops.native = before


@pytest.fixture(params=LOOPS, ids=LOOPS.values())
def far(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with udp(request.param) as handle:
        yield handle


@pytest.fixture
def native(far: socket.socket) -> Iterator[Side]:
    side = Side(True, far)
    yield side
    side.close()


def counted(side: Side) -> dict[str, int]:
    """Counters that are not zero."""
    return {name: count for name, count in side.told()[0].items() if count}


def segments(first: int, count: int) -> list[bytes]:
    return [sealed(1, first + at, incoming(at * 1366, bytes(1366))) for at in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_python_and_c_say_the_same_of_anything(seed: int) -> None:
    assert compare(seed, 60.0, 80) == 80


def test_nothing_is_read_or_written_out_of_bounds(tmp_path: Path) -> None:
    """Under the compiler's sanitizers, on other random bytes each time."""
    checks = (
        "-g",
        "-U_FORTIFY_SOURCE",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    )
    module = compiled(tmp_path, *checks)
    seed = int.from_bytes(os.urandom(4))
    libraries = [
        subprocess.run(
            ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
        )
        for name in ("libasan.so", "libubsan.so")
    ]
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    more = {
        "LD_PRELOAD": " ".join(found.stdout.strip() for found in libraries),
        "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc", "PYTHONPATH": paths,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, tunnel_sides.__file__, str(module), str(FUZZED_S), str(seed)],
        capture_output=True, text=True, env={**os.environ, **more}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-4000:]}"


def test_segments_of_a_batch_are_written_in_one_piece(native: Side, far: socket.socket) -> None:
    native.from_socket(segments(0, 40), far)
    (piece,) = native.written()
    assert len(piece) == 10 + 54 + 40 * 1366
    assert counted(native) == {"received": 40, "joined": 1}


def test_a_stream_over_ipv6_is_cut_and_joined(native: Side, far: socket.socket) -> None:
    data = bytes(range(256)) * 200
    native.from_tap([tunnel_sides.outgoing6(data)])
    assert len(drained(far)) == -(-len(data) // 1346)
    pieces = [data[at : at + 1346] for at in range(0, len(data), 1346)]
    native.from_socket(
        [
            sealed(1, number, tunnel_sides.incoming6(number * 1346, piece))
            for number, piece in enumerate(pieces)
        ],
        far,
    )
    (piece,) = native.written()
    assert piece[10 + 74 :] == data


def test_neighbours_elsewhere_are_answered_for(native: Side) -> None:
    asked = tunnel_sides.solicitation(tunnel_sides.HERE6, tunnel_sides.THERE6)
    native.from_tap([bytes(10) + asked, bytes(10) + asked])
    assert len(native.written()) == 2
    assert counted(native) == {"nd-answered": 2}


def test_a_frame_to_a_group_is_copied_and_one_from_there_comes_in(far: socket.socket) -> None:
    for is_native in (True, False):
        for multicast, sent, got in ((True, 1, 1), (False, 0, 0)):
            side = Side(is_native, far, multicast=multicast)
            side.from_tap([bytes(10) + packet(GROUP, MACS[0], HERE, GROUP[2:], b"news", UDP)])
            assert len(drained(far)) == sent, (is_native, multicast)
            came = inner_header(0, VNI, 0, 0) + packet(
                GROUP, MACS[1], THERE, GROUP[2:], b"news", UDP
            )
            side.from_socket([sealed(1, 1, came)], far)
            assert len(side.written()) == got, (is_native, multicast)
            side.close()


def test_a_replayed_datagram_is_dropped_in_and_behind_the_window(
    native: Side, far: socket.socket
) -> None:
    old, new = segments(0, 2), segments(2100, 1)
    native.from_socket([*old, *old], far)
    native.from_socket(new, far)
    native.from_socket([*new, *old, *segments(52, 1), *segments(53, 1)], far)
    assert counted(native)["in-replayed"] == 2 + 1 + 2 + 1
    assert counted(native)["received"] == 2 + 1 + 1


def test_a_session_that_is_told_again_goes_on(native: Side, far: socket.socket) -> None:
    """What it has sent and seen stays, though all tables are replaced."""
    frame = tunnel_sides.outgoing(bytes(100), gso_size=50)
    told = SealedPeer("far", *far.getsockname()[:2], (session(1),))
    native.from_tap([frame])
    native.from_socket(segments(0, 1), far)
    native.tell(told, 2)
    native.from_tap([frame])
    native.from_socket(segments(0, 1), far)
    assert [datagram[8:16] for datagram in drained(far)] == [
        bytes(7) + bytes([n]) for n in range(4)
    ]
    assert counted(native)["in-replayed"] == 1


def test_an_old_session_neither_sends_nor_receives(native: Side, far: socket.socket) -> None:
    native.tell(
        SealedPeer("far", *far.getsockname()[:2], (session(4, age_s=SESSION_SENDS_S + 1),)), 2
    )
    native.from_tap([tunnel_sides.outgoing(bytes(100))])
    assert counted(native) == {"out-no-session": 1}
    native.from_socket([sealed(4, 0, incoming(0, b"x"))], far)
    assert counted(native)["received"] == 1
    native.tell(
        SealedPeer("far", *far.getsockname()[:2], (session(5, age_s=SESSION_RECEIVES_S + 1),)), 3
    )
    native.from_socket([sealed(5, 0, incoming(0, b"x"))], far)
    assert counted(native)["in-old-session"] == 1


@pytest.mark.parametrize("family", LOOPS)
def test_a_peer_is_where_its_newest_datagram_came_from(
    native: Side, far: socket.socket, family: socket.AddressFamily
) -> None:
    """Also if that is by the other family."""
    first, second, late = segments(0, 1), segments(2, 1), segments(1, 1)
    with udp(family) as moved:
        native.from_socket(first, far)
        native.from_socket(second, moved)
        native.from_socket(late, far)
        native.from_tap([tunnel_sides.outgoing(bytes(100))])
        assert len(drained(moved)) == 1
        assert native.told()[1][0][1:3] == moved.getsockname()[:2]
        forged = bytearray(segments(9, 1)[0])
        forged[-1] ^= 1
        native.from_socket([bytes(forged)], far)
        assert native.told()[1][0][1:3] == moved.getsockname()[:2]


def test_a_peer_that_has_moved_is_not_moved_back_by_another_network(
    native: Side, far: socket.socket
) -> None:
    with udp() as moved:
        native.from_socket(segments(0, 1), moved)
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with one:
            native.ask(HoldTaps(("tap1",)), other.detach())
            native.from_tap([tunnel_sides.outgoing(bytes(100))])
        assert (len(drained(moved)), drained(far)) == (1, [])


@pytest.mark.parametrize("is_native", [False, True], ids=["python", "c"])
def test_where_the_kernel_has_no_ipv6_what_is_for_it_is_refused(is_native: bool) -> None:
    with udp() as far:
        side = Side(is_native, far)
        try:
            only = udp()
            side.at = only.getsockname()
            side.ask(TakeSocket(side.at[1]), only.detach())
            side.from_tap([tunnel_sides.outgoing(bytes(100))])
            assert len(drained(far)) == 1
            side.tell(SealedPeer("far", "::1", far.getsockname()[1], (session(2),)), 2)
            side.from_tap([tunnel_sides.outgoing(bytes(100))])
            assert counted(side) == {"sent": 1, "out-refused": 1}
        finally:
            side.close()


def test_a_tap_that_is_gone_is_let_go(native: Side, far: socket.socket) -> None:
    native.tap.close()
    native.from_socket(segments(0, 3), far)
    assert counted(native) == {"received": 3, "in-refused": 3}


def test_every_count_of_the_loops_has_a_name_in_python() -> None:
    names = set(native_loops.native.Loops().counted())
    assert names <= {count.value for count in Count}
    python = {"arp-answered", "nd-answered", "too-big-answered", "in-probes-too-many", "in-unasked"}
    assert {count.value for count in Count} - names == python


def test_without_the_module_it_says_so_and_python_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, far: socket.socket
) -> None:
    monkeypatch.setitem(sys.modules, "netns.tunnel.native", None)
    monkeypatch.delattr(netns.tunnel, "native", raising=False)
    spec = importlib.util.find_spec("netns.tunnel.native_loops")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.is_built is False
    assert "scripts/setup builds them" in caplog.text
    side = Side(module.is_built, far)
    side.from_socket(segments(0, 3), far)
    assert len(side.written()) == 1
    assert side.forwarder.state().native is False
    side.close()


def test_tables_that_make_no_sense_are_refused() -> None:
    module = native_loops.native
    peer = module.Peer()
    with pytest.raises(ValueError, match="keys have 32 bytes"):
        module.Session(1, 2, bytes(31), KEYS[0], False, 0.0)
    with pytest.raises(TypeError, match="sessions"):
        peer.carry((peer,))
    with pytest.raises(TypeError, match="at most 16 sessions"):
        peer.carry((module.Session(1, 2, KEYS[0], KEYS[1], False, time.monotonic()),) * 17)
    with pytest.raises(ValueError, match="not an address"):
        peer.move("nowhere", 1, 0)
    with pytest.raises(TypeError, match="members"):
        module.Network(1, -1, MTU, frozenset(), {1: (1, 2)}, b"", False)
    with pytest.raises(ValueError, match="a prefix has 12 bytes"):
        module.Network(1, -1, MTU, frozenset(), {}, bytes(16), False)
    with pytest.raises(ValueError, match="too large"):
        module.Network(1, -1, 65_454, frozenset(), {}, b"", False)
