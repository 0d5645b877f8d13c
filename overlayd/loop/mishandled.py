"""What becomes of an event that the node, or the shell, fails on: it is written down, and never handled again.

A failure in the midst of an event leaves the state half changed. Nothing goes on from there: the daemon begins
anew from its disk, without the event, and guests run on. Before that it has on disk: the event and the trace,
bounded, for who mends the fault; and who answers for it (protocol/node/verdict.py).
"""

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path

from overlayd.ports.store import Put, Store, StoreError
from overlayd.telemetry.logs import logger
from protocol.node.events import Arrived, Event
from protocol.node.verdict import Verdict, judge, rows_against, site_of
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.identity import Identity
from protocol.wire.envelope import pack

FOLDER = "mishandled"
KEPT = 16
"""So many events are kept for people; the oldest go."""
TRACE_CHARACTERS = 32 << 10
AGAIN_S, AGAIN_MOST_S = 1.0, 60.0
"""The pause before the daemon begins anew, if it did so lately: twice as long each time, up to the second."""
LATELY_S = 600.0


class Mishandled(Exception):
    """An event was not handled to its end, so that no state of this process can be trusted any more."""

    def __init__(self, event: Event, cause: BaseException) -> None:
        super().__init__(f"{type(event).__name__}: {type(cause).__name__}: {cause}"[:400])
        self.event, self.cause = event, cause
        self.again_s = 0.0
        """How many seconds to wait before another life begins."""


class Notebook:
    """Writes down what was mishandled, below one state directory."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    async def write(
        self,
        store: Store,
        failed: Mishandled,
        judged: PeerId | None,
        identity: Identity,
        known: Callable[[KeyId], str],
        now: float,
    ) -> float:
        """Has it all on disk. Answers how many seconds to wait before beginning anew.

        `known` answers the site of a peer that was met; empty if it was not.
        """
        why = ascii(str(failed))
        verdict = judge(failed.event, failed.cause, judged, identity.verifier)
        site = _site(failed.event, verdict, known, identity, now)
        peer = (verdict.owner or verdict.peer or "")[:12]
        logger().critical("event.mishandled", what=why, peer=peer, exc_info=failed.cause)
        try:
            against = rows_against(verdict, await store.load(), why, now, site)
            puts = [Put(row.table, row.key, row.value) for row in against]
            await store.write(puts, must=True)
        except StoreError as error:
            logger().error("event.mishandled.not-kept", error=str(error))
        return await asyncio.to_thread(self._keep, failed, now)

    def _keep(self, failed: Mishandled, now: float) -> float:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            kept = sorted(self._folder.glob("*.txt"))
            lately = sum(now - path.stat().st_mtime < LATELY_S for path in kept)
            for path in kept[: max(0, len(kept) + 1 - KEPT)]:
                path.unlink(missing_ok=True)
                path.with_suffix(".frame").unlink(missing_ok=True)
            number = int(kept[-1].stem) + 1 if kept else 1
            path = self._folder / f"{number:06d}.txt"
            path.write_text(_text(failed, now), encoding="utf-8", errors="backslashreplace")
            if frame := _frame(failed.event):
                path.with_suffix(".frame").write_bytes(frame)
        except (OSError, ValueError) as error:
            logger().error("event.mishandled.not-kept", error=str(error))
            return AGAIN_S
        return min(AGAIN_S * 2.0 ** min(lately, 10), AGAIN_MOST_S) if lately else 0.0


def _site(
    event: Event,
    verdict: Verdict,
    known: Callable[[KeyId], str],
    identity: Identity,
    now: float,
) -> str:
    """Whose host answers; empty if that cannot be told, since what is asked may be what failed."""
    try:
        return site_of(event, verdict, known, identity, now)
    except Exception as error:  # whatever it is, the rest is to be written down
        logger().error("event.mishandled.no-site", exc_info=error)
        return ""


def _text(failed: Mishandled, now: float) -> str:
    trace = "".join(traceback.format_exception(failed.cause))[-TRACE_CHARACTERS:]
    event = ascii(failed.event)[:TRACE_CHARACTERS]
    return f"at {now:.3f}\n{str(failed)!a}\n\n{trace}\n{event}\n"


def _frame(event: Event) -> bytes:
    """The frame that brought the event, as far as it can be written again; none if none did."""
    if not isinstance(event, Arrived):
        return b""
    try:
        return pack(event.message, event.cause[:64])
    except (ValueError, OverflowError, TypeError):
        return b""
