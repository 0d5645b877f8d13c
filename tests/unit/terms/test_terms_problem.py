"""What is wrong at a peer travels to faces as it is."""

import msgspec

from protocol.terms.ids import PeerId
from protocol.terms.problem import Problem, Tried, Trouble


def test_problems_and_tries_are_read_back_as_they_were_written() -> None:
    problem = Problem("clock", "it is 1 h ahead", "NTP")
    tried = Tried(PeerId("a" * 64), "h1", "10.0.0.1:7946", False, "no answer", "wait", 3, 1.5)
    written = msgspec.json.encode((problem, tried))
    assert msgspec.json.decode(written, type=tuple[Problem, Tried]) == (problem, tried)
    assert Problem("key", "two processes use it").would_work == ""


def test_troubles_have_names_of_their_own() -> None:
    assert len({str(trouble) for trouble in Trouble}) == len(Trouble)
