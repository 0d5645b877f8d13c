"""One request and one answer, as values."""

import msgspec


class Request(msgspec.Struct, frozen=True):
    """What a guest asks. Header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first of that name; empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Answer(msgspec.Struct, frozen=True):
    """What it is told."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


def text(said: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Lines for people and shells."""
    return Answer(status, said.encode(), headers=headers)


def as_json(said: object) -> Answer:
    """A value that is plain already. Of a large grid `json` would take 30 ms of the loop each time."""
    written = msgspec.json.format(msgspec.json.encode(said), indent=2)
    return Answer(200, written + b"\n", "application/json")


def problem(status: int, said: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Why it is not told, and what would work."""
    return text(f"{said}\n", status, headers)
