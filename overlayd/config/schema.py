"""JSON Schema of the documents, from the types that read them. It is for editors, not for checks."""

from typing import Any

import msgspec

from overlayd.config.gridkeys import GridKeys

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def grid_schema() -> dict[str, Any]:
    """The grid file's schema, ready for JSON."""
    schema = msgspec.json.schema(GridKeys, schema_hook=_written_schema)
    schema = msgspec.json.decode(msgspec.json.encode(schema))
    return {"$schema": DIALECT, "title": "overlayd grid file", **schema}


def grid_schema_text() -> str:
    """The same as indented text, as a command prints it."""
    return msgspec.json.format(msgspec.json.encode(grid_schema()), indent=2).decode() + "\n"


def _written_schema(type_: type) -> dict[str, Any]:
    schema = getattr(type_, "SCHEMA", None)
    if schema is None:
        raise NotImplementedError
    return dict(schema)
