"""A request tells once of each guest that is shutting down, and knows how long that may last."""

import msgspec

from protocol.grid.lifecycle import Phase, Status
from protocol.grid.limits import STOP_WITHIN_S_MAX
from protocol.requesting.endings import Endings

NOW = 1000.0
ASKED = "asked to shut down"


def ending(name: str, detail: str = ASKED) -> Status:
    return Status(name, Phase.ENDING, detail, within_s=30)


def test_each_is_told_once_and_those_alike_together() -> None:
    told: list[str] = []
    endings = Endings(lambda _, text: told.append(text))
    assert endings.heard([Status("web-3", Phase.GONE), ending("web-4", "")], NOW) == 0.0
    assert endings.heard([ending("web-1"), ending("web-2")], NOW) == NOW + 30
    endings.heard([ending("web-1"), ending("web-2"), ending("db-1", "no")], NOW + 1)
    assert told == [f"web-1 and web-2: {ASKED}", "db-1: no"]


def test_what_a_stranger_says_of_it_is_bounded() -> None:
    forever = msgspec.structs.replace(ending("web-1"), within_s=1 << 40)
    assert Endings(lambda _, text: None).heard([forever], NOW) == NOW + STOP_WITHIN_S_MAX
