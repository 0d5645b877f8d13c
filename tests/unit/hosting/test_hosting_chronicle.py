"""A host keeps what happened to each of its grids, on disk, until nothing of the grid is there."""

from protocol.contract.story import GridLine
from protocol.hosting.chronicle import TABLE, Chronicle
from protocol.terms.effects import Note, Persist, Realise
from protocol.terms.ids import GridId
from protocol.terms.limits import STORY_TOLD

SHOP, OTHER = GridId("shop.0"), GridId("other.0")
NOW = 1000.0


class One:
    """A host that carries `shop`, and its store."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.carried = [SHOP]
        self.start()

    def start(self) -> None:
        self.chronicle = Chronicle(dict(self.rows), lambda grid: grid in self.carried)

    def warn(self, text: str, grid: GridId = SHOP, now: float = NOW) -> list[GridId]:
        note = Note("lease.warning", "shop", text, grid)
        return self.chronicle.hear([Realise(grid, grid), note], now)

    def save(self) -> int:
        """Writes what is to be written. Answers how many rows that is."""
        effects = self.chronicle.save()
        rows = [row for e in effects if isinstance(e, Persist) for row in e.rows]
        assert all(e.otherwise is not None for e in effects if isinstance(e, Persist))
        for row in rows:
            assert row.table == TABLE
            self.rows.pop(row.key, None)
            if row.value is not None:
                self.rows[row.key] = row.value
        return len(rows)

    def texts(self) -> list[str]:
        return [line.text for line in self.chronicle.story(SHOP)]


def test_a_note_about_a_grid_here_is_kept_and_survives_a_restart() -> None:
    one = One()
    assert one.warn("ends in 10 min") == [SHOP]
    assert one.save() == 1
    assert one.save() == 0, "nothing is written twice"
    one.start()
    assert one.texts() == ["ends in 10 min"]
    assert one.warn("ends in 10 min") == [], "it is known"
    assert one.save() == 0


def test_notes_about_other_grids_or_about_none_are_not_kept() -> None:
    one = One()
    assert one.warn("ends", OTHER) == []
    assert one.chronicle.hear([Note("peer.dead", "h2", "silent")], NOW) == []
    assert one.save() == 0


def test_only_the_newest_go_into_a_notice() -> None:
    one = One()
    for number in range(STORY_TOLD + 2):
        one.warn(str(number), now=NOW + number)
    assert [line.text for line in one.chronicle.newest(SHOP)] == [
        str(n) for n in range(2, STORY_TOLD + 2)
    ]


def test_the_story_of_a_grid_that_is_gone_is_removed() -> None:
    one = One()
    one.warn("ends")
    one.save()
    one.chronicle.forget(SHOP)
    assert (one.save(), one.rows) == (1, {})
    one.chronicle.forget(SHOP)
    assert one.save() == 0


def test_rows_of_grids_that_are_not_here_any_more_are_removed() -> None:
    one = One()
    one.warn("ends")
    one.save()
    one.carried = []
    one.start()
    assert (one.texts(), one.save(), one.rows) == ([], 1, {})


def test_a_line_that_is_put_in_by_the_node() -> None:
    one = One()
    line = GridLine(NOW, "grid.host-lost", "host beta (web-2) was not heard for 5 s")
    assert one.chronicle.keep(SHOP, line)
    assert not one.chronicle.keep(SHOP, line)
    assert one.chronicle.newest(SHOP) == (line,)


def test_a_story_that_cannot_be_read_is_no_loss_and_is_removed() -> None:
    one = One()
    one.rows = {SHOP: b"\xc1"}
    one.start()
    assert (one.texts(), one.save(), one.rows) == ([], 1, {})
