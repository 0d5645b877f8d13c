"""An event that fails ends the life it was in: it is written down, and who answers for it is shut out."""

from pathlib import Path

import pytest
from one_peer import FED, NOW, OTHER, YOU, hello, identity

from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.loop.mishandled import (
    AGAIN_S,
    FOLDER,
    KEPT,
    Mishandled,
    Notebook,
)
from protocol.broadcast.messages import Gossip, Prune
from protocol.node.events import Arrived, Event
from protocol.node.poison import Poison
from protocol.peering.shut_out import TABLE, shut_outs
from protocol.peering.shut_sites import TABLE as SHUT_SITE
from protocol.peering.shut_sites import shut
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.record import Record, SignedRecord, read_record, sign_record
from protocol.wire.envelope import unpack

ME = identity("h1")
THIRD = identity("h3")


def nobody(peer: KeyId) -> str:
    """The site of a peer, of which none was met."""
    return ""


def record(of: str = "h3", body: bytes = b"x") -> SignedRecord:
    signer = FED.host("s1", of)
    return sign_record(Record(signer.key, "news", "1", 1, 1, body, 60.0), signer)


def failed(event: Event, holding: SignedRecord | Record | None = None) -> Mishandled:
    """That event, which failed while something was in hand."""

    def fails(item: SignedRecord | Record | None) -> None:
        raise KeyError("no such thing")

    try:
        fails(holding)
    except KeyError as error:
        return Mishandled(event, error)


@pytest.fixture
async def store(tmp_path: Path) -> SqliteStore:
    made = SqliteStore(tmp_path)
    await made.open()
    return made


async def test_all_of_it_is_on_disk_before_another_life_begins(
    tmp_path: Path, store: SqliteStore
) -> None:
    message = Gossip((record(),))
    event = Arrived(YOU, message, "r\x1b[2J")
    notebook = Notebook(tmp_path)
    mishandled = failed(event, read_record(message.records[0]))
    assert await notebook.write(store, mishandled, None, ME, nobody, NOW) == 0.0
    text = (tmp_path / FOLDER / "000001.txt").read_text()
    assert "KeyError" in text
    assert "fails(holding)" in text
    assert "\x1b" not in text
    frame = (tmp_path / FOLDER / "000001.frame").read_bytes()
    assert unpack(frame, Gossip) == ("r\x1b[2J", message)
    rows = await store.load()
    assert shut_outs(rows.get(TABLE, {}), NOW) == {}
    again = Arrived(OTHER.peer, message, "")
    assert Poison(rows, NOW).sift(again, NOW) == Arrived(OTHER.peer, Gossip(()), "")
    await notebook.write(store, failed(Arrived(YOU, hello(OTHER), "")), None, ME, nobody, NOW)
    assert list(shut_outs((await store.load())[TABLE], NOW)) == [YOU]
    await store.close()


async def test_what_is_kept_is_bounded_and_the_pauses_grow(
    tmp_path: Path, store: SqliteStore
) -> None:
    import time

    notebook, now = Notebook(tmp_path), time.time()
    pauses = [
        await notebook.write(store, failed(Arrived(YOU, Prune(), "")), None, ME, nobody, now)
        for _ in range(KEPT + 4)
    ]
    assert pauses[:4] == [0.0, 2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S]
    assert max(pauses) == 60.0
    assert len(list((tmp_path / FOLDER).iterdir())) == 2 * KEPT
    await store.close()


async def test_a_disk_that_takes_nothing_does_not_stop_it(
    tmp_path: Path, store: SqliteStore
) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    event = Arrived(YOU, Prune(), "")
    assert await Notebook(tmp_path).write(store, failed(event), None, ME, nobody, NOW) == AGAIN_S
    await store.close()
    assert await Notebook(tmp_path).write(store, failed(event), None, ME, nobody, NOW) == AGAIN_S


async def test_a_site_whose_hosts_do_so_again_and_again_is_on_disk_too(
    tmp_path: Path, store: SqliteStore
) -> None:
    notebook = Notebook(tmp_path)

    def fails(peer: KeyId) -> str:
        raise RuntimeError("whatever was half changed")

    theirs, own = (lambda _: "s9"), (lambda _: "s1")
    for number, known in enumerate((fails, nobody, theirs, theirs, own, theirs)):
        event = Arrived(PeerId(f"{number:064x}"), Prune(), "")
        await notebook.write(store, failed(event), None, ME, known, NOW)
    rows = await store.load()
    assert list(rows[SHUT_SITE]) == ["s9"], "its own site is not counted"
    assert list(shut(rows, NOW + 1)) == ["s9"]
    await store.close()
