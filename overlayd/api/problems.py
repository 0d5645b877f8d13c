"""Errors as answers: `{"problem": ..., "would_work": ...}`, with the status code that says whose they are."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, NotFoundException
from litestar.types import ExceptionHandlersMap

from overlayd.api.views import ProblemView
from overlayd.ports.peer import Busy
from overlayd.telemetry.logs import logger
from protocol.grid.problem import listed, quoted

_ROUTES = "/schema/openapi.json describes what there is"


class ApiProblem(Exception):
    """What was asked cannot be done. Nothing was changed, unless the text says so."""

    def __init__(self, status: int, problem: str, would_work: str = "") -> None:
        super().__init__(problem)
        self.status = status
        self.view = ProblemView(problem, would_work)


class ClientGone(Exception):
    """The client left before its request was whole. Nothing was changed, and nobody reads the answer."""


def no_such(
    kind: str, name: str, known: Sequence[str], would_work: str = "", place: str = ""
) -> ApiProblem:
    """A 404 that names what there is. `place` is where it was looked for."""
    names = list(dict.fromkeys(known))
    there = f"there are {listed(names)}" if names else "there is none yet"
    if len(names) == 1:
        there = f"there is {names[0]}"
    return ApiProblem(404, f"there is no {kind} {quoted(name)}{place}; {there}", would_work)


def _api_problem(_: Request[Any, Any, Any], error: ApiProblem) -> Response[ProblemView]:
    return Response(error.view, status_code=error.status)


def _busy(_: Request[Any, Any, Any], __: Busy) -> Response[ProblemView]:
    view = ProblemView("this peer has too much to do and took nothing in", "try again in a moment")
    return Response(view, status_code=503, headers={"Retry-After": "1"})


def _gone(_: Request[Any, Any, Any], __: ClientGone) -> Response[ProblemView]:
    return Response(ProblemView("the client went away"), status_code=400)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[ProblemView]:
    """The answer to what the framework itself refuses: routes, methods, sizes, shapes."""
    if isinstance(error, InternalServerException):
        if "disconnected" in error.detail:
            return _gone(request, ClientGone())
        return _bug(request, error)
    path, status = request.url.path, error.status_code
    if isinstance(error, NotFoundException):
        view = ProblemView(f"there is nothing at {path}", _ROUTES)
    elif status == 405:
        view = ProblemView(f"{request.method} cannot be asked of {path}", _ROUTES)
    elif status == 413:
        view = ProblemView(f"the body is larger than {path} accepts")
    else:
        view = ProblemView(_said(error), _ROUTES)
    return Response(view, status_code=status, headers=_kept(error.headers))


def _said(error: HTTPException) -> str:
    """Every mistake the framework found, as in `body: clusters[0].count: Expected int, got str`."""
    extra = error.extra if isinstance(error.extra, list) else []
    parts = [_part(item) for item in extra if isinstance(item, dict)]
    return "; ".join(parts) or f"body: {error.detail.removeprefix('JSON is malformed: ')}"


def _part(item: dict[str, Any]) -> str:
    source, key = item.get("source"), item.get("key")
    said = str(item.get("message", "")).replace("`", "")
    if key == "data":  # the framework's name for the body as a whole
        key = None
        said = "empty; JSON is expected" if said == "'data'" else said
    source = source.value if isinstance(source, Enum) else source
    return ": ".join(str(part) for part in (source, key, said) if part)


def _kept(headers: dict[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (headers or {}).items() if name.lower() == "allow"}


def _too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[ProblemView]:
    return Response(ProblemView("the body is nested too deeply"), status_code=400)


def _bug(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemView]:
    logger().error("api.failed", path=request.url.path, method=request.method, exc_info=error)
    said = f"{type(error).__name__} while answering {request.url.path}; this is a bug"
    return Response(ProblemView(said, "the daemon's log has the details"), status_code=500)


HANDLERS: ExceptionHandlersMap = {
    ApiProblem: _api_problem,
    Busy: _busy,
    ClientGone: _gone,
    HTTPException: _http,
    RecursionError: _too_deep,
    Exception: _bug,
}
