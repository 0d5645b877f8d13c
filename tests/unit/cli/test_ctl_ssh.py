"""OpenSSH is given a way to the workspace, and a key to know it by."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from asked_daemon import Daemon

from overlayd.cli import ssh as module
from overlayd.cli.ssh import _remote, program

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0cE3kH2Yc7l0kHn9m8r8f0oQh3b1m1Zc2d3e4f5g6h"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The words of the program that the command runs."""
    words: list[str] = []

    def call(argv: list[str]) -> int:
        words.extend(argv)
        return 0

    monkeypatch.setattr(module.subprocess, "call", call)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return words


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workspaces that have told their host keys."""
    rows = module.reached

    def with_key(session: module.Session, target: str) -> module.Reached:
        found = rows(session, target)
        return msgspec.structs.replace(
            found, row=msgspec.structs.replace(found.row, host_keys=(KEY,))
        )

    monkeypatch.setattr(module, "reached", with_key)


def option(words: list[str], name: str) -> str:
    (found,) = [word for word in words if word.startswith(f"{name}=")]
    return found.partition("=")[2]


def test_ssh_knows_the_machine_and_the_way(
    daemon: Daemon, ran: list[str], told: None, tmp_path: Path
) -> None:
    daemon.up()
    daemon.ask("ssh", "demo/head-1", "-l", "me", "-i", "/k", "--", "uname", "-a")
    (grid,) = daemon.host.view.grids(daemon.host.now())
    assert Path(ran[0]).name == "ssh"
    alias = option(ran, "HostKeyAlias")
    assert alias == f"head-1.{grid.grid}"
    assert Path(option(ran, "UserKnownHostsFile")).read_text() == f"{alias} {KEY}\n"
    assert option(ran, "StrictHostKeyChecking") == "yes"
    proxy = option(ran, "ProxyCommand")
    assert proxy.endswith(f" connect {grid.grid}/head-1 22")
    assert f"--peer {daemon.socket} --identity {daemon.host.site_dir}" in proxy
    assert ran[-8:] == ["-i", "/k", "-l", "me", "head-1", "--", "uname", "-a"]


def test_a_machine_whose_key_is_not_known_is_not_trusted(daemon: Daemon, ran: list[str]) -> None:
    daemon.up()
    said = daemon.ask("ssh", "demo/head-1", code=1).stderr
    assert said.startswith("error: demo/head-1 has not told its host key (yet)")
    assert "--accept-new" in said
    assert ran == []
    daemon.ask("ssh", "demo/head-1", "--accept-new")
    assert option(ran, "StrictHostKeyChecking") == "accept-new"
    assert ran[-3:] == ["-l", "root", "head-1"]


def test_a_path_is_copied_there_or_back(daemon: Daemon, ran: list[str], told: None) -> None:
    daemon.up()
    daemon.ask("cp", "-r", "some:file", "demo/head-1:/srv/", "-l", "me")
    assert Path(ran[0]).name == "scp"
    assert ran[-4:] == ["-r", "--", "./some:file", "me@head-1:/srv/"]
    ran.clear()
    daemon.ask("cp", "demo/head-1:results", "/tmp/x")
    assert ran[-3:] == ["--", "root@head-1:results", "/tmp/x"]


def says_user(daemon: Daemon, user: str) -> None:
    """The image says who logs in to its guests."""
    daemon.ask("image", "add", daemon.folder / "guest.img", "--name", "guest", "--user", user)
    daemon.up()


def test_who_logs_in_is_whom_the_image_names(daemon: Daemon, ran: list[str], told: None) -> None:
    says_user(daemon, "debian")
    daemon.ask("ssh", "demo/head-1")
    assert ran[-3:] == ["-l", "debian", "head-1"]
    daemon.ask("cp", "data", "demo/head-1:/srv/")
    assert ran[-1] == "debian@head-1:/srv/"
    assert "    User debian\n" in daemon.ask("ssh-config", "demo").stdout
    daemon.ask("ssh", "demo/head-1", "-l", "me")
    assert ran[-3:] == ["-l", "me", "head-1"]
    assert "user      debian\n" in daemon.ask("image", "show", "guest").stdout


def test_a_user_that_is_none_is_refused_before_the_image_is_sent(daemon: Daemon) -> None:
    said = daemon.ask("image", "add", "x.img", "--user", "-oProxyCommand=sh", code=2).stderr
    assert said.startswith('error: --user: "-oProxyCommand=sh" is no name of a user\n')
    assert "would work: a letter, then" in said


@pytest.mark.parametrize("paths", [("a", "b"), ("demo/head-1:a", "demo/worker-1:b")])
def test_one_side_of_a_copy_is_here(daemon: Daemon, paths: tuple[str, str]) -> None:
    daemon.up()
    said = daemon.ask("cp", *paths, code=2).stderr
    assert said.startswith("error: one of the two is GRID/WORKSPACE:PATH")


@pytest.mark.parametrize(
    ("text", "is_remote"),
    [
        ("star/head-1:/srv", True),
        ("star/head-1:", True),
        ("ams/star/head-1:x", True),
        ("file", False),
        ("a:b", False),
        ("./a/b:c", False),
        ("/a/b:c", False),
        ("a/b", False),
    ],
)
def test_what_is_there_and_what_is_here(text: str, is_remote: bool) -> None:
    assert bool(_remote(text)[0]) is is_remote


def test_ssh_reads_the_entries(daemon: Daemon, tmp_path: Path) -> None:
    daemon.up()
    file = tmp_path / "config"
    file.write_text(daemon.ask("ssh-config", "demo", "-l", "me").stdout)
    read = subprocess.run(
        ["ssh", "-G", "-F", str(file), "demo-worker-2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.splitlines()
    said = dict(line.partition(" ")[::2] for line in read)
    (grid,) = daemon.host.view.grids(daemon.host.now())
    assert said["user"] == "me"
    assert said["hostkeyalias"] == f"worker-2.{grid.grid}"
    assert said["stricthostkeychecking"] == "true"
    assert said["proxycommand"].endswith(f"connect {grid.grid}/worker-2 22")
    assert said["knownhostscommand"].endswith(f"host-keys {grid.grid}/worker-2")
    assert str(daemon.socket) in said["proxycommand"]


def test_a_name_that_is_none_is_no_entry(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.up()
    seen = module.view_of

    def forged(session: module.Session, grid: str) -> module.GridView:
        view = seen(session, grid)
        (row,) = (row for row in view.workspaces if row.workspace == "head-1")
        evil = msgspec.structs.replace(row, workspace="x\n    ProxyCommand sh\nHost *-1")
        return msgspec.structs.replace(view, workspaces=(evil, row))

    monkeypatch.setattr(module, "view_of", forged)
    lines = daemon.ask("ssh-config", "demo").stdout.splitlines()
    assert [line for line in lines if line.startswith("Host ")] == ["Host demo-head-1"]


def test_host_keys_are_lines_of_known_hosts(daemon: Daemon, told: None) -> None:
    daemon.up()
    (grid,) = daemon.host.view.grids(daemon.host.now())
    assert daemon.ask("host-keys", "demo/head-1").stdout == f"head-1.{grid.grid} {KEY}\n"


def test_a_machine_that_told_no_host_key_has_none_to_print(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("host-keys", "demo/head-1", code=1)
    assert said.stdout == ""
    assert said.stderr.startswith("error: demo/head-1 has not told its host key (yet)")


def test_ssh_calls_the_very_program_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "overlayctl").touch()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "overlayctl")])
    assert program() == [str(tmp_path / "overlayctl")]
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert program() == [sys.executable, "-m", "overlayd.cli.entry"]


def test_its_exit_code_is_handed_on_and_a_key_that_is_not_taken_is_explained(
    daemon: Daemon, ran: list[str], told: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.up()
    monkeypatch.setattr(module.subprocess, "call", lambda _: 7)
    assert daemon.ask("ssh", "demo/head-1", "--", "exit 7", code=7).stderr == ""
    monkeypatch.setattr(module.subprocess, "call", lambda _: 255)
    said = daemon.ask("ssh", "demo/head-1", code=255).stderr
    assert "-i names the one `up --ssh-key` was given; it was asked for root" in said


def test_without_openssh_it_is_said(
    daemon: Daemon, told: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    daemon.up()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    said = daemon.ask("ssh", "demo/head-1", code=1).stderr
    assert said == "error: ssh is not on this host\n  would work: apt install openssh-client\n"
