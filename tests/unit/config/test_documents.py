"""Text to values and places: notation traps, bombs, garbage, and where things are."""

import contextlib
import random
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from overlayd.config.documents import (
    DEPTH_MAX,
    SIZE_MAX_BYTES,
    DocumentError,
    KeyPath,
    Mark,
    Parse,
    load,
)
from overlayd.config.toml_source import parse_toml
from overlayd.config.yaml_source import parse_yaml


def said(parse: Parse, text: str) -> list[str]:
    try:
        problems = parse(text, "f").problems
    except DocumentError as error:
        problems = error.problems
    return [problem.render() for problem in problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("6:30", "6:30"),
        ("190:20:30", "190:20:30"),
        ("2026-07-01", "2026-07-01"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0.25", 0.25),
        (".5", 0.5),
        (".inf", ".inf"),
        ("10.42.0.0/24", "10.42.0.0/24"),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("9" * 301, "9" * 301),
    ],
)
def test_plain_yaml_scalars_mean_what_they_look_like(written: str, value: object) -> None:
    read = parse_yaml(f"key: {written}\n", "f").value
    assert read == {"key": value}
    assert type(read["key"]) is type(value)


YAML_BAD = {
    "key twice": ("a: 1\nb: 2\na: 3\n", ["f:3:1: a: a second time; it is on line 1 already"]),
    "inner key twice": (
        "a: {b: 1, b: 2}",
        ["f:1:11: a.b: a second time; it is on line 1 already"],
    ),
    "tag": (
        "a: !!python/object/apply:os.system [ls]",
        [
            "f:1:4: a: found the tag 'tag:yaml.org,2002:python/object/apply:os.system';"
            " tags are not used here"
        ],
    ),
    "merge": (
        "x: &x {a: 1}\ny: {<<: *x}",
        ['f:2:5: y."<<": found a merge key (<<); write it out'],
    ),
    "list for a key": ("? [a, b]\n: 1", ['f:1:3: "?": found a key that is not plain text']),
    "two documents": (
        "a: 1\n---\nb: 2",
        ["f:2:1: not YAML: expected a single document in the stream, but found another document"],
    ),
    "open bracket": (
        "a: [1, 2\nb: 3\n",
        [
            "f:2:2: not YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ],
    ),
    "tab": (
        "a:\n\tb: 1\n",
        [
            "f:2:1: not YAML: while scanning for the next token,"
            " found character '\\t' that cannot start any token"
        ],
    ),
    "unknown anchor": ("a: *b", ["f:1:4: not YAML: found undefined alias 'b'"]),
    "control character": (
        "a: 1\nb: \x07",
        ["f:2:4: not YAML: the character U+0007 is not allowed"],
    ),
    "itself": (
        "a: &a [*a]",
        ["f:1:4: a[0]: an alias inside of what it stands for, or nested too deep"],
    ),
    "deep": ("[" * 100_000, ["f:1:33: nested deeper than 32 levels"]),
    "deep blocks": ("- " * 100_000, ["f:1:65: nested deeper than 32 levels"]),
    "many": ("[" + "1," * 30_000 + "]", ["f:1:40000: more than 20000 values"]),
}


@pytest.mark.parametrize("case", YAML_BAD)
def test_bad_yaml_is_answered(case: str) -> None:
    text, expected = YAML_BAD[case]
    assert said(parse_yaml, text) == expected


def test_a_bomb_of_aliases_is_an_error_and_not_a_gigabyte() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (message,) = said(parse_yaml, "\n".join(lines))
    assert message.endswith("more than 20000 values once aliases are expanded")


def test_an_alias_is_a_value_written_elsewhere() -> None:
    source = parse_yaml("a: &x [1, 2]\nb: *x\n", "f")
    assert source.value == {"a": [1, 2], "b": [1, 2]}
    assert source.problem(("b", 1), "here").render() == "f:1:11: b[1]: here"


TOML_BAD = {
    "key twice": ("a = 1\na = 2\n", ["f:2:6: not TOML: cannot overwrite a value"]),
    "no value": ("a = \n", ["f:1:5: not TOML: invalid value"]),
    "table twice": ("[a]\n[a]\n", ["f:2:3: not TOML: cannot declare ('a',) twice"]),
    "open string": ('a = "x', ["f:1:7: not TOML: unterminated string"]),
    "deep": ("a = " + "[" * 50_000, ["f: nested deeper than 32 levels"]),
    "deep and closed": (
        "a = " + "[" * 50_000 + "]" * 50_000,
        ["f: nested deeper than 32 levels"],
    ),
    "moderately deep": (
        f"a = {'[' * (DEPTH_MAX + 1)}{']' * (DEPTH_MAX + 1)}",
        ["f: nested deeper than 32 levels"],
    ),
    "deep key": (
        f"{'a.' * 40}a = 1",
        ["f: nested deeper than 32 levels"],
    ),
    "very deep key": (
        "b = 1\n" + "a." * 100_000 + "a = 1",
        ["f:2:1: more than 500 dots in one line; nothing here needs them"],
    ),
    "many": ("a = [" + "1," * 30_000 + "]", ["f: more than 20000 values"]),
}


@pytest.mark.parametrize("case", TOML_BAD)
def test_bad_toml_is_answered(case: str) -> None:
    text, expected = TOML_BAD[case]
    assert said(parse_toml, text) == expected


TOML = '''\
# comment with = and [brackets]
top = 1
[a.b]  # table
"quoted.key" = "x # no comment"
c.d = [ 1, "two, [", {e = 5}, # comment ]
  4 ]
f = """
[not.a.table]
g = 1 \\""" """
h = \'\'\'it's\'\'\'
i = 2026-07-01 07:32:00
j = { k = [true], l = {} }
[[list]]
x = 1
[list.sub]
y = 2
[[list]]
x = 3
'''


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("top",), (2, 1), (2, 7)),
        (("a", "b"), (3, 1), (3, 1)),
        (("a", "b", "quoted.key"), (4, 1), (4, 16)),
        (("a", "b", "c", "d"), (5, 1), (5, 7)),
        (("a", "b", "c", "d", 1), (5, 12), (5, 12)),
        (("a", "b", "c", "d", 2, "e"), (5, 23), (5, 27)),
        (("a", "b", "c", "d", 3), (6, 3), (6, 3)),
        (("a", "b", "f"), (7, 1), (7, 5)),
        (("a", "b", "h"), (10, 1), (10, 5)),
        (("a", "b", "i"), (11, 1), (11, 5)),
        (("a", "b", "j", "k", 0), (12, 12), (12, 12)),
        (("list", 0, "sub", "y"), (16, 1), (16, 5)),
        (("list", 1, "x"), (18, 1), (18, 5)),
    ],
)
def test_every_toml_key_is_found_where_it_is(
    path: KeyPath, key: tuple[int, int], value: tuple[int, int]
) -> None:
    spot = parse_toml(TOML, "f").spots[path]
    assert (spot.key, spot.value) == (Mark(*key), Mark(*value))


