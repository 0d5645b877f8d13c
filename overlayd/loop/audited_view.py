"""Where orders lead that open something on this host, with a line in the audit log about each answer."""

from collections.abc import Callable
from typing import TypeVar

from protocol.image.commit import CommitTerms
from protocol.node.rows import NoCommit, NoConsole, NoStream, StreamWay
from protocol.node.snapshot import PeerView
from protocol.terms.effects import Audit
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

T = TypeVar("T")


class AuditedView:
    """The view's answers to such orders."""

    def __init__(self, view: PeerView, put: Callable[[Audit], None]) -> None:
        self._view, self._put = view, put

    def console(self, order: SignedOrder, via: PeerId, now: float) -> tuple[GridId, str]:
        """As the view's. Raises Untrusted or NoConsole."""
        return self._asked("console", order, via, now, lambda: self._view.console(order, via, now))

    def commit(
        self, order: SignedOrder, via: PeerId, now: float
    ) -> tuple[GridId, str, CommitTerms]:
        """As the view's. Raises Untrusted or NoCommit."""
        return self._asked("commit", order, via, now, lambda: self._view.commit(order, via, now))

    def stream_way(
        self, order: SignedOrder, via: PeerId, now: float, kept: StreamWay | None = None
    ) -> StreamWay:
        """As the view's. Raises Untrusted or NoStream."""
        return self._asked(
            "connect", order, via, now, lambda: self._view.stream_way(order, via, now, kept)
        )

    def is_gone(self, peer: PeerId) -> bool:
        """As the view's."""
        return self._view.is_gone(peer)

    def _asked(
        self, what: str, order: SignedOrder, via: PeerId, now: float, ask: Callable[[], T]
    ) -> T:
        try:
            found = ask()
        except (Untrusted, NoConsole, NoCommit, NoStream) as error:
            self._put(self._view.audited(what, order, via, now, str(error) or "nothing more"))
            raise
        self._put(self._view.audited(what, order, via, now, ""))
        return found
