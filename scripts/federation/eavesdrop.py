"""What somebody on the way between two hosts reads."""

import socket
import threading

from netns.kernel import namespaces

_ALL_FRAMES = 3
_RCVBUFFORCE = 33
_KEPT_BYTES = 16 << 20
_LOOK_S = 0.1


class Capture:
    """What crosses a link of a host (its namespace's name), from entering to leaving."""

    def __init__(self, host: str, link: str) -> None:
        self.frames: list[bytes] = []
        self._ends = threading.Event()
        self._ear = namespaces.inside(host, lambda: self._opened(link))
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._ear.close()

    def has(self, what: bytes) -> bool:
        """Whether any frame has that in it."""
        return any(what in frame for frame in self.frames)

    def sent_to(self, port: int) -> int:
        """Bytes that went to that UDP port."""
        wanted = port.to_bytes(2)
        return sum(len(f) for f in self.frames if f[12:14] == b"\x08\0" and f[36:38] == wanted)

    @staticmethod
    def _opened(link: str) -> socket.socket:
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
        ear.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _KEPT_BYTES)
        ear.bind((link, 0))
        ear.settimeout(_LOOK_S)
        return ear

    def _listen(self) -> None:
        while True:
            try:
                self.frames.append(self._ear.recv(1 << 16))
            except TimeoutError:
                if self._ends.is_set():
                    return
