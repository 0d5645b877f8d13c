"""The tree of hashes: RFC 6962's, in pages, with an id on top that other implementations can check."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from protocol.image.facts import Firmware, ImageFacts, ImageKind
from protocol.image.merkle import (
    CHUNK_BYTES,
    PAGE,
    ZERO_LEAF,
    chunk_bytes,
    chunk_count,
    id_of,
    image_id,
    leaf_of,
    page_count,
    page_leaves,
    page_roots,
    root_of,
    split,
    verify_chunk,
    verify_page,
    verify_pages,
    zero_leaf,
)
from protocol.terms.architecture import Architecture

GOLDEN = Path(__file__).with_name("golden") / "images.json"
DISK = ImageFacts(ImageKind.DISK, 2 * CHUNK_BYTES + 512, Architecture.X86_64, Firmware.BIOS)
CHUNKS = (b"a" * CHUNK_BYTES, bytes(CHUNK_BYTES), b"c" * 512)
LEAVES = [leaf_of(chunk) for chunk in CHUNKS]


def rfc6962(leaves: list[bytes]) -> bytes:
    """The tree as section 2.1 of RFC 6962 defines it."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\1" + rfc6962(leaves[:k]) + rfc6962(leaves[k:])).digest()


@pytest.mark.parametrize("count", [*range(1, 34), 4095, 4096, 4097, 8191, 8193, 12289])
def test_the_root_over_pages_is_the_root_that_rfc_6962_defines(count: int) -> None:
    leaves = [sha256(str(i).encode()).digest() for i in range(count)]
    assert root_of(page_roots(leaves)) == rfc6962(leaves)


def test_lengths() -> None:
    size = DISK.content_bytes
    assert [chunk_bytes(size, i) for i in range(4)] == [CHUNK_BYTES, CHUNK_BYTES, 512, 0]
    assert (chunk_count(size), page_count(size), page_leaves(size, 0)) == (3, 1, 3)
    assert chunk_count(PAGE * CHUNK_BYTES + 1) == PAGE + 1
    assert page_count(PAGE * CHUNK_BYTES + 1) == 2
    assert [page_leaves(PAGE * CHUNK_BYTES + 1, p) for p in range(3)] == [PAGE, 1, 0]


def test_leaves_of_zeros_are_known() -> None:
    assert zero_leaf(DISK.content_bytes, 1) == ZERO_LEAF == LEAVES[1]
    assert zero_leaf(DISK.content_bytes, 2) == leaf_of(bytes(512))


def test_an_image_is_proved_from_its_id_down_to_a_chunk() -> None:
    image, roots = id_of(DISK, LEAVES), page_roots(LEAVES)
    assert verify_pages(image, DISK, roots)
    assert verify_page(roots[0], LEAVES)
    assert verify_chunk(LEAVES[2], CHUNKS[2])


def test_whatever_is_changed_is_noticed() -> None:
    image, roots = id_of(DISK, LEAVES), page_roots(LEAVES)
    uefi = ImageFacts(DISK.kind, DISK.content_bytes, DISK.architecture, Firmware.UEFI)
    longer = ImageFacts(DISK.kind, DISK.content_bytes + 512, DISK.architecture, DISK.firmware)
    arm = ImageFacts(DISK.kind, DISK.content_bytes, Architecture.AARCH64, DISK.firmware)
    for facts in (uefi, longer, arm):
        assert not verify_pages(image, facts, roots)
    assert not verify_pages(image, DISK, ())
    assert not verify_pages(image, DISK, (*roots, *roots))
    assert not verify_pages(image, DISK, (roots[0][:31],))
    assert not verify_page(roots[0], LEAVES[:2])
    assert not verify_page(roots[0], [*LEAVES[:2], LEAVES[0]])
    assert not verify_page(roots[0], [])
    assert not verify_chunk(LEAVES[2], CHUNKS[2] + b"\0")
    assert not verify_chunk(LEAVES[2], b"")


def test_a_node_is_never_a_leaf() -> None:
    """A chunk made of two hashes is not taken for the node over them."""
    forged = leaf_of(LEAVES[0] + LEAVES[1])
    assert forged != root_of(LEAVES[:2])


def test_split() -> None:
    assert split(b"".join(LEAVES)) == tuple(LEAVES)
    assert split(b"x" * 33) == (b"x" * 32,)


def test_golden_vectors() -> None:
    """A chunk is a text, repeated to its length; what another implementation must come to is beside it."""
    for vector in json.loads(GOLDEN.read_text()):
        kind, size, arch, firmware = vector["facts"]
        facts = ImageFacts(
            ImageKind(kind), size, Architecture(arch), Firmware(firmware) if firmware else None
        )
        text = bytes.fromhex(vector["repeated"])
        content = (text * (size // len(text) + 1))[:size]
        leaves = [leaf_of(content[i : i + CHUNK_BYTES]) for i in range(0, size, CHUNK_BYTES)]
        root = root_of(page_roots(leaves))
        assert [leaf.hex() for leaf in leaves] == vector["leaves"]
        assert root.hex() == vector["root"]
        assert image_id(facts, root) == vector["id"]
