"""`overlayctl image commit`: it asks until it is over, and says what came of it."""

from pathlib import Path

import pytest
from asked_daemon import Daemon

from overlayd.cli import commits
from protocol.image.commit import CommitStage, CommitTerms, CommitView
from protocol.node.messages import CommitTold
from protocol.trust.order import Action, read_order
from protocol.wire.codec import decode

DONE = CommitView(CommitStage.DONE, 0, 0, "it was paused", "d" * 64, 300 << 20)


def told(*views: CommitView) -> list[CommitTold]:
    return [CommitTold("", view, "") for view in views]


@pytest.fixture
def up(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setattr(commits, "EVERY_S", 0.0)
    daemon.up()
    return daemon


def test_it_is_asked_until_it_is_done(up: Daemon) -> None:
    hashing = CommitView(CommitStage.HASH, 40, 100)
    up.host.commit_told = told(CommitView(CommitStage.WAITS), hashing, DONE)
    said = up.ask("image", "commit", "demo/head-1", "--name", "mine").stdout
    assert said == f"made mine  300 MiB  {'d' * 64}\n  it was paused\n"
    orders = [read_order(signed) for signed in up.host.commits_asked]
    assert [(order.action, order.workspace) for order in orders] == [(Action.COMMIT, "head-1")] * 3
    terms = {decode(order.body, CommitTerms) for order in orders}
    assert [one.name for one in terms] == ["mine"], "each order names the same commit"
    assert len({order.nonce for order in orders}) == 3, "and none is kept around"


def test_its_answer_is_data_where_that_is_wanted(up: Daemon) -> None:
    up.host.commit_told = told(DONE)
    said = up.ask("-o", "json", "image", "commit", "demo/head-1", "--name", "mine").stdout
    assert f'"digest": "{"d" * 64}"' in said


def test_why_none_was_made_is_told(up: Daemon) -> None:
    up.host.commit_told = told(CommitView(CommitStage.FAILED, detail="no room; once more works"))
    error = up.ask("image", "commit", "demo/head-1", "--name", "mine", code=1).stderr
    assert error == "error: no image was made of demo/head-1: no room; once more works\n"


def test_a_host_that_refuses_is_told_with_its_name(up: Daemon) -> None:
    up.host.commit_told = [CommitTold("", CommitView(CommitStage.FAILED), "it does not carry it")]
    error = up.ask("image", "commit", "demo/head-1", "--name", "mine", code=1).stderr
    assert "makes no image of demo/head-1: it does not carry it" in error


@pytest.mark.parametrize("name", ["/etc/passwd", "", "n" * 64])
def test_a_name_that_no_image_may_have_is_refused_at_once(up: Daemon, name: str) -> None:
    error = up.ask("image", "commit", "demo/head-1", "--name", name, code=1).stderr
    assert "an image's name is 1 to 63" in error
    assert up.host.commits_asked == []


def test_a_workspace_that_is_not_there_is_told(up: Daemon, tmp_path: Path) -> None:
    error = up.ask("image", "commit", "demo/head-9", "--name", "mine", code=1).stderr
    assert "head-9" in error
