"""libvirt's event loop, once per process, in a thread of its own.

libvirt takes one event loop implementation for a process, for good, and ignores any other. libvirtaio binds it
to one asyncio loop, so a process that runs a second loop (tests do) waits for ever. A thread that runs
libvirt's own loop has no such tie. What it learns is handed to the asyncio loop that asked.
"""

import threading

import libvirt

_started = threading.Lock()
_thread: threading.Thread | None = None


def ensure_event_loop() -> None:
    """Starts the loop the first time. It must come before any connection is opened."""
    global _thread
    with _started:
        if _thread is not None:
            return
        # Without a handler libvirt prints every error to stderr, before we can say it better.
        libvirt.registerErrorHandler(_say_nothing, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _thread.start()


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _say_nothing(_context: object, _error: object) -> None:
    return
