"""protocol/MESSAGES.md: every message with its fields and their types, written from the code itself."""

import types
import typing
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

_NEW_TYPES = {"PeerId": "key", "KeyId": "key", "Digest": "hash"}
_PLAIN = {int: "int", str: "str", float: "float", bytes: "bin", bool: "bool"}

_HEAD = """\
# Messages, field by field

Written by `./scripts/vectors` from the code; what the messages are for is in [README.md](README.md), each as
bytes in `tests/vectors`. A message is a map with its `type` and these fields. `key`: 64 lower-case hexadecimal
digits of an Ed25519 public key; `hash`: of a SHA-256; `[x]`: a list; `(x, y)`: a list of exactly these;
`?`: may be missing; `≤n`: at most so long; `a..b`: within. A capitalised name is a map of its own, further
down (`as a list`: its fields in this order, without names).
"""


class _Tables:
    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        """Structures that were met on the way, by name."""

    def word(self, hint: Any) -> str:
        """A type in words."""
        origin, args = get_origin(hint), get_args(hint)
        if isinstance(hint, typing.NewType):
            return _NEW_TYPES.get(hint.__name__, "str")
        if origin is Annotated:
            return self.word(args[0]) + "".join(map(_limit, args[1:]))
        if origin in (typing.Union, types.UnionType):
            missing = (type(None), msgspec.UnsetType)  # `?` says the second
            some = " or ".join(self.word(arg) for arg in args if arg not in missing)
            return some + (" or nil" if type(None) in args else "")
        if origin is tuple and args[-1:] == (...,):
            return f"[{self.word(args[0])}]"
        if origin is tuple:
            return f"({', '.join(map(self.word, args))})"
        if origin is dict:
            return f"{{{self.word(args[0])}: {self.word(args[1])}}}"
        if issubclass(hint, msgspec.Struct):
            name: str = hint.__name__
            self.named[name] = hint
            return name
        if issubclass(hint, Enum):
            return " / ".join(f'"{member.value}"' for member in hint)
        return _PLAIN[hint]

    def row(self, name: str, kind: Any) -> str:
        """One structure as a line of a table."""
        hints = get_type_hints(kind, include_extras=True)
        first = len(kind.__struct_fields__) - len(kind.__struct_defaults__)
        fields = []
        for number, field in enumerate(kind.__struct_fields__):
            default = kind.__struct_defaults__[number - first] if number >= first else None
            may = number >= first and default is not msgspec.NODEFAULT
            fields.append(f"`{field}` {self.word(hints[field])}{'?' if may else ''}")
        return f"| {name} | {', '.join(fields) or '-'} |"

    def rest(self) -> Iterable[str]:
        """Lines for the structures that were met, and for those these are made of."""
        done: dict[str, str] = {}
        while fresh := sorted(name for name in self.named if name not in done):
            for name in fresh:
                kind = self.named[name]
                listed = " (as a list)" if kind.__struct_config__.array_like else ""
                done[name] = self.row(f"{name}{listed}", kind)
        return [done[name] for name in sorted(done)]


def _limit(meta: Any) -> str:
    if not isinstance(meta, msgspec.Meta):
        return ""
    said = ""
    if meta.ge is not None or meta.le is not None:
        said += f" {'' if meta.ge is None else meta.ge}..{'' if meta.le is None else meta.le}"
    if meta.max_length is not None:
        sign = "=" if meta.min_length == meta.max_length else "≤"
        said += f" {sign}{meta.max_length}"
    return said


def text(messages: dict[str, Any], bodies: dict[str, Any], parts: dict[str, Any]) -> str:
    """The text of the whole file."""
    tables, rooms = _Tables(), {}
    for tag, kind in sorted(messages.items()):
        rooms.setdefault(kind.__module__.split(".")[1], []).append((tag, kind))
    out = [_HEAD]
    for room in sorted(rooms):
        out.append(f"\n## {room}\n\n| type | fields |\n|---|---|")
        out += [tables.row(f"`{tag}`", kind) for tag, kind in rooms[room]]
    out.append("\n## bodies of records, by kind\n\n| kind | fields |\n|---|---|")
    out += [tables.row(f"`{kind}`", body) for kind, body in sorted(bodies.items())]
    out.append("\n## what travels as bytes inside others\n\n| what | fields |\n|---|---|")
    out += [tables.row(name, kind) for name, kind in sorted(parts.items())]
    out.append("\n## structures\n\n| structure | fields |\n|---|---|")
    out += tables.rest()
    return "\n".join(out) + "\n"
