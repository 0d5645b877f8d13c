"""The daemon's API over its Unix socket, synchronously, with errors a person can act on."""

import os
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from overlayd.api.views import VERSION, ProblemView
from overlayd.cli.failure import Failure, failure
from overlayd.config.places import API_SOCKET

T = TypeVar("T")

DEFAULT_SOCKET = Path(API_SOCKET)
ANSWER_WITHIN_S = 30.0
_CONNECT_WITHIN_S = 5.0
_PIECE_BYTES = 1 << 20

_NAME_IT = "start overlayd on this host, or name its socket with --peer or OVERLAYD_SOCKET"


NOT_FOUND = 404
AMBIGUOUS = 409
"""The API's answer where a name is of several grids."""


class Refused(Failure):
    """The daemon answered, and the answer is no."""

    def __init__(self, status: int, view: ProblemView) -> None:
        lines = [view.problem]
        if view.would_work:
            lines.append(f"  would work: {view.would_work}")
        super().__init__(lines)
        self.status = status


class Unreachable(Failure):
    """Nothing answered, or the answer stopped in the middle."""


class Client:
    """One daemon, with a connection for each question. Every method raises Refused or Unreachable.

    It uses the standard library's HTTP client. People wait for a command, and it takes longer to import a
    larger client than to get the daemon's answer.
    """

    def __init__(self, path: Path, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self.path = path
        self._within_s = answer_within_s

    def get(self, path: str, kind: type[T], params: dict[str, str] | None = None) -> T:
        """An answer as a value."""
        return decoded(self.raw("GET", path, params=params), kind)

    def raw(
        self,
        method: str,
        path: str,
        content: bytes | Iterable[bytes] | None = None,
        params: dict[str, str] | None = None,
        within_s: float | None = ANSWER_WITHIN_S,
    ) -> bytes:
        """An answer's bytes. With `within_s` None it waits as long as it takes."""
        within_s = within_s and min(within_s, self._within_s)
        with self._asked(method, path, content, params or {}, within_s) as answer:
            return answer.read()

    def post(
        self, path: str, body: msgspec.Struct, kind: type[T], params: dict[str, str] | None = None
    ) -> T:
        """Sends a struct as JSON, and answers the answer as a value."""
        return decoded(self.raw("POST", path, msgspec.json.encode(body), params), kind)

    def lines(self, path: str, params: dict[str, str]) -> Iterator[bytes]:
        """The lines of an answer as they come, endlessly if the answer has no end."""
        with self._asked("GET", path, None, params, None) as answer:
            for line in answer:
                if line := line.rstrip(b"\r\n"):
                    yield line

    @contextmanager
    def duplex(self, path: str, first: bytes) -> Iterator["Duplex"]:
        """A request whose body goes on while its answer is read. `first` is what the body begins with."""
        connection = _Connection(self.path, self._within_s)
        with self._errors():
            try:
                connection.putrequest("POST", f"/{VERSION}{quote(path)}")
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders()
                duplex = Duplex(connection)
                # A daemon that refuses it says why before it has read all of it.
                with suppress(BrokenPipeError, ConnectionResetError):
                    duplex.send(first)
                duplex.begin()
                yield duplex
            finally:
                connection.close()

    @contextmanager
    def body(self, path: str, params: dict[str, str]) -> Iterator[tuple[int, Iterator[bytes]]]:
        """How many bytes an answer has, and the bytes as they come; fewer if it breaks off."""
        with self._asked("GET", path, None, params, None) as answer:
            yield int(answer.headers.get("Content-Length", 0)), _pieces(answer)

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        content: bytes | Iterable[bytes] | None,
        params: dict[str, str],
        within_s: float | None,
    ) -> Iterator[HTTPResponse]:
        """A successful answer, to be read."""
        target = f"/{VERSION}{quote(path)}" + (f"?{urlencode(params)}" if params else "")
        connection = _Connection(self.path, within_s)
        with self._errors():
            try:
                # A daemon that refuses a long body says why before it has read all of it.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, target, content)
                answer = connection.getresponse()
                _require_success(answer)
                yield answer
            finally:
                connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _NobodyThere as nobody:
            raise Unreachable(_why(self.path, str(nobody)).lines) from None
        except TimeoutError:
            said = f"the daemon on {self.path} did not answer within {self._within_s:.0f} s"
            raise Unreachable([said, "  would work: look at its log; try again"]) from None
        except (ConnectionError, HTTPException):
            said = f"the daemon on {self.path} went away in the middle"
            again = "  would work: try again when it runs; repeating an order is safe"
            raise Unreachable([said, again]) from None


class Duplex:
    """Both directions of one request. One thread sends, one reads."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self._answer: HTTPResponse | None = None

    def begin(self) -> None:
        """Waits until the daemon has accepted it; from then on it waits as long as it takes. Raises Refused."""
        self._answer = self._connection.getresponse()
        _require_success(self._answer)
        self._connection.sock.settimeout(None)

    def send(self, data: bytes) -> None:
        """Sends bytes, at least one. Raises OSError."""
        self._connection.sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self) -> None:
        """Nothing more will be sent. Raises OSError."""
        self._connection.sock.sendall(b"0\r\n\r\n")

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer if the answer ends before."""
        assert self._answer is not None
        return self._answer.read(size)


def _pieces(answer: HTTPResponse) -> Iterator[bytes]:
    while data := answer.read(_PIECE_BYTES):
        yield data


class _NobodyThere(Exception):
    """No connection was made."""


class _Connection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path, within_s: float | None) -> None:
        super().__init__("overlayd")
        self._path, self._within_s = path, within_s

    def connect(self) -> None:
        """Raises _NobodyThere."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CONNECT_WITHIN_S)
        try:
            self.sock.connect(str(self._path))
        except OSError as error:
            raise _NobodyThere(error.strerror or str(error)) from None
        self.sock.settimeout(self._within_s)


def decoded(raw: bytes, kind: type[T]) -> T:
    """An answer as a value. Raises Failure if the daemon speaks another version."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = f"the daemon's answer is not understood: {error}"
        raise failure(said, "overlayctl of the daemon's own version") from None


def _require_success(answer: HTTPResponse) -> None:
    if 200 <= answer.status < 300:
        return
    try:
        view = msgspec.json.decode(answer.read(), type=ProblemView)
    except (msgspec.DecodeError, UnicodeDecodeError):
        view = ProblemView(f"the daemon answered {answer.status} {answer.reason}")
    raise Refused(answer.status, view)


def _why(path: Path, error: str) -> Failure:
    """Why nothing answers there, from what the file system says."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return failure(f"no daemon answers on {path}: there is no such socket", _NAME_IT)
    except OSError as problem:
        return failure(f"{path} cannot be reached: {(problem.strerror or '').lower()}", _NAME_IT)
    if not stat.S_ISSOCK(found.st_mode):
        return failure(f"{path} is not a socket", _NAME_IT)
    if not os.access(path, os.R_OK | os.W_OK):
        mode = stat.S_IMODE(found.st_mode)
        said = f"you may not use {path}: its mode is {mode:04o}, its group {_group(found.st_gid)}"
        return failure(said, "being in that group ([api] group names another), or root")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            said = f"no daemon answers on {path}: its socket is there, but nobody listens"
            return failure(said, _NAME_IT)
        except OSError as problem:
            error = problem.strerror or str(problem)
    return failure(f"{path} cannot be reached: {error.lower()}", _NAME_IT)


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
