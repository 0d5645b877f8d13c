"""A host that cannot start guests finds out before it offers anything, says so, and is given nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders
from federation.launch import wait_for
from loopback import Daemons, image_file, make_daemons

from protocol.requesting.request import RequestState

NO_GROUPS = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup; exec "$@"', "sh")
"""Starts a program that finds no control groups on its machine."""


@pytest.fixture
def bare(folder: Path) -> Iterator[Daemons]:
    """One host with a real hypervisor and without control groups."""
    daemons = make_daemons(folder, ("ams",), "qemu:///embed")
    daemons.hosts["h1"].prefix = NO_GROUPS
    with daemons:
        daemons.start_all()
        daemons.image = orders.add_image(daemons.hosts["h1"], image_file(folder / "image"))
        yield daemons


def test_a_host_without_control_groups_is_given_nothing_and_says_why(bare: Daemons) -> None:
    host = bare.hosts["h1"]
    said = "it cannot start guests: "

    def why() -> str:
        """By its API: a command would run where the daemon does, without control groups."""
        return str(host.get("status")["no_room_why"])  # type: ignore[index]

    wait_for(lambda: why().startswith(said), 30, "it says so")
    assert "controller" in why(), "in libvirt's words"
    view = orders.obeyed(
        host, orders.up(bare.identity("ams"), orders.spec("new", bare.image, 2), host)
    )
    assert view.state is RequestState.FAILED
    answer = "\n".join(view.answer)
    assert f"unfit: {said}" in answer
    assert "would work: mend those hosts" in answer
    assert bare.left() == []
