"""What guests send through two real forwarders arrives as it was sent, byte for byte.

Nobody looks at the sums of joined segments again, so TCP itself would not notice a fault in joining or cutting.
"""

import hashlib
import random
import socket
import threading
from collections.abc import Iterator

import pytest
from sealed_world import PORT, SealedWorld

from netns import program
from netns.kernel import namespaces
from netns.tunnel import process

STREAM_BYTES, DATAGRAMS, AT = 16 << 20, 1_500, 5201
WITHIN_S = 60.0


@pytest.fixture(scope="module", params=["native", "python"])
def world(request: pytest.FixtureRequest) -> Iterator[SealedWorld]:
    made = SealedWorld()
    try:
        for host in made.hosts:
            process.start(host.run_dir, native=request.param == "native")
        made.start()
        assert made.pings(made.a)
        assert made.a.state().native == (request.param == "native"), "scripts/setup builds it"
        yield made
    finally:
        made.tear_down()


def lose(world: SealedWorld, share: float) -> None:
    """Of the sealed datagrams each host receives, so many are lost."""
    for host in world.hosts:
        text = (
            "add table inet loss\ndelete table inet loss\nadd table inet loss\n"
            "add chain inet loss in { type filter hook input priority 0; }\n"
            f"add rule inet loss in udp dport {PORT} numgen random mod 1000 < {round(share * 1000)} drop\n"
        )
        program.run(["ip", "netns", "exec", host.namespace, "nft", "-f", "-"], text=text)


def streamed(world: SealedWorld) -> tuple[str, str]:
    """The hash of what was sent in odd writes, and of what came."""
    dice, sent, got = random.Random(7), hashlib.sha256(), hashlib.sha256()
    there = world.b
    server = namespaces.inside(there.guest, lambda: socket.create_server((there.address, AT)))
    with server, namespaces.stream_socket_in(world.a.guest) as stream:
        stream.settimeout(WITHIN_S)
        stream.connect((there.address, AT))
        taken, _ = server.accept()

        def send() -> None:
            left = STREAM_BYTES
            while left:
                piece = dice.randbytes(
                    min(left, dice.choice((1, 100, 1366, 1367, 5000, 65_536, 200_000)))
                )
                sent.update(piece)
                stream.sendall(piece)
                left -= len(piece)
            stream.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        with taken:
            taken.settimeout(WITHIN_S)
            while piece := taken.recv(1 << 18):
                got.update(piece)
        sender.join()
    return sent.hexdigest(), got.hexdigest()


def datagrams(world: SealedWorld) -> tuple[int, int]:
    """How many datagrams of any size came, and how many of them were not as they were sent."""
    dice, there = random.Random(8), world.b

    def bound(address: str) -> socket.socket:
        handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        handle.bind((address, AT))
        return handle

    taker = namespaces.inside(there.guest, lambda: bound(there.address))
    giver = namespaces.inside(world.a.guest, lambda: bound(world.a.address))
    with taker, giver:
        taker.settimeout(2.0)
        came = wrong = 0
        for number in range(DATAGRAMS):
            data = dice.randbytes(dice.randrange(1_358))
            giver.sendto(hashlib.sha256(data).digest() + data, (there.address, AT))
            if number % 50 != 49:
                continue
            giver.sendto(b"end", (there.address, AT))
            try:
                while (seen := taker.recv(2_000)) != b"end":
                    came += 1
                    wrong += hashlib.sha256(seen[32:]).digest() != seen[:32]
            except TimeoutError:
                continue  # the last was lost
    return came, wrong


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_all_arrives_as_it_was_sent(world: SealedWorld, share: float) -> None:
    lose(world, share)
    sent, got = streamed(world)
    assert sent == got
    came, wrong = datagrams(world)
    assert wrong == 0
    assert (came < DATAGRAMS) == (share > 0)
    assert came >= DATAGRAMS * 0.9
    counters = world.b.state().counters
    assert counters["joined"] < counters["received"]
    assert not any(
        counters[name] for name in ("in-forged", "in-malformed", "in-replayed", "in-spoofed")
    )
