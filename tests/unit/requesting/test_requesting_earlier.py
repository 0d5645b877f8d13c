"""Orders and their answers outlive a restart; what was under way is interrupted, and may be given again."""

from negotiating import ADMIN, NOW, shop
from one_requester import Scene

from protocol.requesting.earlier import TABLE, Earlier
from protocol.requesting.events import CancelAsked
from protocol.requesting.request import RequestState, RequestView, StoryLine
from protocol.terms.effects import Effect, Persist
from protocol.terms.ids import RequestId
from protocol.terms.limits import REQUESTS_ON_DISK, STORY_CHARACTERS, STORY_ON_DISK

UP = ADMIN.up(shop(2), NOW)


def written(effects: list[Effect], rows: dict[str, bytes]) -> dict[str, bytes]:
    """The table after these effects."""
    after = dict(rows)
    for effect in effects:
        for row in effect.rows if isinstance(effect, Persist) else ():
            if row.table == TABLE and row.value is not None:
                after[row.key] = row.value
            elif row.table == TABLE:
                after.pop(row.key)
    return after


def restarted(rows: dict[str, bytes]) -> Scene:
    return Scene({TABLE: rows}, born_s=NOW + 5)


def view(name: str, kind: str = "down", at_s: float = NOW) -> RequestView:
    story = tuple(StoryLine(at_s, "x" * 999) for _ in range(99))
    return RequestView(
        RequestId(name), kind, "shop", RequestState.DONE, "done", at_s, ("shop is gone",), story
    )


def test_what_was_under_way_is_interrupted_and_begins_when_it_is_given_again() -> None:
    scene = Scene()
    scene.order("up-1", UP)
    scene = restarted(written(scene.requester.notes(), {}))
    told = scene.view("up-1")
    assert (told.state, told.grid, told.kind) == (RequestState.INTERRUPTED, "shop", "up")
    assert told.answer == (
        "this peer's daemon was started again before up shop had its answer",
        "  would work: the same again, which is safe; `overlayctl show shop` tells what there is",
    )
    assert [one.id for one in scene.requests.views()] == ["up-1"]
    scene.order("up-1", UP, NOW + 6)
    assert scene.view("up-1").state is RequestState.RUNNING
    assert [one.id for one in scene.requests.views()] == ["up-1"], "it is told once"


def test_an_answer_and_its_story_outlive_a_restart() -> None:
    scene = Scene()
    scene.order("up-1", UP)
    rows = written(scene.requester.notes(), {})
    scene.requester.handle(CancelAsked(RequestId("up-1")), NOW + 1)
    before = scene.view("up-1")
    told = restarted(written(scene.requester.notes(), rows)).view("up-1")
    assert (told.state, told.answer) == (RequestState.CANCELLED, before.answer)
    assert told.story == before.story


def test_plans_and_quotes_are_not_kept() -> None:
    earlier = Earlier()
    assert earlier.write([view("p", "plan"), view("q", "quote"), view("h", "hold")]) == []


def test_what_is_on_disk_is_bounded() -> None:
    earlier, rows = Earlier(), dict[str, bytes]()
    for number in range(REQUESTS_ON_DISK + 3):
        rows = written(earlier.write([view(f"r{number}", at_s=NOW + number)]), rows)
    assert list(rows) == [f"r{n}" for n in range(3, REQUESTS_ON_DISK + 3)]
    again = Earlier()
    again.resume(rows)
    assert [one.id for one in again.views()] == list(rows)
    rows = written(again.write([view("new", at_s=NOW + 999)]), rows)
    assert "r3" not in rows
    assert again.view(RequestId("r3")) is None
    one = again.view(RequestId("r4"))
    assert one is not None
    assert len(one.story) == STORY_ON_DISK
    assert all(len(line.text) == STORY_CHARACTERS for line in one.story)


def test_a_request_that_cannot_be_read_is_no_loss_and_is_removed() -> None:
    earlier = Earlier()
    rows = written(earlier.write([view("down-1")]), {}) | {"broken": b"\xc1"}
    earlier.resume(rows)
    assert [one.id for one in earlier.views()] == ["down-1"]
    assert "broken" not in written(earlier.write([view("down-2", at_s=NOW + 1)]), rows)
