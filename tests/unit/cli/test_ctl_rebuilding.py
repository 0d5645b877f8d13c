"""rebuild says what it throws away, asks, and is refused where there is nothing to throw away."""

from asked_daemon import Daemon


def test_it_asks_first_and_says_what_asks_nobody(daemon: Daemon) -> None:
    daemon.up()
    assert daemon.ask("rebuild", "demo/head-1", code=2).stderr == (
        "error: rebuild throws the root disk of demo/head-1 away: what was written there is lost\n"
        "  would work: overlayctl rebuild demo/head-1 --yes\n"
    )


def test_an_appliance_has_nothing_to_throw_away(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("rebuild", "demo/head-1", "--yes", code=1)
    assert "head-1 boots from an appliance, guest: it has no root disk" in said.output
    assert "would work: `overlayctl restart` starts it anew" in said.output
    said = daemon.ask("rebuild", "demo/head-1", "--image", "guest", "--yes", code=2)
    assert "image guest is an appliance, which boots without a root disk" in said.output


def test_an_image_that_is_not_there_is_named(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("rebuild", "demo/head-1", "--image", "gest", "--yes", code=2)
    assert "--image: " in said.output
    assert "guest" in said.output


def test_now_pulls_the_plug(daemon: Daemon) -> None:
    daemon.up()
    restarted = daemon.ask("restart", "demo/worker-1", "--now").stdout
    assert restarted.endswith("demo/worker-1: restart done\n")
    (row,) = daemon.host.node.host.leases.rows()
    assert {w.workspace: w.at_once for w in row.wanted}["worker-1"]
    assert daemon.ask("down", "demo", "--now", "--delete-volumes").stdout.endswith("demo is gone\n")
