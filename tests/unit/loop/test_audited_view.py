"""An order that opens something here has a line in the audit log, whatever comes of it."""

from typing import Any

import pytest

from overlayd.loop.audited_view import AuditedView
from protocol.node.rows import NoCommit, NoConsole, NoStream
from protocol.stream.messages import Why
from protocol.terms.effects import Audit
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Reason, Untrusted

ORDER, VIA = SignedOrder(b"order", b"", ()), PeerId("b" * 64)


class View:
    """A view that answers, or refuses for that reason."""

    def __init__(self, refuses: Exception | None = None) -> None:
        self._refuses = refuses

    def _answer(self, *asked: Any) -> tuple[Any, ...]:
        if self._refuses is not None:
            raise self._refuses
        return asked

    console = commit = stream_way = _answer

    def is_gone(self, peer: PeerId) -> bool:
        return peer == VIA

    def audited(
        self, what: str, order: SignedOrder, via: PeerId, now: float, forbids: str
    ) -> Audit:
        assert (order, via, now) == (ORDER, VIA, 5.0)
        return Audit(what, not forbids, forbids)


def opened(view: View, what: str) -> tuple[Any, list[Audit]]:
    lines: list[Audit] = []
    audited = AuditedView(view, lines.append)  # type: ignore[arg-type]  # as much of one as it needs
    assert audited.is_gone(VIA)
    ask = {
        "console": audited.console,
        "commit": audited.commit,
        "connect": audited.stream_way,
    }[what]
    try:
        return ask(ORDER, VIA, 5.0), lines
    except Exception as error:
        return error, lines


@pytest.mark.parametrize("what", ["console", "commit", "connect"])
def test_what_is_opened(what: str) -> None:
    answer, lines = opened(View(), what)
    assert answer[:3] == (ORDER, VIA, 5.0)
    assert lines == [Audit(what, True)]


@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        ("console", NoConsole("this host does not carry g")),
        ("commit", NoCommit("no name")),
        ("connect", NoStream(Why.REFUSED, "of another peer")),
        ("console", Untrusted(Reason.BAD_SIGNATURE, "not signed")),
        ("connect", NoStream(Why.ENDED, "")),
    ],
)
def test_what_is_refused_is_still_refused(what: str, refusal: Exception) -> None:
    answer, lines = opened(View(refusal), what)
    assert answer is refusal
    assert lines == [Audit(what, False, str(refusal) or "nothing more")]
