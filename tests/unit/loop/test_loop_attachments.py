"""Files of grids come to who carries them, whatever dies on the way, and go with their grid."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from file_world import DIGEST, FILE, GRID, KEY, FileWorld
from turns import until

from overlayd.loop import attachments as module
from protocol.node.messages import AttachmentAsk, AttachmentOffer, AttachmentPart


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    made = FileWorld(tmp_path)
    yield made
    await made.close()


async def test_the_requester_offers_and_carriers_and_stewards_fetch(world: FileWorld) -> None:
    await world.given()
    await world.carrier.look()
    assert not world.carrier.kept.has(KEY, DIGEST), "nobody that it knows of has it"
    await world.requester.look()
    for peer in (world.carrier, world.steward):
        seen = peer.traffic
        await until(lambda seen=seen: seen._offerers or seen._early, "the offer")
        await peer.look()
        assert await peer.kept.read(KEY, DIGEST) == FILE
        assert peer.came == [GRID]


async def test_without_the_requester_it_comes_from_a_steward(world: FileWorld) -> None:
    await world.given()
    await world.steward.kept.keep(KEY, (FILE,))
    world.wire.cut.add(world.requester.me)
    await world.carrier.look()
    assert await world.carrier.kept.read(KEY, DIGEST) == FILE


async def test_who_does_not_answer_is_left_for_the_next(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_WITHIN_S", 0.5)
    await world.given()
    world.grid = world.files_of(world.stranger, world.steward, world.carrier)
    world.carrier.needed = world.steward.needed = [world.grid]
    await world.steward.kept.keep(KEY, (FILE,))
    world.wire.cut.add(world.stranger.me)
    await world.carrier.look()
    assert world.carrier.kept.has(KEY, DIGEST)


async def test_it_is_asked_for_again_after_longer_and_longer_pauses(world: FileWorld) -> None:
    await world.given()
    carrier = world.carrier

    def asks() -> int:
        return sum(isinstance(say.message, AttachmentAsk) for say in carrier.said)

    counts = []
    for _ in range(30):
        await carrier.look()
        counts.append(asks())
        carrier.now_s += 1.0
    assert counts[0] == 1
    assert counts[29] <= 6
    await world.steward.kept.keep(KEY, (FILE,))
    carrier.now_s += module.ASK_AGAIN_MOST_S
    await carrier.look()
    assert carrier.kept.has(KEY, DIGEST)
    before = asks()
    await carrier.look()
    assert asks() == before


async def test_a_piece_that_was_lost_costs_only_another_try(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_WITHIN_S", 0.5)
    await world.given()
    await world.steward.kept.keep(KEY, (FILE,))
    lost = []

    def loses(_: object, message: object) -> object:
        if isinstance(message, AttachmentAsk) and message.offset and not lost:
            lost.append(message)
            return None
        return message

    world.wire.bend = loses  # type: ignore[assignment]  # it takes any message
    await world.carrier.look()
    assert lost
    assert not world.carrier.kept.has(KEY, DIGEST)
    world.carrier.now_s += 2.0
    await world.carrier.look()
    assert world.carrier.kept.has(KEY, DIGEST)


async def test_who_sends_a_byte_at_a_time_holds_up_nobody(world: FileWorld) -> None:
    await world.given()
    await world.steward.kept.keep(KEY, (FILE,))
    world.grid = world.files_of(world.stranger, world.steward, world.carrier)
    world.carrier.needed = world.steward.needed = [world.grid]
    stranger, carrier = world.stranger, world.carrier

    def drips(sender: object, message: object) -> object:
        if sender == carrier.me and isinstance(message, AttachmentAsk):
            box = stranger.boxes.seal(carrier.me, b"x")
            assert box is not None
            part = AttachmentPart(message.session, message.digest, message.offset, len(FILE), box)
            carrier.traffic.deliver(stranger.me, part)
        return message

    world.wire.bend = drips  # type: ignore[assignment]  # it takes any message
    await world.carrier.look()
    asked = [say.peer for say in carrier.said if isinstance(say.message, AttachmentAsk)]
    assert asked.count(stranger.me) == 1
    assert carrier.kept.has(KEY, DIGEST)


async def test_an_offer_is_said_again_and_ever_more_rarely(world: FileWorld) -> None:
    await world.given()
    for _ in range(120):
        await world.requester.look()
        world.requester.now_s += 1.0
    offers = [say for say in world.requester.said if isinstance(say.message, AttachmentOffer)]
    assert len(offers) <= 2 * 8
    assert {say.peer for say in offers} == {world.carrier.me, world.steward.me}


async def test_it_goes_with_its_grid(world: FileWorld) -> None:
    await world.given()
    await world.carrier.kept.keep(KEY, (FILE,))
    await world.carrier.look()
    world.carrier.needed = []
    await world.carrier.gone()
    assert world.carrier.kept.kept() == {}


async def test_what_a_queued_request_or_a_quote_names_stays_until_that_ends(
    world: FileWorld,
) -> None:
    await world.requester.kept.keep(KEY, (FILE,))
    world.requester.named = {KEY}
    for _ in range(3):
        world.requester.now_s += 86_400.0
        await world.requester.look()
    assert world.requester.kept.has(KEY, DIGEST)
    world.requester.named = set()
    await world.requester.gone()
    assert world.requester.kept.kept() == {}


async def test_what_nobody_names_yet_is_kept_while_its_order_is_on_its_way(
    world: FileWorld,
) -> None:
    await world.requester.kept.keep(KEY, (FILE,))
    await world.requester.look()
    world.requester.now_s += module.KEPT_FOR_S - 1.0
    await world.requester.look()
    assert world.requester.kept.has(KEY, DIGEST)
    world.requester.now_s += 2.0
    await world.requester.look()
    assert world.requester.kept.kept() == {}


async def test_what_an_earlier_life_left_behind_goes_at_the_start(
    world: FileWorld, tmp_path: Path
) -> None:
    await world.requester.kept.keep(KEY, (FILE,))
    await world.requester.kept.keep("quote-1", (FILE,))
    world.requester.named = {"quote-1"}
    world.requester.traffic = world.requester.next_life()
    await world.requester.look()
    assert len(world.requester.kept.kept()) == 2, "the node may yet hear what is found here"
    await world.requester.gone()
    assert set(world.requester.kept.kept()) == {"quote-1"}


async def test_two_grids_of_one_order_have_one_copy(world: FileWorld) -> None:
    await world.given()
    await world.steward.kept.keep(KEY, (FILE,))
    world.carrier.needed = [world.grid, world.grid]
    await world.carrier.look()
    assert world.carrier.came == [GRID]
