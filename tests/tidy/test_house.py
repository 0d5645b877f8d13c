"""House rules that no linter knows."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "netns", "overlayd")
LINES_MOST = 500
"""The most lines of a file. Files grow where state meets I/O; a longer one is redrawn."""
SHAPELESS = re.compile(r"(utils?|helpers?|common|base|managers?|misc)\.py")


def tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [TOP / name for name in listed if name.endswith(suffixes) and (TOP / name).exists()]


SOURCES = [p for p in tracked(".py") if p.relative_to(TOP).parts[0] in PACKAGES]


def test_there_are_sources_to_hold_to_the_rules() -> None:
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(TOP)))
def test_a_module_gives_each_of_its_constants_one_value(path: Path) -> None:
    """The second of two would silently be the first one's, too."""
    names = [
        target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
    assert len(names) == len(set(names)), names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(TOP)))
def test_a_module_says_what_it_is_for_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module begins with what it is for"
    assert len(text.splitlines()) <= LINES_MOST
    assert not SHAPELESS.fullmatch(path.name), "a name that says nothing collects everything"


def test_every_room_has_a_readme() -> None:
    rooms = {path.parent for path in SOURCES if len(path.relative_to(TOP).parts) == 3}
    bare = [str(r.relative_to(TOP)) for r in sorted(rooms) if not (r / "README.md").exists()]
    assert bare == []


def reached_into(path: Path) -> list[str]:
    """Private names of others that a file uses: `other._name`, where `other` is not `self` or `cls`."""
    return [
        f"{path.relative_to(TOP)}:{node.lineno} .{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]


def test_the_simulator_reaches_into_a_node_through_its_doors_alone() -> None:
    rooms = [path for path in SOURCES if path.relative_to(TOP).parts[:2] == ("protocol", "sim")]
    doors = [path for path in rooms if path.name == "doors.py"]
    assert reached_into(doors[0]), "a test that finds nothing there finds nothing elsewhere"
    assert [found for path in rooms if path not in doors for found in reached_into(path)] == []


def test_test_files_have_unique_names() -> None:
    names = [p.name for p in tracked(".py") if p.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_requirements_are_pinned_and_hashed_and_name_no_index() -> None:
    text = (TOP / "requirements.txt").read_text()
    pins = re.findall(r"^[a-z0-9][\w.-]*==\S+ \\$", text, re.M)
    assert len(pins) > 30
    assert len(re.findall(r"^[a-z0-9][\w.-]*==", text, re.M)) == len(pins), (
        "each pin goes on to a hash"
    )
    assert "://" not in text
    assert "index-url" not in text.replace("no-emit-index-url", "")


def test_no_test_is_left_out() -> None:
    marks = re.compile(r"mark\.(skip|xfail)\b|pytest\.(skip|xfail)\(")
    found = [
        f"{path.relative_to(TOP)}: {line.strip()}"
        for path in tracked(".py")
        if path.relative_to(TOP).parts[0] == "tests" and path != Path(__file__)
        for line in path.read_text().splitlines()
        if marks.search(line)
    ]
    assert found == []


def test_commands_of_the_readme_exist() -> None:
    text = (TOP / "README.md").read_text()
    for command in re.findall(r"^    \./(scripts/\S+)", text, re.M):
        path = TOP / command
        assert path.exists(), command
        assert path.stat().st_mode & 0o100, f"{command} has no run bit"
