"""Where a passphrase comes from: the terminal, a file, or the environment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from overlayd.adapters.nacl_keys import read_private_file, read_small_file
from overlayd.adapters.passphrases import PASSPHRASE_BYTES_MAX, WrongPassphraseError
from overlayd.cli.failure import INTERRUPTED, USAGE, failure
from overlayd.ports.keys import KeyFileError

T = TypeVar("T")

VARIABLE = "OVERLAYD_PASSPHRASE"
_TRIES = 3

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar=f"{VARIABLE}_FILE",
        help=f"File whose first line is the passphrase; {VARIABLE} may have it, too.",
        show_default=False,
        readable=False,
    ),
]


def new_passphrase(name: str, file: Path | None, variable: str = VARIABLE) -> str:
    """The passphrase for a key; empty if none is wanted. A person types it twice. Raises Failure.

    `variable` of the environment may have it, if it is not empty.
    """
    passphrase = _given(file, variable)
    if passphrase is None:
        _require_terminal(f"{name} is to have a passphrase", ", or --no-passphrase")
        passphrase = _typed(f"new passphrase for {name}, empty for none", "the same again")
    if len(passphrase.encode()) > PASSPHRASE_BYTES_MAX:
        raise failure(f"a passphrase has at most {PASSPHRASE_BYTES_MAX} bytes", code=USAGE)
    return passphrase


def with_passphrase(name: str, file: Path | None, use: Callable[[Callable[[], str]], T]) -> T:
    """What `use` answers, to which this gives the passphrase if it asks for it. Raises Failure.

    A person may be wrong twice. A file is not asked again.
    """
    given = _given(file)

    def ask() -> str:
        if given is not None:
            return given
        _require_terminal(f"{name} has a passphrase")
        return _typed(f"passphrase for {name}")

    left = 1 if given is not None else _TRIES
    while True:
        try:
            return use(ask)
        except WrongPassphraseError:
            left -= 1
        if not left:
            times = "" if given is not None else f", {_TRIES} times"
            raise failure(f"wrong passphrase for {name}{times}; nothing was done")
        typer.echo("that is not it", err=True)


def there_is_a_terminal() -> bool:
    """Whether a person can be asked, whatever standard input is."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _given(file: Path | None, variable: str = VARIABLE) -> str | None:
    """The passphrase that a script gives; None if it gives none. Raises Failure."""
    if file is None and variable and (named := os.environ.get(f"{variable}_FILE")):
        file = Path(named)  # Commands without the option are given it so.
    if file is None:
        return os.environ.get(variable)
    try:
        # `--passphrase-file <(pass show star)` is a pipe.
        text = read_small_file(file) if file.is_fifo() else read_private_file(file)
    except KeyFileError as error:
        raise failure(str(error), code=USAGE) from None
    return text.partition("\n")[0].removesuffix("\r")


def _typed(prompt: str, again: str = "") -> str:
    try:
        typed: str = typer.prompt(
            prompt,
            default="" if again else None,
            hide_input=True,
            confirmation_prompt=again or False,
            show_default=False,
            err=True,
        )
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        raise failure("no passphrase was typed; nothing was done", code=INTERRUPTED) from None
    return typed


def _require_terminal(said: str, other: str = "") -> None:
    if not there_is_a_terminal():
        raise failure(
            f"{said}, and there is no terminal to ask on",
            f"--passphrase-file FILE, or {VARIABLE} in the environment{other}",
            USAGE,
        )
