"""What `image add` reads: a file, standard input, or an address. The command fetches, never the daemon.

The standard library's HTTP client is enough for one download, and costs a short command no time to import.
"""

import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from overlayd.cli.failure import Failure, failure

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

STALLED_S = 60.0
"""A server that sends nothing for so long has stalled."""

REDIRECTS_MOST = 5
CHUNK_BYTES = 1 << 20
_AFTER_S = 2.0
_SCHEME = "://"


class Source(msgspec.Struct):
    """Something to read, with what is known of it."""

    chunks: Iterator[bytes]
    title: str
    """A short name, for people."""
    origin: str
    """What the image is said to be made from."""
    total_bytes: int | None
    """None: it is not known."""


class Transfer:
    """One import, or one file that is written. `id` is what the daemon is asked for."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(16)

    def sent(self, source: Source) -> Iterator[bytes]:
        """The source's bytes, as they go."""
        return source.chunks

    def came(self, chunks: Iterable[bytes], total_bytes: int, title: str) -> Iterator[bytes]:
        """Bytes from the daemon, as they come."""
        yield from chunks


@contextmanager
def opened(what: str) -> Iterator[Source]:
    """Opens a file, an address, or `-`. Raises Failure, also while it is read."""
    if what == "-":
        yield Source(_read(sys.stdin.buffer, "standard input"), "standard input", "", None)
    elif _SCHEME in what:
        with _fetched(what) as source:
            yield source
    else:
        path = Path(what)
        try:
            with path.open("rb") as file:
                size = path.stat().st_size if path.is_file() else None
                yield Source(_read(file, what), path.name, path.name, size)
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise failure(f"{what} cannot be read: {said}") from None


def _read(file: IO[bytes], what: str) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise failure(f"{what} cannot be read: {(error.strerror or str(error)).lower()}") from None


def is_fetched(address: str) -> bool:
    """Whether that is an address that is fetched: http or https, with a host."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


@contextmanager
def _fetched(address: str) -> Iterator[Source]:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError

    if not is_fetched(address):
        said = f"{address} is not fetched: only http and https are"
        raise failure(said, "a file's path as it is, or https://HOST/PATH")
    try:
        with _opener().open(address, timeout=STALLED_S) as answer:
            total = _length(answer)
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise failure(
                    f"{address}: its server sends it compressed though it was not asked to"
                )
            name = urlsplit(answer.url).path.rpartition("/")[2] or urlsplit(address).hostname or ""
            chunks = _carefully(_body(answer, address, total), address)
            yield Source(chunks, name, _public(answer.url), total)
    except _Refused as error:
        raise failure(f"{address}: {error}", "the address it means, if you trust it") from None
    except HTTPError as error:
        said = f"{address}: its server answers {error.code} {error.reason}"
        raise failure(said) from None
    except TimeoutError:
        raise _stalled(address) from None
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _stalled(address) from None
        raise failure(f"{address} cannot be fetched: {_why(error.reason)}") from None
    except (HTTPException, ValueError) as error:
        said = f"its server says something strange: {error}"
        raise failure(f"{address} cannot be fetched: {said}") from None
    except ConnectionError as error:
        raise failure(f"{address} cannot be fetched: {_why(error)}") from None


def _why(reason: object) -> str:
    if isinstance(reason, OSError):
        return (reason.strerror or str(reason)).lower()
    return str(reason)


def _stalled(address: str) -> Failure:
    said = f"{address}: its server sent nothing for {STALLED_S:g} s"
    return failure(said, "try again; or fetch it by another program and add the file")


def _public(address: str) -> str:
    """The address without what may be secret in it: a password, and a query's signature."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _length(answer: "HTTPResponse") -> int | None:
    said = answer.headers.get("Content-Length")
    if said is None:
        return None
    if not said.isdecimal() or len(said) > 15:
        raise _Refused(f"its server says it has {said[:40]!r} bytes")
    return int(said)


def _carefully(chunks: Iterator[bytes], address: str) -> Iterator[bytes]:
    """The same. What goes wrong with the network becomes a Failure: who sends it on knows no other."""
    try:
        yield from chunks
    except TimeoutError:
        raise _stalled(address) from None
    except OSError as error:
        said = f"{address} broke off: {(error.strerror or str(error)).lower()}"
        raise failure(said, "try again") from None


def _body(answer: "HTTPResponse", address: str, total: int | None) -> Iterator[bytes]:
    """The body. Raises Failure if it is shorter or longer than was said, or its server stalls."""
    if total is None or answer.chunked:
        yield from _whole(answer, address)
        return
    # Read beneath the client, which would stop at the length without a word and pass over what is behind it.
    raw, got = answer.fp, 0
    while got < total:
        data = raw.read(min(CHUNK_BYTES, total - got))
        if not data:
            said = f"{address} ended after {got} bytes, and {total} were said"
            raise failure(said, "try again")
        got += len(data)
        yield data
    if _goes_on(raw):
        raise failure(f"{address} goes on after the {total} bytes that were said")


def _whole(answer: "HTTPResponse", address: str) -> Iterator[bytes]:
    from http.client import IncompleteRead

    try:
        while data := answer.read(CHUNK_BYTES):
            yield data
    except IncompleteRead:
        raise failure(f"{address} ended in the middle", "try again") from None


def _goes_on(raw: IO[bytes]) -> bool:
    """Whether there is more behind the body. The server was asked to close the connection there."""
    import socket

    carrier = getattr(getattr(raw, "raw", None), "_sock", None)
    if isinstance(carrier, socket.socket):
        carrier.settimeout(_AFTER_S)
    try:
        return bool(raw.read(1))
    except OSError:
        return False


class _Refused(Exception):
    """The server asks for something that is not done."""


def _opener() -> "OpenerDirector":
    """An opener that knows http and https only, and follows a few redirects to these."""
    from http.client import HTTPMessage
    from urllib import request

    class Redirects(request.HTTPRedirectHandler):
        max_redirections = REDIRECTS_MOST
        max_repeats = REDIRECTS_MOST

        def redirect_request(
            self,
            req: request.Request,
            fp: IO[bytes],
            code: int,
            msg: str,
            headers: HTTPMessage,
            newurl: str,
        ) -> request.Request | None:
            if not is_fetched(newurl):
                said = "which is not fetched: only http and https are"
                raise _Refused(f"it redirects to {newurl[:200]}, {said}")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        Redirects(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "overlayctl"), ("Accept-Encoding", "identity")]
    return opener
