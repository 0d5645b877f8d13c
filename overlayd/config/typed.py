"""A Source to a typed struct, with every problem at once.

msgspec stops at the first error and knows no lines. So this walks the same types (by msgspec.inspect) over the
plain values itself. Where something is wrong it notes a problem and puts a placeholder, so that the rest, and
then the meaning of the whole, can still be checked. `documents.combined` drops what is later said of a
placeholder.

A struct may have `NOT_YET`, a class variable of keys that are known but not built, and the reason.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from overlayd.config.documents import KeyPath, Problem, Source
from overlayd.config.values import Written
from protocol.grid.problem import listed, quoted

T = TypeVar("T", bound=msgspec.Struct)


def read(source: Source, type_: type[T]) -> tuple[T, list[Problem]]:
    """The document as that struct, and its problems. Use the struct only if there are none, or to find more."""
    walker = _Walker(source)
    shape = inspect.type_info(type_)
    value = walker.value(shape, source.value if source.value is not None else {}, (), {})
    return cast(T, value), walker.problems


class _Walker:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = list(source.problems)

    def value(
        self, shape: inspect.Type, found: object, path: KeyPath, notes: Mapping[str, Any]
    ) -> object:
        """The typed value of what was found. `notes` is the JSON Schema extra of the field."""
        match shape:
            case inspect.Metadata():
                return self.value(shape.type, found, path, shape.extra_json_schema or {})
            case inspect.UnionType():
                inner = next(t for t in shape.types if not isinstance(t, inspect.NoneType))
                return None if found is None else self.value(inner, found, path, notes)
            case inspect.StructType() if isinstance(found, dict):
                return self._struct(shape, found, path)
            case inspect.DictType() if isinstance(found, dict) or found is None:
                return {
                    key: self.value(shape.value_type, value, (*path, key), {})
                    for key, value in (found or {}).items()
                }
            case inspect.VarTupleType() if isinstance(found, list) or found is None:
                return tuple(
                    self.value(shape.item_type, value, (*path, index), {})
                    for index, value in enumerate(found or [])
                )
            case inspect.CustomType():
                written: type[Written] = shape.cls
                try:
                    return written.from_written(found)
                except ValueError as error:
                    return self._wrong(shape, path, f"found {shown(found)}; {error}")
            case inspect.EnumType() if isinstance(found, str):
                if found in (allowed := [member.value for member in shape.cls]):
                    return shape.cls(found)
                return self._wrong(
                    shape, path, f"found {shown(found)}; allowed are {listed(allowed, 20)}"
                )
            case inspect.StrType() if isinstance(found, str):
                return found
            case inspect.IntType() if isinstance(found, int) and not isinstance(found, bool):
                return found
            case inspect.BoolType() if isinstance(found, bool):
                return found
            case inspect.AnyType():
                return found
        return self._wrong(shape, path, f"found {shown(found)}; {_wanted(shape, found, notes)}")

    def _struct(
        self, shape: inspect.StructType, found: dict[str, object], path: KeyPath
    ) -> msgspec.Struct:
        known = [field.encode_name for field in shape.fields]
        not_yet: Mapping[str, str] = getattr(shape.cls, "NOT_YET", {})
        for key in found:
            if key in not_yet:
                self._note((*path, key), f"not supported yet: {not_yet[key]}", at_key=True)
            elif key not in known:
                self._note((*path, key), _unknown_key(key, known), at_key=True)
        values: dict[str, object] = {}
        for field in shape.fields:
            at = (*path, field.encode_name)
            if field.encode_name in found:
                values[field.name] = self.value(field.type, found[field.encode_name], at, {})
            elif field.required:
                self._note(at, f"missing{_example(field)}")
                values[field.name] = placeholder(field.type)
        return shape.cls(**values)

    def _wrong(self, shape: inspect.Type, path: KeyPath, message: str) -> object:
        self._note(path, message)
        return placeholder(shape)

    def _note(self, path: KeyPath, message: str, at_key: bool = False) -> None:
        self.problems.append(self.source.problem(path, message, at_key))


def placeholder(shape: inspect.Type) -> object:
    """Something of that type, for a value that is missing or wrong."""
    match shape:
        case inspect.Metadata():
            return placeholder(shape.type)
        case inspect.StructType():
            return shape.cls(**{f.name: placeholder(f.type) for f in shape.fields if f.required})
        case inspect.EnumType():
            return next(iter(shape.cls))
        case inspect.DictType():
            return {}
        case inspect.VarTupleType():
            return ()
        case inspect.CustomType():
            return shape.cls()
        case inspect.StrType():
            return ""
        case inspect.IntType():
            return 0
        case inspect.BoolType():
            return False
    return None


def shown(found: object) -> str:
    """What was found, as a person would name it."""
    match found:
        case None:
            return "nothing"
        case bool():
            return "true" if found else "false"
        case str():
            return quoted(found)
        case int() | float():
            return f"the number {str(found)[:40]}"
        case dict():
            return f"a mapping of {listed([quoted(str(k)) for k in found], 4)}" if found else "{}"
        case list():
            return f"a list of {len(found)}"
    return f"a {type(found).__name__}"


def _wanted(shape: inspect.Type, found: object, notes: Mapping[str, Any]) -> str:
    examples = notes.get("examples")
    match shape:
        case inspect.StrType() if isinstance(found, bool) and examples:
            return f"write text, for example {listed([_written(each) for each in examples])}"
        case inspect.StrType() | inspect.EnumType():
            if isinstance(found, int | float):
                return f'write text, in quotes where it looks like something else: "{found}"'
            wanted = "write text"
        case inspect.IntType():
            wanted = "write a whole number"
        case inspect.BoolType():
            wanted = "write true or false"
        case inspect.VarTupleType():
            if isinstance(found, str) and found.isprintable() and len(found) <= 60:
                return f"write a list: [{found}]"
            wanted = "write a list"
        case inspect.DictType():
            wanted = "write a mapping, NAME: VALUE for each"
        case _:
            wanted = "write a mapping of keys"
            if isinstance(shape, inspect.StructType):
                wanted += " out of " + listed([field.encode_name for field in shape.fields], 20)
    return f"{wanted}, for example {_written(examples[0])}" if examples else wanted


def _unknown_key(key: str, known: list[str]) -> str:
    near = get_close_matches(key[:64], known, n=1, cutoff=0.5)
    if near:
        return f'unknown key; did you mean "{near[0]}"?'
    return f"unknown key; allowed here are {listed(known, 20)}"


def _example(field: inspect.Field) -> str:
    notes = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    examples = (notes or {}).get("examples")
    return f"; write for example {_written(examples[0])}" if examples else ""


def _written(example: object) -> str:
    """An example as YAML's and TOML's inline notation has it."""
    match example:
        case dict():
            return "{" + ", ".join(f"{k}: {_written(v)}" for k, v in example.items()) + "}"
        case list():
            return "[" + ", ".join(_written(v) for v in example) + "]"
    return str(example)
