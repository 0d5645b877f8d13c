"""What a machine does by itself is told once, with its reason."""

from overlayd.ports.compute import MachineSeen, MachineState
from overlayd.realise.changes import Changes


def seen(state: MachineState, why: str = "", boot: int = 1, resets: int = 0) -> MachineSeen:
    return MachineSeen("m", "u", state, boot, 0.0, 1000, 1 << 20, why=why, resets=resets)


RUNS = seen(MachineState.RUNNING)
OVER = seen(MachineState.STOPPED, "powered off from inside")


def test_an_end_is_told_once_however_often_it_is_seen() -> None:
    changes = Changes()
    assert changes.news(RUNS, 1) == []
    assert changes.news(OVER, 1) == [("machine.ended", "powered off from inside")]
    assert changes.news(OVER, 1) == []
    assert changes.ended("m", 1) == "powered off from inside"


def test_each_end_is_told() -> None:
    changes = Changes()
    changes.news(OVER, 1)
    changes.started("m", 1)
    assert changes.ended("m", 1) == ""
    assert "after: powered off from inside" in changes.again("m", 1)
    assert changes.news(seen(MachineState.STOPPED, "its kernel panicked"), 1) == [
        ("machine.ended", "its kernel panicked")
    ]


def test_an_end_that_has_no_words_is_told_all_the_same() -> None:
    assert Changes().news(seen(MachineState.STOPPED), 1) == [
        ("machine.ended", "it ended by itself")
    ]


def test_the_end_of_another_start_is_a_persons_and_no_news() -> None:
    changes = Changes()
    assert changes.news(OVER, 2) == []
    assert changes.news(None, 2) == []
    changes.started("m", 2)
    assert changes.again("m", 2) == ""


def test_a_persons_restart_ends_the_talk_of_the_past() -> None:
    changes = Changes()
    changes.news(OVER, 1)
    changes.started("m", 1)
    assert changes.again("m", 1)
    changes.started("m", 2)
    assert changes.again("m", 2) == ""


def test_a_restart_from_inside_is_told_though_nothing_ended() -> None:
    changes = Changes()
    changes.news(RUNS, 1)
    again = seen(MachineState.RUNNING, resets=1)
    assert changes.news(again, 1) == [("machine.restarted", "its guest restarted itself")]
    assert changes.news(again, 1) == []


def test_what_is_forgotten_is_new_again() -> None:
    changes = Changes()
    changes.news(OVER, 1)
    changes.forget("m")
    assert changes.ended("m", 1) == ""
    assert len(changes.news(OVER, 1)) == 1
