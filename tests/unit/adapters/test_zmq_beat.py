"""Beats when idle, ends what is silent, and forgives everybody after a sleep of its own."""

from typing import Any

from overlayd.adapters.zmq_beat import BEAT, BEAT_S, PULSE_S, SILENCE_S, Heart
from protocol.terms.ids import PeerId


class Loop:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        """What the heart told of it."""
        self._next: tuple[float, Any] = (0.0, None)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Any) -> Any:
        self._next = (when, call)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._next[0] <= end:
            self.now, call = self._next
            call()
        self.now = end

    def sleep(self, seconds: float) -> None:
        """The process is stopped, or gets no core, so that its timer comes late."""
        self.now += seconds
        self._next[1]()


class Path:
    """One end; what it says is heard, if the other end lives."""

    peer, instance = PeerId("a" * 64), b"12345678"

    def __init__(self, loop: Loop, dialled: bool = True) -> None:
        self._loop, self.dialled = loop, dialled
        self.heard_s = self.said_s = self.beat_s = loop.now
        self.sent: list[float] = []
        self.cuts: list[str] = []
        self.answers = True

    def send(self, frame: bytes) -> bool:
        assert frame == BEAT
        self.sent.append(self._loop.now)
        self.said_s = self._loop.now
        if self.answers:
            self.heard_s = self._loop.now
        return True

    def cut(self, why: str = "") -> None:
        self.cuts.append(why)


def world(dialled: bool = True) -> tuple[Loop, Path, Heart]:
    loop = Loop()
    path = Path(loop, dialled)
    return loop, path, Heart(loop, lambda: [path], loop.slept.append)  # type: ignore[arg-type]


def test_an_idle_path_is_beaten_on_at_intervals_by_who_dialled() -> None:
    loop, path, _ = world()
    loop.run(10 * BEAT_S + PULSE_S)
    assert 8 <= len(path.sent) <= 10
    assert not path.cuts
    loop, path, _ = world(dialled=False)
    loop.run(SILENCE_S - PULSE_S)
    assert not path.sent


def test_nothing_is_added_where_both_speak_anyway() -> None:
    loop, path, _ = world()
    for _ in range(20):
        loop.run(1.0)
        path.heard_s = path.said_s = loop.now
    assert not path.sent


def test_speaking_without_being_answered_does_not_count() -> None:
    loop, path, _ = world()
    path.answers = False
    for _ in range(int(SILENCE_S + 1)):
        loop.run(1.0)
        path.said_s = loop.now
    assert len(path.cuts) >= 1


def test_silence_ends_a_path_on_both_sides() -> None:
    for dialled in (True, False):
        loop, path, _ = world(dialled)
        path.answers = False
        loop.run(SILENCE_S - PULSE_S)
        assert not path.cuts
        loop.run(2 * PULSE_S)
        assert path.cuts[0].startswith("silent for 4.5")


def test_after_a_sleep_of_its_own_it_listens_before_it_judges() -> None:
    loop, path, heart = world(dialled=False)
    loop.sleep(60.0)
    assert loop.slept == [60.0 - PULSE_S]
    assert not path.cuts
    assert heart.lateness_s > 0
    loop.run(SILENCE_S)
    assert not path.cuts


def test_who_is_late_is_slow_to_judge_until_it_is_on_time_again() -> None:
    loop, path, heart = world(dialled=False)
    for _ in range(4):
        loop.sleep(PULSE_S + 1.0)
    assert heart.lateness_s >= 1.0
    assert not path.cuts
    loop.run(3.0)
    path.heard_s = loop.now
    loop.run(SILENCE_S + 2 * PULSE_S)
    assert path.cuts
