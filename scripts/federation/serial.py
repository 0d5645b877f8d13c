"""A guest's shell on its serial console, asked by programs."""

import contextlib
import socket
import time

ANSWERS_S = 60.0
"""How long a guest has for an answer: emulated, on a busy machine."""


class SerialConsole:
    """What a guest that has booted says when it is asked by its serial console."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.settimeout(0.2)
        self._asked = 0

    def ask(self, command: str) -> str:
        """Runs a command there, and answers what it writes. Raises TimeoutError."""
        self._asked += 1
        mark = f"={self._asked}="
        self._socket.sendall(f"stty -echo; echo '{mark}'; {command}; echo '{mark}'\n".encode())
        text, give_up_s = "", time.monotonic() + ANSWERS_S
        while len(parts := text.split(f"{mark}\r\n")) < 3:
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{command}: {text!r}")
            with contextlib.suppress(TimeoutError):
                text += self._socket.recv(4096).decode(errors="replace")
        return parts[1].strip()

    def close(self) -> None:
        """Lets another have it."""
        self._socket.close()
