"""The forwarder's process: `python -m netns.tunnel --tunnel-of=RUN_DIRECTORY --user=UID [--in-python]`.

The parent ends when the child listens. The child gives up its rights and forwards until a signal ends it.
"""

import os
import sys
from pathlib import Path

from netns.failures import NetnsError
from netns.tunnel import confine, native_loops, process
from netns.tunnel.control import Control
from netns.tunnel.forwarder import Forwarder
from netns.tunnel.loop import Loop

_READY = b"ready"


def main(words: list[str]) -> int:
    """Exit status of the parent; the child never returns."""
    directory = process.directory_marked(words[0])
    uid = int(words[1].removeprefix("--user="))
    hears, tells = os.pipe()
    if os.fork():
        os.close(tells)
        if os.read(hears, len(_READY)) == _READY:
            return 0
        print(process.last_words(directory.parent), file=sys.stderr)
        return 1
    os.close(hears)
    _become_a_daemon(directory)
    _forward(directory, uid, tells, native_loops.is_built and process.IN_PYTHON not in words)
    return 0


def _become_a_daemon(directory: Path) -> None:
    os.setsid()
    log = os.open(directory / "log", os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, number)
    os.close(nothing)
    os.close(log)


def _forward(directory: Path, uid: int, tells: int, native: bool) -> None:
    starter = os.geteuid()
    instance = int.from_bytes(os.urandom(6)) | 1
    listener = process.listener(directory)
    process.note(directory, instance)
    loop = Loop()
    forwarder = Forwarder(instance, loop.watch, native)
    control = Control(listener, forwarder.answer, loop.watch, starter)
    confine.enter(uid, directory / process.EMPTY)
    os.write(tells, _READY)
    os.close(tells)
    loop.run(control.expire)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NetnsError as error:
        sys.exit(f"the forwarder of sealed networks did not start: {error}")
