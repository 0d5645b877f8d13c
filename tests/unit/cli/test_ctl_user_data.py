"""User-data from the command line: sent along, shown by digest and size, and never by what it says."""

import json

from asked_daemon import Daemon

from protocol.terms.ids import digest_of

SECRET = "correct-horse"
FILE = f"#cloud-config\npassword: {SECRET}\n".encode()
SHORT = digest_of(FILE)[:12]
SHOWN = f"{SHORT}, 38 B"
assert len(FILE) == 38


def with_user_data(daemon: Daemon, content: bytes = FILE) -> None:
    """The head of the daemon's grid has user-data, beside the grid file."""
    (daemon.folder / "head.yaml").write_bytes(content)
    text = daemon.grid_file.read_text()
    if "user-data" not in text:
        head = "  head:\n    image: guest\n"
        daemon.grid_file.write_text(text.replace(head, f"{head}    user-data: head.yaml\n"))


def test_an_up_sends_it_and_the_grid_shows_its_digest_and_size(daemon: Daemon) -> None:
    with_user_data(daemon)
    said = daemon.ask("up", daemon.grid_file)
    assert "demo is up: 3 workspaces" in said.stdout
    ((key, digests),) = daemon.host.attachments.kept().items()
    assert digests == (digest_of(FILE),)
    shown = daemon.ask("show", "demo").stdout
    assert f"user-data   head {SHORT} (38 B)\n" in shown
    view = json.loads(daemon.ask("show", "demo", "--output", "json").stdout)
    assert view["files"] == [
        {"cluster": "head", "digest": digest_of(FILE), "size_bytes": len(FILE)}
    ]
    everything = said.stdout + said.stderr + shown + json.dumps(view)
    everything += daemon.ask("explain", "demo").stdout + daemon.ask("events").stdout
    assert SECRET not in everything
    assert len(key) == 20


def test_a_plan_shows_it_and_sends_nothing(daemon: Daemon) -> None:
    with_user_data(daemon)
    assert f"  user-data of head: {SHOWN}\n" in daemon.ask("plan", daemon.grid_file).stdout
    assert daemon.host.attachments.kept() == {}


def test_a_quote_has_it_for_its_up(daemon: Daemon) -> None:
    with_user_data(daemon)
    answer = daemon.ask("plan", daemon.grid_file, "--quote", "--output", "json").stdout
    quote = json.loads(answer)["id"]
    (daemon.folder / "head.yaml").unlink()
    assert "demo is up" in daemon.ask("up", "--quote", quote).stdout


def test_no_wait_sends_it_too(daemon: Daemon) -> None:
    with_user_data(daemon)
    daemon.ask("up", daemon.grid_file, "--no-wait")
    assert len(daemon.host.attachments.kept()) == 1


def test_a_file_that_no_guest_can_use_is_refused_at_its_line(daemon: Daemon) -> None:
    with_user_data(daemon, b"#include\nhttp://example.org/\n")
    error = daemon.ask("up", daemon.grid_file, code=2).stderr
    assert "demo.yaml:10:16: clusters.head.user-data: " in error
    assert "head.yaml is a #include, which is not sent as it is" in error
    assert "cloud-init devel make-mime" in error
    assert daemon.host.view.requests() == []


def test_a_changed_file_is_a_difference(daemon: Daemon) -> None:
    with_user_data(daemon)
    daemon.ask("up", daemon.grid_file)
    with_user_data(daemon, FILE + b"# more\n")
    plan = daemon.ask("plan", daemon.grid_file)
    assert "~ head-1 user-data" in plan.stdout
    assert SECRET not in plan.stdout + plan.stderr
