"""`overlayctl ssh`, `cp` and `ssh-config`: OpenSSH, by way of the overlay, to machines with known keys.

OpenSSH does what it does everywhere. It is given a way there (ProxyCommand: `overlayctl connect`), a name for
the machine's key (HostKeyAlias), and the key itself as the machine told it its own host when it was ready. So
nobody is asked to trust on first use.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from overlayd.api.views import GridView
from overlayd.cli.completing import complete_grid
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.life import One
from overlayd.cli.naming import grid_of
from overlayd.cli.reaching import Reached, reached, view_of
from overlayd.cli.session import Session, session_of
from overlayd.cli.words import NAME, clean
from protocol.node.rows import WorkspaceRow
from protocol.terms.login import LOGIN_PATTERN

_USER = "root"
_NO_CONNECTION = 255
"""OpenSSH's exit code for all that is wrong before a command has run."""

User = Annotated[
    str, typer.Option("--user", "-l", help="Who to log in as; who its image says, else root.")
]
Key = Annotated[
    Path | None,
    typer.Option("--key", "-i", help="A private key; otherwise those that ssh uses anyway."),
]
AcceptNew = Annotated[
    bool,
    typer.Option(
        "--accept-new", help="Trust the key it shows the first time, if it has told none."
    ),
]


def ssh(
    context: typer.Context,
    target: One,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="What to run there.")
    ] = None,
    user: User = "",
    key: Key = None,
    accept_new: AcceptNew = False,
) -> None:
    """Logs in to a workspace, wherever it runs, or runs a command there.

    No route, open port or public address is needed. Its host key is known from itself.

    Example: overlayctl ssh star/head-1

    Example: overlayctl ssh star/head-1 -- uname -a
    """
    session = session_of(context)
    to = reached(session, target)
    who = user or _login(to.row)
    words = [*_options(session, to, key, accept_new), "-l", who, to.workspace]
    _run("ssh", [*words, "--", *command] if command else words, who)


