"""Hashing content: holes are zeros, however the zeros came."""

import os
from pathlib import Path

from overlayd.adapters.image_content import leaves_of
from protocol.image.merkle import CHUNK_BYTES, ZERO_LEAF, leaf_of


def test_holes_and_written_zeros_are_the_same(tmp_path: Path) -> None:
    sparse, dense = tmp_path / "sparse", tmp_path / "dense"
    content = bytes(3 * CHUNK_BYTES) + b"end" + bytes(CHUNK_BYTES + 7)
    dense.write_bytes(content)
    with sparse.open("wb") as file:
        os.pwrite(file.fileno(), b"end", 3 * CHUNK_BYTES)
        file.truncate(len(content))
    expected = [leaf_of(content[i : i + CHUNK_BYTES]) for i in range(0, len(content), CHUNK_BYTES)]
    assert list(leaves_of(dense)) == list(leaves_of(sparse)) == expected
    assert expected[:3] == [ZERO_LEAF] * 3
