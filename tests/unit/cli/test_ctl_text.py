"""Text of strangers on any terminal: nothing in it is obeyed, and what cannot be shown ends no command."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from asked_daemon import Daemon

TOLD = "caf\u00e9 \u65e5\u672c \U0001f600 \x1b]0;owned\x07 \x9b2J \u202etxt.exe \x7f"


@pytest.fixture
def told(daemon: Daemon) -> Daemon:
    """A daemon with such an event."""
    daemon.call(lambda: daemon.host.tell("news", "thing", TOLD, "cause"))
    return daemon


def events(daemon: Daemon, form: str, encoding: str) -> str:
    env = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": encoding}
    words = ["--peer", str(daemon.socket), "-o", form, "events"]
    asked = [sys.executable, "-m", "overlayd.cli.entry", *words]
    ran = subprocess.run(asked, capture_output=True, env=env, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    shown = ran.stdout.decode("utf-8" if encoding == "ascii" else encoding)
    assert all(c == "\n" or c.isprintable() for c in shown), "nothing that terminals obey"
    return shown


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("ascii", ""), ("latin-1", "caf\u00e9 \\u65e5\\u672c"), ("utf-8", "caf\u00e9 \u65e5\u672c")],
)
def test_events_are_shown_by_any_terminal(told: Daemon, encoding: str, name: str) -> None:
    shown = events(told, "table", encoding)
    assert "?]0;owned? ?2J ?txt.exe ?" in shown
    assert name in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_programs_read_the_same_text_whatever_the_terminal(told: Daemon, encoding: str) -> None:
    text = events(told, "json", encoding)
    assert json.loads(text.splitlines()[-1])["detail"] == TOLD
    assert text.isascii() is (encoding != "utf-8")
    documents = list(yaml.safe_load_all(events(told, "yaml", encoding)))
    assert documents[-1]["detail"] == TOLD
