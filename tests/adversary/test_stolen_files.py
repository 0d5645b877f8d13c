"""Members of the federation that want files which are not for them, or want others to use theirs."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from file_world import DIGEST, FILE, GRID, KEY, FileWorld, Message, Peer

from overlayd.loop import attachments as module
from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.node.events import Say
from protocol.node.messages import AttachmentAsk, AttachmentOffer, AttachmentPart
from protocol.terms.ids import Digest, PeerId, digest_of

ASK = AttachmentAsk("s", KEY, DIGEST, 0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    made = FileWorld(tmp_path)
    await made.given()
    yield made
    await made.close()


async def asked(of: Peer, by: Peer, ask: AttachmentAsk = ASK) -> AttachmentPart:
    part = await of.traffic.serve(by.me, ask)
    assert part is not None
    return part


async def test_who_neither_carries_nor_keeps_the_grid_gets_nothing(world: FileWorld) -> None:
    part = await asked(world.requester, world.stranger)
    assert (part.total_bytes, part.box) == (-1, b"")
    assert world.requester.traffic.counts["attachment-asks-refused"] == 1
    assert (await asked(world.requester, world.carrier)).total_bytes == len(FILE)


async def test_the_answer_to_who_may_not_is_that_of_a_host_without_it(world: FileWorld) -> None:
    none = await asked(world.stranger, world.carrier)
    assert await asked(world.requester, world.stranger) == none


async def test_another_order_that_names_the_file_is_no_way_to_it(world: FileWorld) -> None:
    """A member sees the digest, and makes a grid of its own with it, on the same host."""
    own = msgspec.structs.replace(
        world.grid, key="f" * 20, grid=f"{'f' * 20}.0-abcdef", readers=(world.stranger.me,)
    )
    world.requester.needed = [own]
    for key in (KEY, own.key):
        ask = AttachmentAsk("s", key, DIGEST, 0)
        assert (await asked(world.requester, world.stranger, ask)).total_bytes == -1


async def test_a_file_of_the_grid_that_it_does_not_name_is_not_given(world: FileWorld) -> None:
    other = b"#!/bin/sh\n"
    await world.requester.kept.keep(KEY, (other,))
    ask = AttachmentAsk("s", KEY, digest_of(other), 0)
    assert (await asked(world.requester, world.carrier, ask)).total_bytes == -1


async def test_nobody_on_the_way_can_read_it(world: FileWorld) -> None:
    part = await asked(world.requester, world.carrier)
    assert FILE[:50] not in part.box
    for peer in (world.stranger, world.steward, world.requester):
        assert peer.boxes.open(part.box) is None
    assert world.carrier.boxes.open(part.box) == FILE[: module.PIECE_BYTES]


@pytest.mark.parametrize("offset", [-1, len(FILE), 1 << 60])
async def test_offsets_beyond_it_have_an_answer_without_anything(
    world: FileWorld, offset: int
) -> None:
    ask = AttachmentAsk("s", KEY, DIGEST, offset)
    assert (await asked(world.requester, world.carrier, ask)).total_bytes == -1


@pytest.mark.parametrize("key", ["", "../../etc", "a/b", "\x00", "x" * 5000])
async def test_a_key_that_is_a_path_leads_nowhere(world: FileWorld, key: str) -> None:
    ask = AttachmentAsk("s", key, Digest("../passwd"), 0)
    assert (await asked(world.requester, world.carrier, ask)).total_bytes == -1


async def test_a_flood_of_asks_is_dropped_and_others_are_served(world: FileWorld) -> None:
    served = 0
    for _ in range(4 * module.ASKS):
        served += await world.requester.traffic.serve(world.carrier.me, ASK) is not None
    assert served == module.ASKS
    assert world.requester.traffic.counts["attachment-asks-dropped"] == 3 * module.ASKS
    assert (await asked(world.requester, world.steward)).total_bytes == len(FILE)


def lying(world: FileWorld, liar: Peer, box: bytes, total_bytes: int) -> None:
    """Has a peer send that in place of every piece."""

    def bend(sender: PeerId, message: Message) -> Message:
        if sender == liar.me and isinstance(message, AttachmentPart):
            return msgspec.structs.replace(message, box=box, total_bytes=total_bytes)
        return message

    world.wire.bend = bend


@pytest.mark.parametrize(
    ("plain", "total_bytes"),
    [
        (b"#!/bin/sh\nrm -rf /\n", 19),
        (FILE[:-1] + b"x", len(FILE)),
        (b"x" * 100, 50),
        (b"", 10),
        (FILE, 1 << 62),
        (FILE, ATTACHMENT_BYTES_MAX + 1),
        (FILE, 0),
        (FILE, -7),
    ],
)
async def test_a_lie_is_not_kept_and_the_next_is_asked(
    world: FileWorld, plain: bytes, total_bytes: int
) -> None:
    world.carrier.needed = [world.files_of(world.stranger, world.steward, world.carrier)]
    world.stranger.needed = world.steward.needed = world.carrier.needed
    await world.stranger.kept.keep(KEY, (FILE,))
    await world.steward.kept.keep(KEY, (FILE,))
    box = world.stranger.boxes.seal(world.carrier.me, plain)
    assert box is not None
    lying(world, world.stranger, box, total_bytes)
    await world.carrier.look()
    assert await world.carrier.kept.read(KEY, DIGEST) == FILE


async def test_what_is_no_box_for_this_peer_is_not_kept(world: FileWorld) -> None:
    await world.steward.kept.keep(KEY, (FILE,))
    for box in (b"", b"x" * 100, world.steward.boxes.seal(world.steward.me, FILE) or b""):
        lying(world, world.steward, box, len(FILE))
        world.carrier.now_s += 100.0
        await world.carrier.look()
        assert not world.carrier.kept.has(KEY, DIGEST)
    assert world.carrier.came == []


async def test_a_piece_from_another_than_was_asked_is_ignored(world: FileWorld) -> None:
    """The stranger guesses the session and answers in the steward's place, which says nothing."""
    forged = b"#!/bin/sh\n"
    box = world.stranger.boxes.seal(world.carrier.me, forged)
    assert box is not None

    def bend(sender: PeerId, message: Message) -> Message | None:
        if isinstance(message, AttachmentAsk):
            part = AttachmentPart(message.session, DIGEST, message.offset, len(forged), box)
            world.carrier.traffic.deliver(world.stranger.me, part)
        return message

    await world.steward.kept.keep(KEY, (FILE,))
    world.wire.bend = bend
    await world.carrier.look()
    assert await world.carrier.kept.read(KEY, DIGEST) == FILE


