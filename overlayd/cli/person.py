"""The person who acts in a run of overlayctl: whom `--as` names, or the only one there is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from overlayd.adapters import identities, people
from overlayd.adapters.identities import Ask
from overlayd.adapters.people import Person
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.passphrase import with_passphrase
from overlayd.ports.keys import KeyFileError


@contextmanager
def errors() -> Iterator[None]:
    """Says in one line what cannot be done, with exit code 1."""
    try:
        yield
    except KeyFileError as error:
        raise failure(str(error)) from None


def folder_of(acting: str) -> Path:
    """The folder of an identity by name or folder, or of the only one. Raises Failure if nobody is meant."""
    if acting:
        with errors():
            return identities.folder_of(acting)
    known = identities.names()
    if len(known) == 1:
        return identities.folder_of(known[0])
    have = f"there are {', '.join(known)}" if known else "there is no identity yet"
    works = "--as NAME, or OVERLAYD_AS" if known else "overlayctl identity create NAME"
    raise failure(f"this needs an identity to act as, and none was named; {have}", works, USAGE)


def person_of(acting: str) -> Person:
    """Who acts, by a login if there is one; else the passphrase is asked for. Raises Failure."""
    return _loaded(acting, None, people.load_person)


def issuer_of(acting: str, file: Path | None) -> Person:
    """Who acts, with the identity's own key, which alone can pass something on. Raises Failure."""
    return _loaded(acting, file, people.load_itself)


def _loaded(acting: str, file: Path | None, load: Callable[[Path, Ask, float], Person]) -> Person:
    folder = folder_of(acting)
    with errors():
        return with_passphrase(folder.name, file, lambda ask: load(folder, ask, time.time()))
