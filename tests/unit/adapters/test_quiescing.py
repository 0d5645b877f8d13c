"""File systems are frozen by an agent that answers; what may be half frozen is let go on."""

import libvirt
import pytest

from overlayd.adapters.libvirt import quiescing


class Domain:
    """A domain whose agent does what it is told, but for what it refuses."""

    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.asked: list[str] = []

    def agentSetResponseTimeout(self, within_s: int) -> None:
        assert within_s > 0, "an agent that hangs holds nobody up"

    def fsFreeze(self) -> None:
        self._ask("freeze")

    def fsThaw(self) -> None:
        self._ask("thaw")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.refuses:
            raise libvirt.libvirtError("the agent does not answer")


def test_frozen_and_thawed() -> None:
    domain = Domain()
    assert quiescing.freeze(domain)
    assert quiescing.thaw(domain)
    assert domain.asked == ["freeze", "thaw"]


@pytest.mark.parametrize("refuses", [("freeze",), ("freeze", "thaw")])
def test_what_was_not_frozen_in_time_is_let_go_on(refuses: tuple[str, ...]) -> None:
    domain = Domain(*refuses)
    assert not quiescing.freeze(domain)
    assert domain.asked == ["freeze", "thaw"]


def test_an_agent_that_does_not_answer_thaws_nothing() -> None:
    assert not quiescing.thaw(Domain("thaw"))
