"""Rows that a peer cannot live with are found by trying, and set aside; the others stay."""

from pathlib import Path
from random import Random

import pytest
from one_peer import NOW, identity

from overlayd.loop.set_aside import FOLDER, keep_aside, unsound
from overlayd.ports.store import Tables
from protocol.grid.decision import Ballot
from protocol.node.trial import lives
from protocol.peering.announcer import begun_anew
from protocol.register.slot import Slot
from protocol.terms.ids import PeerId
from protocol.wire.codec import encode

SOUND = encode(Slot(Ballot(1, PeerId("a" * 64))))


def rows(**registers: bytes) -> Tables:
    return {**begun_anew(NOW, "0" * 16), "steward": registers}


def alive(found: Tables) -> bool:
    return lives(identity("h1"), found, Random(1), NOW)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_rows_that_can_all_be_read_stay() -> None:
    assert alive(rows(a=SOUND))
    assert unsound(rows(a=SOUND), alive) == []


@pytest.mark.parametrize("table", ["steward", "grid", "hold"])
def test_one_that_cannot_is_found_among_many(table: str) -> None:
    found = rows(**{f"r{number}": SOUND for number in range(40)})
    found.setdefault(table, {})["bad"] = b"\xff"
    before = {each: dict(of) for each, of in found.items()}
    bad = unsound(found, alive)
    assert bad == [(table, "bad")]
    assert found == before
    del found[table]["bad"]
    assert alive(found)


def test_rows_that_are_bad_only_together_lose_one() -> None:
    found = rows(a=SOUND, b=SOUND, c=SOUND)
    bad = unsound(found, lambda tried: not {"a", "b"} <= set(tried.get("steward", {})))
    assert len(bad) == 1
    assert bad[0] in [("steward", "a"), ("steward", "b")]


def test_where_nothing_lives_it_is_not_the_rows_and_all_of_them_stay() -> None:
    found = rows(a=SOUND, b=SOUND)
    assert unsound(found, lambda _: False) == []
    assert alive({})


async def test_they_are_kept_for_people_wherever_their_keys_would_lead(tmp_path: Path) -> None:
    found = rows(**{"../../x": b"bad"})
    folder = await keep_aside(tmp_path, found, [("steward", "../../x")])
    assert folder == tmp_path / FOLDER
    assert sorted(path.read_bytes() for path in files(folder)) == [b"../../x", b"bad"]
    assert [path.name for path in files(tmp_path)] == [FOLDER]
    assert await keep_aside(tmp_path, found, [("steward", "../../x")]) == folder
