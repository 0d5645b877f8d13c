"""What SECURITY.md claims names the tests that hold it, and each of these exists."""

import ast
import re

from test_house import TOP

NAMED = re.compile(r"`(tests/[\w./-]+)(?:::(\w+))?`")
"""A file or folder of tests, and a test in it, as SECURITY.md writes them."""
SECURITY = (TOP / "SECURITY.md").read_text()
GUARDED, LEFT = SECURITY.split("\n## What is not guarded yet\n")


def defined(path: str) -> set[str]:
    """The names of all functions in a file of tests."""
    tree = ast.parse((TOP / path).read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(SECURITY)
    assert len(named) > 60, "claims name their tests"
    gone = [f"{path}::{test}" for path, test in named if not (TOP / path).exists()]
    gone += [
        f"{path}::{test}"
        for path, test in named
        if test and (TOP / path).is_file() and test not in defined(path)
    ]
    assert gone == []


def test_no_test_is_named_without_its_file() -> None:
    loose = re.findall(r"(?<![\w/.-])(?:\.\.\.)?::test_\w+|`test_\w+`", SECURITY)
    assert loose == [], "the full name, tests/FILE.py::TEST, so that it can be run as it stands"


def test_each_section_of_what_holds_names_tests() -> None:
    sections = GUARDED.split("\n## ")[1:]
    bare = [text.splitlines()[0] for text in sections if not NAMED.search(text)]
    assert set(bare) <= {"How to report", "Who is who"}


def test_each_claim_of_a_table_names_a_test() -> None:
    tables = [table for table in GUARDED.split("\n\n") if re.match(r"\| .* \| test \|\n", table)]
    rows = [row for table in tables for row in table.strip().splitlines()[2:]]
    assert len(rows) > 50
    assert [row for row in rows if not NAMED.search(row.rstrip(" |").rpartition(" | ")[2])] == []
