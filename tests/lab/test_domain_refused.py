"""libvirt refuses a machine: its words are shown, it is tried again, and `down` leaves nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders, traces
from federation.launch import wait_for
from loopback import Daemons, image_file, make_daemons

from overlayd.adapters.credentials import load_host
from overlayd.assembly import OWNER_TAG
from protocol.requesting.request import RequestState
from protocol.terms.ids import short_hash
from protocol.trust.order import Action

WORDS = "linux kernel too old to load a ram disk"


@pytest.fixture
def real(folder: Path) -> Iterator[Daemons]:
    """One host with a real hypervisor, and an image whose kernel is none."""
    daemons = make_daemons(folder, ("ams",), "qemu:///embed")
    with daemons:
        daemons.start_all()
        host = daemons.hosts["h1"]
        daemons.image = orders.add_image(host, image_file(folder / "image", kernel=b"no kernel"))
        daemons.wait_image_known()
        yield daemons


def retries(daemons: Daemons) -> float:
    lines = daemons.hosts["h1"].ask("GET", "metrics").text.splitlines()
    return next(
        (float(x.split()[1]) for x in lines if x.startswith('overlayd_shell{what="failed"')), 0
    )


def test_what_libvirt_says_is_shown_and_down_leaves_nothing(real: Daemons) -> None:
    host = real.hosts["h1"]
    identity = real.identity("ams")
    request = orders.give(host, orders.up(identity, orders.spec("broken", real.image, 2), host))

    def failed() -> bool:
        view = orders.grid(host, "broken")
        return view is not None and all(row.phase == "failed" for row in view.workspaces)

    wait_for(failed, 30, "both workspaces say that they failed")
    wait_for(lambda: retries(real) >= 2, 30, "it is tried again")
    shown = real.ctl("h1", "--output", "json", "show", "broken").stdout
    rows = json.loads(shown)["workspaces"]
    assert [WORDS in row["detail"] for row in rows] == [True, True], shown
    assert "libvirt says" in shown
    assert orders.view(host, request).state is RequestState.RUNNING
    wait_for(lambda: traces.guests(host) == {}, 30, "nothing is left of a try")
    gone = orders.obeyed(host, orders.signed(identity, Action.DOWN, "broken"))
    assert gone.state is RequestState.DONE, gone.answer
    real.wait_nothing_left()
    tag = short_hash(load_host(identity / "hosts" / "h1").identity.key, digits=OWNER_TAG)
    assert traces.of_host(host) + traces.of_machine([tag]) == []
    assert orders.answer(host, request).state is RequestState.FAILED
