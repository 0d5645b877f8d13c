"""The grid file's keys of the model's fields: each leads to a key that the file has."""

import msgspec
import pytest

from overlayd.config.gridkeys import (
    ClusterKeys,
    GridKeys,
    Keys,
    LeaseKeys,
    PlacementKeys,
    VolumeKeys,
)
from protocol.grid.model import (
    ClusterSpec,
    Exposure,
    GridSpec,
    LeaseTerms,
    PlacementSpec,
    VolumeSpec,
)
from protocol.grid.written import KEYS, keys_of

WRITTEN: dict[type[msgspec.Struct], type[Keys]] = {
    GridSpec: GridKeys,
    LeaseTerms: LeaseKeys,
    VolumeSpec: VolumeKeys,
    ClusterSpec: ClusterKeys,
    PlacementSpec: PlacementKeys,
}


@pytest.mark.parametrize("struct", WRITTEN)
def test_every_field_leads_to_a_key_of_the_file(struct: type[msgspec.Struct]) -> None:
    keys = [field.encode_name for field in msgspec.structs.fields(WRITTEN[struct])]
    for field in msgspec.structs.fields(struct):
        if field.name == "name":
            continue  # What is above it in the file; a grid's is `grid`.
        assert keys_of(field.name)[0] in keys, field.name


def test_every_renamed_field_is_one_of_the_model() -> None:
    fields = {
        field.name for struct in (*WRITTEN, Exposure) for field in msgspec.structs.fields(struct)
    }
    assert set(KEYS) <= fields
