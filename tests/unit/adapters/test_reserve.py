"""A reserve: a file whose room can be given back."""

from pathlib import Path

from overlayd.adapters.reserve import Reserve

SIZE = 64 << 10


def test_it_takes_real_room_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", SIZE)
    assert not reserve.give_up(), "there was none"
    reserve.make()
    status = (tmp_path / "reserve").stat()
    assert (status.st_size, status.st_mode & 0o777) == (SIZE, 0o600)
    assert status.st_blocks * 512 >= SIZE, "it has blocks of its own"
    assert reserve.whole
    assert reserve.give_up()
    assert not reserve.whole
    assert not (tmp_path / "reserve").exists()


def test_a_later_process_finds_it_and_makes_it_whole(tmp_path: Path) -> None:
    (tmp_path / "reserve").write_bytes(b"x")
    reserve = Reserve(tmp_path / "reserve", SIZE)
    reserve.make()
    assert reserve.whole
    assert (tmp_path / "reserve").stat().st_size == SIZE


def test_where_it_cannot_be_there_is_none(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "nowhere" / "reserve", SIZE)
    reserve.make()
    assert not reserve.whole
    assert not reserve.give_up()