def paths(value: object, at: KeyPath = ()) -> list[KeyPath]:
    match value:
        case dict():
            return [at, *(p for key, inner in value.items() for p in paths(inner, (*at, key)))]
        case list():
            return [at, *(p for n, inner in enumerate(value) for p in paths(inner, (*at, n)))]
    return [at]


def test_nothing_in_toml_is_without_a_place() -> None:
    source = parse_toml(TOML, "f")
    assert source.value == tomllib.loads(TOML)
    # A table named only in the header of one inside it has no place of its own.
    missing = set(paths(source.value)) - set(source.spots)
    assert missing == {(), ("a",)}


_texts = st.text(max_size=8)
_values = st.recursive(
    _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(_texts, _values, max_size=4))
def test_yaml_that_was_written_is_read_back_and_every_value_has_a_place(
    value: dict[str, object],
) -> None:
    # Quoted, so that the writer's YAML 1.1 and our 1.2 have nothing to disagree on.
    source = parse_yaml(yaml.safe_dump(value, default_style='"', sort_keys=False), "f")
    assert source.value == value
    assert set(source.spots) == set(paths(value))


@pytest.mark.parametrize("parse", [parse_yaml, parse_toml])
@given(text=st.text(st.sampled_from("ab=:[]{}\"'\n\t -#&*!|>?%@,.\\0\x00é")))
def test_garbage_is_answered_and_never_an_exception_of_another_kind(
    parse: Parse, text: str
) -> None:
    try:
        source = parse(text, "f")
    except DocumentError as error:
        shown = [problem.render(caret=True) for problem in error.problems]
    else:
        shown = [source.problem((), "read").render(caret=True)]
    assert shown
    assert all(text.startswith("f") for text in shown)


def test_a_cut_document_is_answered_at_every_length() -> None:
    examples = Path(__file__).parents[3] / "examples"
    for name, parse in (("star.yaml", parse_yaml), ("overlayd.toml", parse_toml)):
        text = (examples / name).read_text()
        for length in random.Random(7).sample(range(len(text)), 60):
            with contextlib.suppress(DocumentError):
                assert parse(text[:length], name).problems == ()


def test_a_document_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("#" * (SIZE_MAX_BYTES + 1))
    with pytest.raises(DocumentError, match="larger than 256 KiB, the most a document may have"):
        load(path, parse_yaml)


def test_bytes_that_are_no_text_are_answered_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"grid: a\nvo: caf\xe9\n")
    with pytest.raises(DocumentError) as caught:
        load(path, parse_yaml)
    assert str(caught.value) == f"{path}:2:8: found the byte 0xe9; documents are UTF-8 text"


def test_a_folder_is_answered(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read: is a directory"):
        load(tmp_path, parse_yaml)


def test_a_strange_key_cannot_fake_a_message() -> None:
    problem = parse_yaml('"a: b\\e[2J": 1', "f").problem(("a: b\x1b[2J",), "unknown key")
    assert problem.render() == 'f:1:14: "a: b?[2J": unknown key'


def test_a_long_line_is_cut_around_the_caret() -> None:
    source = parse_yaml("a: [" + "x, " * 200 + "here]", "f")
    _, line, caret = source.problem(("a", 200), "look").render(caret=True).split("\n")
    assert line[caret.index("^") :] == "here]"
    assert len(line) <= 110
