"""A grid that may have a request's name: believed while it may be one, and asked about once."""

import msgspec
from deciding import decision
from negotiating import ADMIN, AUTHORITY, NOW, A, B, C, record_of, shop

from protocol.contract.notices import Notice, notice_of
from protocol.grid.record import GridState, Register
from protocol.requesting.namesake import Namesakes, asked_others
from protocol.requesting.steps import Look, Reason
from protocol.terms.ids import GridId

ORDER = ADMIN.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
TOLD = notice_of(RECORD, shop(2))


class Around:
    """Hosts tell of TOLD; `shown` says whether anybody has shown that it was decided."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown

    def named(self, name: str, owner: str) -> Notice | None:
        return TOLD if name == TOLD.name else None

    def confirmed(self, grid: GridId) -> bool:
        return self.shown


def namesakes(*, shown: bool) -> Namesakes:
    deployment = AUTHORITY.to_hold(ORDER, NOW, fresh=True)
    return Namesakes(deployment, Around(shown=shown))  # type: ignore[arg-type]


def look(reason: Reason = Reason.NAME_IS_UP) -> Look:
    return Look(reason, ("it is up",))


def test_a_grid_that_is_only_told_is_asked_about_once() -> None:
    told = namesakes(shown=False)
    asked = told.looked(look())
    assert (asked.there, asked.hearsay) == (TOLD, True)
    told.unanswered(asked)
    assert told.find() is None
    assert told.looked(look()).there is None


def test_silence_about_a_grid_that_was_shown_changes_nothing() -> None:
    shown = namesakes(shown=True)
    asked = shown.looked(look())
    assert (asked.there, asked.hearsay) == (TOLD, False)
    shown.unanswered(asked)
    assert shown.find() == TOLD


def test_one_that_its_stewards_say_is_down_is_in_nobodys_way() -> None:
    shown = namesakes(shown=True)
    shown.answered(TOLD, decision(Register(RECORD)))
    assert shown.find() == TOLD
    shown.answered(TOLD, decision(Register(msgspec.structs.replace(RECORD, state=GridState.DOWN))))
    assert shown.find() is None


def test_only_a_look_at_the_name_looks_at_who_has_it() -> None:
    assert namesakes(shown=True).looked(look(Reason.GIVEN_BEFORE)).there is None


def test_a_decision_that_others_showed_is_asked_for_again_at_them() -> None:
    asked = namesakes(shown=False).looked(look())
    assert asked_others(asked, None) is None
    assert asked_others(asked, decision(Register(RECORD))) is None, "they are its stewards"
    moved = msgspec.structs.replace(TOLD, stewards=(C,))
    again = asked_others(msgspec.structs.replace(asked, there=moved), decision(Register(RECORD)))
    assert again is not None
    assert again.there == TOLD
    assert not again.hearsay