async def test_offers_of_what_is_not_needed_are_forgotten_at_once(world: FileWorld) -> None:
    for n in range(1000):
        world.carrier.traffic.deliver(world.stranger.me, AttachmentOffer(f"{n:020x}"))
    assert len(world.carrier.traffic._early) == module.EARLY
    await world.carrier.look()
    assert (world.carrier.traffic._offerers, world.carrier.traffic._early) == ({}, {})


async def test_many_that_offer_one_file_are_bounded_and_do_not_keep_it_away(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_WITHIN_S", 0.4)
    await world.carrier.look()
    await world.steward.kept.keep(KEY, (FILE,))
    for n in range(100):
        world.carrier.traffic.deliver(PeerId(f"{n:064x}"), AttachmentOffer(KEY))
    assert len(world.carrier.traffic._offerers[KEY]) == module.OFFERERS
    await world.carrier.look()
    assert world.carrier.kept.has(KEY, DIGEST)


async def test_pieces_that_nobody_asked_for_are_ignored(world: FileWorld) -> None:
    for offset in range(1000):
        part = AttachmentPart("s", DIGEST, offset, len(FILE), b"x" * 100)
        world.carrier.traffic.deliver(world.stranger.me, part)
    assert world.carrier.traffic._waiting == {}
    assert world.carrier.kept.kept() == {}


async def test_nothing_of_a_file_is_in_what_is_said_or_logged(
    world: FileWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = b"#cloud-config\npassword: correct-horse\n"
    digest = digest_of(secret)
    world.grid = world.files_of(world.carrier, world.steward, digests=(digest,))
    world.carrier.needed = world.steward.needed = world.requester.given = [world.grid]
    await world.requester.kept.keep(KEY, (secret,))
    await world.steward.kept.keep(KEY, (secret,))
    await world.requester.look()
    await world.carrier.look()
    assert await world.carrier.kept.read(KEY, digest) == secret
    said = b"".join(msgspec.msgpack.encode(message) for _, _, message in world.wire.seen)
    assert b"correct-horse" not in said
    assert "correct-horse" not in "".join(capsys.readouterr())
    assert world.carrier.came == [GRID]
    assert all(isinstance(say, Say) for say in world.carrier.said)
