"""What the health column of `overlayctl peers` says besides a peer's health."""

import msgspec
import pytest
from asked_daemon import Daemon

from overlayd.cli.overlay import _health

DAY_S = 86400.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "alive"),
        ({"certificate_s": None}, "alive"),
        ({"health": "self"}, "this one"),
        ({"quarantine_s": 90.0}, "alive, refused 1.5 min"),
        ({"certificate_s": 3 * DAY_S}, "alive, certificate ends in 3 d"),
        ({"health": "self", "certificate_s": -5.0}, "this one, certificate ended"),
        (
            {"quarantine_s": 30.0, "certificate_s": 60.0},
            "alive, refused 30 s, certificate ends in 1 min",
        ),
    ],
)
def test_health_in_words(daemon: Daemon, changes: dict[str, object], says: str) -> None:
    (row,) = daemon.host.view.peers(daemon.host.now())
    assert row.certificate_s is not None
    assert 89 * DAY_S < row.certificate_s <= 90 * DAY_S
    assert _health(msgspec.structs.replace(row, **{"health": "alive", **changes})) == says
