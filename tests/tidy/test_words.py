"""What is written for people: each room lists its files, every text can be read by itself, lines stay short."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_house import SOURCES, TOP, tracked

UNLISTED: tuple[str, ...] = ()
"""Top folders whose READMEs do not name all files yet. May only shrink."""

UNWRAPPED: tuple[str, ...] = ()
"""Top folders whose READMEs still have long lines. May only shrink."""

LINE_MOST = 120

ELSEWHERE = re.compile(r"\bissue\s+\d|\bthe\s+design\b|\bcustomer's\s+card\b", re.IGNORECASE)
"""Texts that a reader of this repository does not have: give the reason itself."""

ROOMS = sorted({path.parent for path in SOURCES})
TEXTS = [
    path
    for path in tracked(".md", ".py", ".toml", ".sh")
    if not path.is_relative_to(TOP / "tests" / "tidy")
]
PAGES = [path for path in tracked(".md") if path.name == "README.md" or path.parent == TOP]


def _of(path: Path, folders: tuple[str, ...]) -> bool:
    return path.relative_to(TOP).parts[0] in folders


def _name(path: Path) -> str:
    return str(path.relative_to(TOP))


def unnamed(room: Path) -> list[str]:
    """The room's files that its README does not name; a path to another room's file names nothing here."""
    readme = room / "README.md"
    text = readme.read_text() if readme.exists() else ""
    files = [p.name for p in SOURCES if p.parent == room and p.name != "__init__.py"]
    return [name for name in files if not re.search(rf"(?<![\w./]){re.escape(name)}\b", text)]


def long_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines of prose above LINE_MOST, by number. Rows of tables, code and what a link leads to do not count."""
    fenced, code, blank = False, False, True
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        code = line.startswith("    ") and (blank or code)
        blank = not line.strip()
        if fence or fenced or code or line.startswith("|"):
            continue
        if len(re.sub(r"\]\([^)\s]*\)|https?://\S+", "", line)) > LINE_MOST:
            yield number, line


@pytest.mark.parametrize("room", [r for r in ROOMS if not _of(r, UNLISTED)], ids=_name)
def test_a_room_names_each_of_its_files(room: Path) -> None:
    assert unnamed(room) == [], f"{_name(room)}/README.md has a line for each file"


def test_no_text_refers_to_one_that_the_reader_does_not_have() -> None:
    found = [
        f"{_name(path)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path in TEXTS
        for text in [path.read_text()]
        for match in ELSEWHERE.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize("page", [p for p in PAGES if not _of(p, UNWRAPPED)], ids=_name)
def test_prose_is_wrapped(page: Path) -> None:
    found = [f"{_name(page)}:{number}: {line}" for number, line in long_lines(page.read_text())]
    assert found == []


def test_what_is_excepted_still_needs_it() -> None:
    """An exception that nothing needs any more would let the next file go unnamed."""
    needless = [
        folder for folder in UNLISTED if not any(unnamed(r) for r in ROOMS if _of(r, (folder,)))
    ]
    needless += [
        folder
        for folder in UNWRAPPED
        if not any(any(long_lines(p.read_text())) for p in PAGES if _of(p, (folder,)))
    ]
    assert needless == []


def test_the_files_that_the_architecture_names_are_there() -> None:
    text = (TOP / "ARCHITECTURE.md").read_text()
    files = [_name(path) for path in tracked(".py")]
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", text)
    assert len(named) > 30, "a newcomer follows a request through the files"
    missing = [name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)]
    assert missing == []
