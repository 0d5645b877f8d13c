"""libvirt's event loop, once per process, in a thread of its own.

libvirt takes one event loop implementation per process, for good: registering another is ignored.
libvirtaio binds it to one asyncio loop, and a process that runs a second loop (tests do) then waits
for ever. A thread running libvirt's own loop has no such tie; what it learns is handed to whichever
asyncio loop asked.
"""

import threading

import libvirt

_started = threading.Lock()
_thread: threading.Thread | None = None


def ensure_event_loop() -> None:
    """Starts it the first time; must come before any connection is opened."""
    global _thread
    with _started:
        if _thread is not None:
            return
        # Without a handler libvirt prints every error to stderr before we can say it better.
        libvirt.registerErrorHandler(_say_nothing, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _thread.start()


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _say_nothing(_context: object, _error: object) -> None:
    return
