"""What is ordered of a commit, and what is told, is bounded."""

import msgspec
import pytest

from protocol.image.commit import DETAIL_MOST, CommitStage, CommitTerms, CommitView
from protocol.wire.codec import Malformed, decode, encode


def test_an_order_says_a_name_and_which_commit_it_is() -> None:
    terms = CommitTerms("analysis-1", "0123456789abcdef")
    assert decode(encode(terms), CommitTerms) == terms


@pytest.mark.parametrize(
    "terms", [CommitTerms("n" * 65, "0" * 8), CommitTerms("n", "0" * 7), CommitTerms("n", "0" * 65)]
)
def test_what_is_longer_or_shorter_is_not_believed(terms: CommitTerms) -> None:
    with pytest.raises(Malformed):
        decode(encode(terms), CommitTerms)


def test_it_is_over_when_it_is_done_or_failed() -> None:
    over = [stage for stage in CommitStage if CommitView(stage).over]
    assert over == [CommitStage.DONE, CommitStage.FAILED]


def test_what_is_told_of_it_is_a_few_lines_at_most() -> None:
    long = CommitView(CommitStage.FAILED, detail="x" * (DETAIL_MOST + 1))
    with pytest.raises(Malformed):
        decode(encode(long), CommitView)
    negative = msgspec.structs.replace(long, detail="", done_bytes=-1)
    with pytest.raises(Malformed):
        decode(encode(negative), CommitView)
