"""Images between real daemons: from several, on after a kill, past a liar, of a second version what is new."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import Host, wait_for
from insider import Insider
from loopback import Daemons, image_file, make_daemons

from overlayd.adapters.credentials import Credentials, enrol_host, load_host
from overlayd.ports.images import ImageInfo
from overlayd.ports.transport import Arrived, TransportEvent
from protocol.broadcast.messages import Gossip
from protocol.capacity.advert import KIND, UNPROBED, Advert, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.grid.model import PlacementSpec
from protocol.image.fetching import PIECE_BYTES, ImagePiece
from protocol.image.merkle import CHUNK_BYTES
from protocol.node.messages import ImageAsk, ImageChunk
from protocol.requesting.request import RequestState
from protocol.terms.ids import KeyId
from protocol.trust.order import Action
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import encode

CHUNKS = 160
"""Enough to take some seconds, so that a daemon can be killed in the middle."""
CHANGED = CHUNKS // 20
HOME = {"h1": "ams", "h2": "bnl", "h3": "uc"}


@pytest.fixture(scope="module")
def three(short_folder: Path) -> Iterator[Daemons]:
    """Three hosts, each at a site of its own. The first is given every image."""
    daemons = make_daemons(short_folder / "images", tuple(HOME.values()))
    with daemons:
        daemons.start_all()
        daemons.wait_converged()
        yield daemons


@pytest.fixture(scope="module")
def kernel() -> bytes:
    """Bytes that no chunk has twice."""
    return os.urandom(CHUNKS * CHUNK_BYTES)


@pytest.fixture(scope="module")
def large(three: Daemons, kernel: bytes) -> ImageInfo:
    """An image of that kernel, at h1."""
    return added(three, kernel, "first")


def added(three: Daemons, kernel: bytes, name: str) -> ImageInfo:
    file = image_file(three.folder / "image", kernel=kernel)
    three.image = orders.add_image(three.hosts["h1"], file, name)
    file.unlink()
    three.wait_image_known()
    return three.image


def images_of(host: Host) -> Path:
    return host.folder / "state" / "images"


def begin(three: Daemons, name: str, host: str, image: ImageInfo) -> str:
    """Asks for a grid of one workspace on that host. Answers the request."""
    spec = orders.spec(name, image, 1)
    spec = msgspec.structs.replace(spec, placement=PlacementSpec(sites=(HOME[host],)))
    return orders.give(three.hosts["h1"], orders.up(three.identity("ams"), spec, three.hosts["h1"]))


def ended(three: Daemons, name: str, request: str) -> None:
    """The grid comes up, and is taken down."""
    assert orders.answer(three.hosts["h1"], request).state is RequestState.DONE
    down = orders.signed(three.identity("ams"), Action.DOWN, name)
    assert orders.obeyed(three.hosts["h1"], down).state is RequestState.DONE
    three.wait_nothing_left()


def fetched(host: Host, image: ImageInfo) -> dict[str, int]:
    """What the daemon says of its last fetch of that image."""
    lines = [line for line in host.log.read_bytes().splitlines() if b'"image.fetched"' in line]
    said = [msgspec.json.decode(line) for line in lines]
    return [line for line in said if line["image"] == image.digest[:12]][-1]


def chunks_here(host: Host, image: ImageInfo) -> int:
    """How many chunks an unfinished fetch has."""
    here = images_of(host) / "fetching" / image.digest / "here"
    return sum(byte.bit_count() for byte in here.read_bytes()) if here.exists() else 0


def content(host: Host, image: ImageInfo) -> bytes:
    return (images_of(host) / image.digest / "content").read_bytes()


def test_a_killed_fetch_goes_on_where_it_was(three: Daemons, large: ImageInfo) -> None:
    request = begin(three, "large", "h2", large)
    host = three.hosts["h2"]
    wait_for(lambda: chunks_here(host, large) > CHUNKS // 10, 30, "a tenth of the image is here")
    three.kill("h2")
    kept = chunks_here(host, large)
    assert CHUNKS // 10 < kept < CHUNKS
    three.restart("h2")
    wait_for(lambda: (images_of(host) / large.digest / "content").exists(), 60, "it is whole")
    ended(three, "large", request)
    size = large.facts.content_bytes
    assert content(host, large) == content(three.hosts["h1"], large)
    left = size - fetched(host, large)["fetched_bytes"]
    assert kept * CHUNK_BYTES - CHUNK_BYTES < left <= kept * CHUNK_BYTES


def test_two_peers_serve_one_image_at_once(three: Daemons, large: ImageInfo) -> None:
    """The first has it from the start, the second since the test before."""
    three.image = large
    wait_for(
        lambda: all(
            any(label.digest == large.digest for label in orders.peers(three.hosts["h3"])[n].images)
            for n in ("h1", "h2")
        ),
        30,
        "both are known to have it",
    )
    ended(three, "shared", begin(three, "shared", "h3", large))
    said = fetched(three.hosts["h3"], large)
    assert said["peers"] == 2
    assert said["fetched_bytes"] == large.facts.content_bytes
    assert said["twice_bytes"] <= 4 * CHUNK_BYTES
    assert content(three.hosts["h3"], large) == content(three.hosts["h1"], large)


def test_of_a_second_version_only_what_is_new_travels(
    three: Daemons, large: ImageInfo, kernel: bytes
) -> None:
    newer = bytearray(kernel)
    for number in range(CHANGED):
        newer[number * 20 * CHUNK_BYTES + CHUNK_BYTES // 2] ^= 1
    second = added(three, bytes(newer), "second")
    ended(three, "second", begin(three, "second", "h3", second))
    said = fetched(three.hosts["h3"], second)
    print(f"second version: {said}")
    assert said["fetched_bytes"] <= (CHANGED + 1) * CHUNK_BYTES
    assert said["copied_bytes"] + said["fetched_bytes"] == second.facts.content_bytes
    assert content(three.hosts["h3"], second) == content(three.hosts["h1"], second)


class Liar(Insider):
    """A member that says it has every image. What it says of one is true, but its content is not."""

    def __init__(self, credentials: Credentials, daemon: Host, images: Path) -> None:
        super().__init__(credentials, orders.me(daemon).peer, daemon.endpoint)
        self._credentials_, self._images = credentials, images
        self.gave: list[int] = []

    def advertise(self, image: ImageInfo) -> None:
        """Tells the daemon so, as a host would."""
        label = ImageLabel("guest", image.digest, image.size_bytes)
        advert = Advert(UNPROBED, Quantum(), (), (label,), 0)
        who = self._credentials_
        owner, site = KeyId(who.identity.key), who.principal.site
        record = Record(owner, KIND, "", int(time.time()), 1, encode(advert), 60.0, site)
        self.say(Gossip((sign_record(record, who.identity),)))

    def _on_event(self, event: TransportEvent) -> None:
        super()._on_event(event)
        if isinstance(event, Arrived) and isinstance(ask := self.heard[-1], ImageAsk):
            self.say(self._answer(ask))

    def _answer(self, ask: ImageAsk) -> ImageChunk:
        data = bytes(ask.length)
        if ask.piece is ImagePiece.CONTENT:
            self.gave.append(ask.offset)
        else:
            whole = (self._images / ask.digest / ask.piece).read_bytes()
            data = whole[ask.offset : ask.offset + ask.length]
        return ImageChunk(ask.session, ask.digest, ask.offset, 1 << 40, data, ask.piece)


async def test_a_lying_peer_costs_one_chunk_and_its_standing(three: Daemons) -> None:
    host = three.hosts["h3"]
    image = await asyncio.to_thread(added, three, os.urandom(CHUNKS * CHUNK_BYTES // 4), "third")
    keys = load_host(enrol_host(three.identity("uc"), "liar", output=three.folder / "liar"))
    # Its summary is on disk once somebody has asked for it.
    first = await asyncio.to_thread(begin, three, "first", "h2", image)
    await asyncio.to_thread(ended, three, "first", first)
    async with Liar(keys, host, images_of(three.hosts["h1"])) as liar:
        liar.introduce()
        liar.advertise(image)

        def believed() -> bool:
            rows = orders.peers(host)
            return "liar" in rows and bool(rows["liar"].images)

        await asyncio.to_thread(wait_for, believed, 20, "the liar is believed to have it")
        request = await asyncio.to_thread(begin, three, "honest", "h3", image)
        await asyncio.to_thread(ended, three, "honest", request)
        assert liar.gave
        assert len(liar.gave) <= CHUNK_BYTES // PIECE_BYTES
    assert content(host, image) == content(three.hosts["h1"], image)
    assert fetched(host, image)["twice_bytes"] <= 2 * CHUNK_BYTES
    assert 'overlayd_faults{reason="image-lie"} 1.0' in host.ask("GET", "metrics").text
