"""What scripts/mutate changes in a source, and what it leaves alone."""

import ast
from pathlib import Path

import pytest
from mutants.operators import Mutant, mutants

TOP = Path(__file__).resolve().parents[3]


def made(source: str) -> set[str]:
    """The text of each mutant of `source`."""
    texts = []
    for index in range(len(mutants(ast.parse(source)))):
        tree = ast.parse(source)
        mutants(tree)[index].make()
        compile(tree, "mutant", "exec")
        texts.append(ast.unparse(tree))
    assert len(texts) == len(set(texts)), "two mutants are the same"
    return set(texts)


def found(source: str) -> list[Mutant]:
    return mutants(ast.parse(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if a:\n    b", {"if not a:\n    b"}),
        ("if not a:\n    b", {"if a:\n    b"}),
        ("while a:\n    b", {"while not a:\n    b"}),
        ("a if b else c", {"a if not b else c"}),
        ("[a for a in b if a]", {"[a for a in b if not a]"}),
        ("match a:\n    case b if b:\n        c", {"match a:\n    case b if not b:\n        c"}),
        ("if a == b:\n    c", {"if a != b:\n    c"}),
        ("if a < b:\n    c", {"if a <= b:\n    c", "if not a < b:\n    c"}),
        ("a < b <= c", {"a <= b <= c", "a < b < c"}),
        ("a > b", {"a >= b"}),
        ("a >= b", {"a > b"}),
        ("a is b", {"a is not b"}),
        ("a not in b", {"a in b"}),
        ("a and b and c", {"a or b or c"}),
        ("a = 7", {"a = 8"}),
        ("a = 0.5", {"a = 1.5"}),
        ("a = 1 << 1", {"a = 2 << 1", "a = 1 << 2"}),
        ("a = b + c", {"a = b - c"}),
        ("a = b - c", {"a = b + c"}),
        ("a = min(b, c)", {"a = max(b, c)"}),
        ("a = max(b, c)", {"a = min(b, c)"}),
        ("a.b = c", {"pass"}),
        ("a[b] = c", {"pass"}),
        ("self.a: int = b", {"pass"}),
        ("a += b", {"pass", "a -= b"}),
        ("a(b)", {"pass"}),
        ("assert a == b, 'text'", {"assert a != b, 'text'"}),
        ("def f():\n    return True", {"def f():\n    return False"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("async def f():\n    await a()", {"async def f():\n    pass"}),
        ("def f(a=1):\n    pass", {"def f(a=2):\n    pass"}),
    ],
)
def test_changes_one_thing_at_a_time(source: str, expected: set[str]) -> None:
    assert made(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "a = 'text'",
        "a = True",
        "a = f'{b + 1}'",
        "a = 'text' + b",
        "__all__ = ['a'] + b",
        "a: Annotated[int, 1 + 2]",
        "def f(a: Literal[1]) -> Literal[2]:\n    pass",
        "if TYPE_CHECKING:\n    a = 1",
        "assert a, b + 1",
        "log.info('text', a=1)",
        "self._log.info('text', a=1)",
        "assert_never(a)",
        "def f():\n    return",
        "def f():\n    return None",
        "def f():\n    return ''",
        "a = b",
    ],
)
def test_leaves_alone_what_no_test_should_hold(source: str) -> None:
    assert made(source) == set()


def test_says_where_and_what() -> None:
    first, second = found("a = b\nc = (\n    d + e\n) == f\n")
    assert (first.line, first.what) == (2, "d + e == f -> d + e != f")
    assert (second.line, second.what) == (3, "d + e -> d - e")


def test_tells_mutants_of_one_line_apart() -> None:
    assert [mutant.what for mutant in found("a(b, 0, 0)")] == [
        "a(b, 0, 0) -> pass",
        "0 -> 1",
        "0 -> 1 (no. 2)",
    ]


def test_a_mutant_is_reached_by_its_whole_statement_but_not_by_what_that_holds() -> None:
    call, number, condition, inner = found("a(\n    b,\n    1,\n)\nif c:\n    d()\n")
    assert list(call.lines) == list(number.lines) == [1, 2, 3, 4]
    assert list(condition.lines) == [5]
    assert list(inner.lines) == [6]


def test_a_long_text_is_cut_in_its_middle() -> None:
    (mutant,) = found(f"{'a' * 200}()")
    assert mutant.what == f"{'a' * 45} ... {'a' * 43}() -> pass"


def test_every_mutant_of_real_sources_compiles() -> None:
    for path in sorted((TOP / "protocol" / "trust").glob("*.py")):
        made(path.read_text())
