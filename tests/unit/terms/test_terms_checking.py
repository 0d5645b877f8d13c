"""What is checked because somebody asked stays far below what stewards and a person can bear."""

from protocol.terms.checking import (
    CLAIMS_AT_ONCE,
    CONFIRM_AGAIN_S,
    CONFIRM_WATCHED_S,
    CONFIRMS_AT_ONCE,
    CONFIRMS_QUEUED,
    FOUND_WITHIN_S,
    GRIDS_KNOWN,
)
from protocol.terms.limits import REGISTER_REPLY_WITHIN_S, STEWARDS_MOST


def test_one_question_asks_few_and_waits_for_who_answers() -> None:
    assert CONFIRMS_AT_ONCE * STEWARDS_MOST <= 512
    assert CONFIRMS_AT_ONCE * CLAIMS_AT_ONCE * STEWARDS_MOST <= 4096
    assert CONFIRMS_AT_ONCE < CONFIRMS_QUEUED < GRIDS_KNOWN
    assert REGISTER_REPLY_WITHIN_S < FOUND_WITHIN_S < CONFIRM_AGAIN_S < CONFIRM_WATCHED_S
