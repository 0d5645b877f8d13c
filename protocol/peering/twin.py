"""Whether another process uses this peer's own key.

Others hand this peer every presence that was signed with its key and that it did not sign itself. An earlier
life, on a disk that was lost, leaves one or two of those. A process that lives answers each presence of this
one with a newer one. So a process that was newer TWIN_SIGNS times, since this one began, is a twin: a cloned
machine, a daemon started twice, or a thief. Each presence is signed with the key, so nobody else can pretend.

Twins would answer each other as quickly as the network carries it. So one that knows of the other answers only
every TWIN_ANSWERS_S, which is enough for everybody to see both.
"""

from protocol.terms.limits import TWIN_ANSWERS_S, TWIN_LASTS_S, TWIN_SIGNS, TWINS_WATCHED


class Twin:
    """What is known of another process with this peer's key."""

    def __init__(self, process: str) -> None:
        self.process = process
        """This process's own name."""
        self.address = ""
        """Where the twin says it is; empty if it listens nowhere."""
        self._newer: dict[str, list[int]] = {}
        """By process that is not this one: the incarnations in which it was newer."""
        self._at_s = self._answered_s = float("-inf")

    def seen(self, process: str, address: str, incarnation: int, now: float) -> bool:
        """Another process was at least as new as this one. True if it is a twin, which was not known before."""
        if not process or process == self.process:
            return False
        signs = self._newer.setdefault(process, [])
        if len(self._newer) > TWINS_WATCHED:
            del self._newer[next(iter(self._newer))]
        if incarnation not in signs:
            signs.append(incarnation)
            del signs[:-TWIN_SIGNS]
        if len(signs) < TWIN_SIGNS:
            return False
        known = self.lives(now)
        self._at_s, self.address = now, address
        return not known

    def lives(self, now: float) -> bool:
        """Whether there is a twin, as far as was seen lately."""
        return now < self._at_s + TWIN_LASTS_S

    def answers_s(self, now: float) -> float:
        """When to be newer than the other again: at once, unless it is a twin that was answered lately."""
        return max(now, self._answered_s + TWIN_ANSWERS_S) if self.lives(now) else now

    def answered(self, now: float) -> None:
        """This process became newer."""
        self._answered_s = now