def cp(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A path here, or GRID/WORKSPACE:PATH.")],
    destination: Annotated[str, typer.Argument(help="A path here, or GRID/WORKSPACE:PATH.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="A directory with all that is in it.")
    ] = False,
    user: User = "",
    key: Key = None,
    accept_new: AcceptNew = False,
) -> None:
    """Copies a file or a directory to a workspace, or from one.

    Example: overlayctl cp data.csv star/head-1:/srv/

    Example: overlayctl cp -r star/head-1:/srv/results .
    """
    session = session_of(context)
    there = [target for text in (source, destination) if (target := _remote(text)[0])]
    if len(there) != 1:
        said = "one of the two is GRID/WORKSPACE:PATH, and the other a path here"
        raise failure(said, "overlayctl cp data.csv star/head-1:/srv/", USAGE)
    to = reached(session, there[0])
    words = _options(session, to, key, accept_new)
    words += ["-r"] if recursive else []
    who = user or _login(to.row)
    paths = (_scp_path(text, f"{who}@{to.workspace}") for text in (source, destination))
    _run("scp", [*words, "--", *paths], who)


def ssh_config(
    context: typer.Context,
    grid: Annotated[
        str, typer.Argument(help="A grid's name, SITE/NAME or id.", autocompletion=complete_grid)
    ],
    user: User = "",
    key: Key = None,
) -> None:
    """Prints entries for ~/.ssh/config, so that ssh, scp, rsync, Ansible and editors reach a grid by name.

    Each workspace is a host named GRID-WORKSPACE. The entries say which daemon and identity are used.

    Example: overlayctl ssh-config star >> ~/.ssh/config
    """
    session = session_of(context)
    view = view_of(session, grid_of(session, grid))
    for row in view.workspaces:
        # A name that is none may come from a stranger: ssh would take its second line for an order.
        names = (view.grid.name, view.grid.grid, row.workspace)
        if row.address and all(NAME.fullmatch(name) for name in names):
            typer.echo(_entry(session, view, row, user, key))


def host_keys(context: typer.Context, target: One) -> None:
    """Prints the host keys that a workspace has told, as lines of a known_hosts file.

    For ssh's KnownHostsCommand; `ssh-config` uses it, so that a key that changed is known.

    Example: overlayctl host-keys star/head-1
    """
    to = reached(session_of(context), target)
    known = _known(to)
    if not known:
        raise _untold(to)
    for line in known:
        typer.echo(line)


def _login(row: WorkspaceRow) -> str:
    """Who logs in to a workspace if nobody is named. What is no name may come from a stranger."""
    return row.login if row.login and re.fullmatch(LOGIN_PATTERN, row.login) else _USER


def _entry(session: Session, view: GridView, row: WorkspaceRow, user: str, key: Path | None) -> str:
    to = Reached(view.grid.grid, view.grid.name, row.workspace, row)
    target = f"{to.grid}/{to.workspace}"
    lines = [
        f"Host {to.name}-{to.workspace}",
        f"    User {user or _login(row)}",
        *([f"    IdentityFile {key.absolute()}"] if key is not None else []),
        f"    HostKeyAlias {to.alias}",
        "    StrictHostKeyChecking yes",
        "    UserKnownHostsFile none",
        "    GlobalKnownHostsFile none",
        f"    KnownHostsCommand {called_again(session, 'host-keys', target)}",
        f"    ProxyCommand {called_again(session, 'connect', target, '22')}",
    ]
    return "\n".join(lines) + "\n"


def _options(session: Session, to: Reached, key: Path | None, accept_new: bool) -> list[str]:
    """What OpenSSH is told of a workspace. Raises Failure if its key is not known."""
    known = _known(to)
    folder = _folder()
    if known:
        file = folder / to.alias
        file.write_text("".join(f"{line}\n" for line in known))
    elif accept_new:
        file = folder / "accepted"
    else:
        raise _untold(to, "; or --accept-new, which trusts the key it shows now")
    options = {
        "ProxyCommand": called_again(session, "connect", f"{to.grid}/{to.workspace}", "22"),
        "HostKeyAlias": to.alias,
        "UserKnownHostsFile": str(file),
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes" if known else "accept-new",
        "UpdateHostKeys": "no",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return [*words, *(["-i", str(key)] if key is not None else [])]


def _known(to: Reached) -> list[str]:
    """Lines of a known_hosts file. What is no key is not among them: a guest says what it likes."""
    keys = (clean(line).split() for line in to.row.host_keys)
    return [f"{to.alias} {key[0]} {key[1]}" for key in keys if len(key) >= 2]


def _untold(to: Reached, otherwise: str = "") -> Exception:
    said = f"{to.name}/{to.workspace} has not told its host key (yet), so it cannot be known again"
    return failure(said, f"try again when it is `ready`{otherwise}")


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "overlayd" / "known_hosts"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise failure(f"{folder}: {why}", "XDG_CACHE_HOME names another place") from None
    return folder


def _remote(text: str) -> tuple[str, str]:
    """Workspace and path; no workspace if it is a path here."""
    target, colon, path = text.partition(":")
    is_remote = colon and "/" in target and not target.startswith((".", "/"))
    return (target, path) if is_remote else ("", text)


def _scp_path(text: str, who: str) -> str:
    target, path = _remote(text)
    if target:
        return f"{who}:{path}"
    # A name with a colon would be taken for another host's.
    return path if path.startswith(("/", ".")) else f"./{path}"


def _run(tool: str, words: list[str], user: str) -> None:
    """Runs OpenSSH, and ends with its exit code. Raises Failure if it is not here."""
    found = shutil.which(tool)
    if found is None:
        raise failure(f"{tool} is not on this host", "apt install openssh-client")
    # Ctrl-C is its business: a handler, unlike an ignored signal, is not handed down to it.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.call([found, *words])
    finally:
        signal.signal(signal.SIGINT, before)
    if code == _NO_CONNECTION:
        asked = f"it was asked for {user}; cloud images have another, as -l debian"
        typer.echo(
            f"  if it took no key: -i names the one `up --ssh-key` was given; {asked}", err=True
        )
    raise typer.Exit(code)


def program() -> list[str]:
    """The words by which this program is called again, from anywhere."""
    called = Path(sys.argv[0])
    if called.name == "overlayctl" and called.is_file():
        return [str(called.absolute())]
    return [sys.executable, "-m", "overlayd.cli.entry"]


def called_again(session: Session, *words: str) -> str:
    """A command line for ssh that calls this program with the same daemon and identity."""
    options = ["--peer", str(session.socket.absolute())]
    if session.identity is not None:
        options += ["--identity", str(session.identity.absolute())]
    if session.acting:
        acting = session.acting
        options += ["--as", str(Path(acting).absolute()) if "/" in acting else acting]
    # A percent sign is ssh's own.
    return shlex.join([*program(), *options, *words]).replace("%", "%%")
