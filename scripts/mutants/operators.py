"""What is changed: every mutant of one source file.

A mutant is one small change of meaning. Strings, annotations, docstrings, `__all__`, the messages of
`assert`, logging and what only a type checker sees are left alone, because no test should hold them.
"""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
NEGATED_BY_SWAP = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Conditions with one of these are not negated as well, since that would be the same mutant."""
SUMS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
ENDS = {"min": "max", "max": "min"}
LOGS = {"log", "_log", "logger", "logging"}
UNREACHED = "assert_never"
WIDEST = 90
"""How many characters the text of a mutation has at most. A longer one is cut in its middle."""

TYPES = {"annotation", "returns"}


@dataclass(frozen=True)
class Mutant:
    """One change that is not made yet. It is made in place, so a tree serves for one mutant."""

    line: int
    """Where the change is; the first line is 1."""
    lines: range
    """A test that runs none of these cannot notice it."""
    what: str
    """The change as `old -> new`, in one line, with its number if a line has it more than once."""
    make: Callable[[], None]
    """Changes the tree that the mutant was found in."""


def mutants(tree: ast.Module) -> list[Mutant]:
    """Every mutant of `tree`, in the order of the text. Each must be made in its own copy (or process)."""
    seen: Counter[tuple[int, str]] = Counter()
    found = []
    for mutant in sorted(_below(tree, None), key=lambda mutant: mutant.line):
        seen[mutant.line, mutant.what] += 1
        count = seen[mutant.line, mutant.what]
        found.append(mutant if count == 1 else replace(mutant, what=f"{mutant.what} (no. {count})"))
    return found


def _below(node: ast.AST, anchor: ast.AST | None) -> Iterator[Mutant]:
    """The mutants below `node`. It is in `anchor`, a simple statement or the expression of a header."""
    if _only_for_types(node):
        return
    for field, value in ast.iter_fields(node):
        if field in TYPES or (isinstance(node, ast.Assert) and field == "msg"):
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            held = _anchor(child, anchor)
            put = _putter(node, field, index if isinstance(value, list) else None)
            for old, new in _changes(node, field, child):
                yield _mutant(child, held or child, old, new, put)
            yield from _below(child, held)


def _anchor(child: ast.AST, anchor: ast.AST | None) -> ast.AST | None:
    if isinstance(child, ast.stmt):
        return None if hasattr(child, "body") or isinstance(child, ast.Match) else child
    return child if anchor is None and isinstance(child, ast.expr) else anchor


def _putter(node: ast.AST, field: str, index: int | None) -> Callable[[ast.AST], None]:
    def put(new: ast.AST) -> None:
        if index is None:
            setattr(node, field, new)
        else:
            getattr(node, field)[index] = new

    return put


def _mutant(
    child: ast.AST, held: ast.AST, old: ast.AST, new: ast.AST, put: Callable[[ast.AST], None]
) -> Mutant:
    line = getattr(child, "lineno", 0)
    first, last = getattr(held, "lineno", line), getattr(held, "end_lineno", line)

    def make() -> None:
        put(ast.fix_missing_locations(ast.copy_location(new, child)))

    return Mutant(line, range(first, last + 1), f"{_text(old)} -> {_text(new)}", make)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    half = WIDEST // 2
    return text if len(text) <= WIDEST else f"{text[:half]} ... {text[-half:]}"


def _only_for_types(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name)))
        ):
            return name in LOGS
    return False


def _changes(node: ast.AST, field: str, child: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """What `child` may become: pairs of the old, which is only shown, and the new."""
    if isinstance(child, ast.stmt):
        yield from _statements(child)
    elif isinstance(child, ast.expr):
        if field in ("test", "guard", "ifs") and not isinstance(node, ast.Assert):
            yield from _negations(child)
        yield from _expressions(child)


def _statements(child: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    match child:
        case ast.Return(value=ast.Constant(value=bool(value))):
            yield child, ast.Return(ast.Constant(not value))
        case ast.Return(value=ast.Constant(value=None | "")):
            return
        case ast.Return(value=ast.expr()):
            yield child, ast.Return(ast.Constant(None))
        case ast.AugAssign(op=op):
            yield child, ast.Pass()
            if type(op) in SUMS:
                new = copy.copy(child)
                new.op = SUMS[type(op)]()
                yield child, new
        case ast.Assign(targets=targets):
            if all(isinstance(each, ast.Attribute | ast.Subscript) for each in targets):
                yield child, ast.Pass()
        case ast.AnnAssign(target=ast.Attribute(), value=ast.expr()):
            yield child, ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
            called = child.value.value if isinstance(child.value, ast.Await) else child.value
            assert isinstance(called, ast.Call)
            never = isinstance(called.func, ast.Name) and called.func.id == UNREACHED
            if not never and not _only_for_types(child):
                yield child, ast.Pass()


def _negations(child: ast.expr) -> Iterator[tuple[ast.AST, ast.AST]]:
    match child:
        case ast.UnaryOp(op=ast.Not()):
            return
        case ast.Compare(ops=[op]) if isinstance(op, NEGATED_BY_SWAP):
            return
    yield child, ast.UnaryOp(ast.Not(), child)


def _expressions(child: ast.expr) -> Iterator[tuple[ast.AST, ast.AST]]:
    match child:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield child, operand
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for index, op in enumerate(ops):
                swapped = [*ops[:index], COMPARED[type(op)](), *ops[index + 1 :]]
                yield child, ast.Compare(left, swapped, comparators)
        case ast.BoolOp(op=op, values=values):
            yield child, ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SUMS:
            if not (_is_text(left) or _is_text(right)):
                yield child, ast.BinOp(left, SUMS[type(op)](), right)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in ENDS:
            yield child, ast.Call(ast.Name(ENDS[name], ast.Load()), args, keywords)
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            yield child, ast.Constant(value + 1)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )
