"""The grid file's JSON Schema describes the keys that are read, and nothing else."""

import json
import re
from typing import Any

import msgspec

from overlayd.config import gridkeys
from overlayd.config.schema import grid_schema, grid_schema_text
from overlayd.config.values import Cpus, Duration, Size

STRUCTS = (
    gridkeys.GridKeys,
    gridkeys.LeaseKeys,
    gridkeys.NetworkKeys,
    gridkeys.VolumeKeys,
    gridkeys.ClusterKeys,
    gridkeys.PlacementKeys,
)


def test_every_key_is_there_with_a_description_and_no_other_is_allowed() -> None:
    definitions: dict[str, Any] = grid_schema()["$defs"]
    for struct in STRUCTS:
        definition = definitions[struct.__name__]
        keys = [field.encode_name for field in msgspec.structs.fields(struct)]
        assert sorted(definition["properties"]) == sorted(keys)
        assert definition["additionalProperties"] is False
        assert all(len(p["description"]) > 5 for p in definition["properties"].values())


def test_what_is_required_is_required_and_words_are_closed() -> None:
    definitions = grid_schema()["$defs"]
    assert definitions["GridKeys"]["required"] == ["grid", "clusters"]
    assert definitions["ClusterKeys"]["required"] == ["image", "cpus", "memory"]
    assert sorted(definitions["Spread"]["enum"]) == ["host", "none", "site"]


def test_it_is_json() -> None:
    assert json.loads(grid_schema_text()) == grid_schema()


def test_quantities_match_their_patterns_as_they_are_read() -> None:
    for type_, good, bad in (
        (Size, ("512M", "4G", "1.5T", "100", "4GiB", "2 G"), ("8 gigs", "-1", "4g")),
        (Cpus, ("2", "0.5", "500m"), ("2.5m", "-1", "two")),
        (Duration, ("90s", "30m", "6h", "2d", "1w"), ("6", "6 hours", "-1h")),
    ):
        pattern = re.compile(type_.SCHEMA["pattern"])
        for text in (*good, *bad):
            try:
                type_.from_written(text)
                reads = True
            except ValueError:
                reads = False
            assert reads is (text in good)
            assert bool(pattern.search(text)) is reads
