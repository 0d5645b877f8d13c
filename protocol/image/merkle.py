"""An image's identity: a Merkle tree (SHA-256) over its chunks, and its facts.

The tree is RFC 6962's: a leaf is the hash of a zero byte and the chunk, a node that of a one byte and its two
children, and of `n` leaves the left child has the largest power of two below `n`. A page of it is 4096 leaves,
a power of two, so the tree over the roots of the pages is the same tree. Thus one who has an id and an image's
facts can check the roots of its pages, then the leaves of one page, then one chunk, each from whoever it came.

A chunk of zeros has a leaf that everybody knows. It never travels.
"""

from collections.abc import Sequence
from hashlib import sha256

from protocol.image.facts import ImageFacts
from protocol.terms.ids import Digest

CHUNK_BYTES = 1 << 20
"""The length of each chunk but the last, which is as long as it is."""

PAGE = 4096
"""Leaves of a page: 128 KiB of them, for 4 GiB of content."""

HASH_BYTES = 32

_LEAF, _NODE = b"\0", b"\1"
_TAG = b"overlayd/1/image"


def chunk_count(content_bytes: int) -> int:
    """How many chunks so many bytes have."""
    return -(-content_bytes // CHUNK_BYTES)


def page_count(content_bytes: int) -> int:
    """How many pages the leaves of so many bytes have."""
    return -(-chunk_count(content_bytes) // PAGE)


def page_leaves(content_bytes: int, page: int) -> int:
    """How many leaves that page has."""
    return max(0, min(PAGE, chunk_count(content_bytes) - page * PAGE))


def chunk_bytes(content_bytes: int, index: int) -> int:
    """How long the chunk with that number is, from 0; 0 if there is none."""
    return max(0, min(CHUNK_BYTES, content_bytes - index * CHUNK_BYTES))


def leaf_of(chunk: bytes) -> bytes:
    """The leaf of a chunk."""
    made = sha256(_LEAF)
    made.update(chunk)
    return made.digest()


ZERO_LEAF = leaf_of(bytes(CHUNK_BYTES))
"""The leaf of a chunk of zeros, of full length."""


def zero_leaf(content_bytes: int, index: int) -> bytes:
    """The leaf that the chunk with that number has if all of it is zeros."""
    length = chunk_bytes(content_bytes, index)
    return ZERO_LEAF if length == CHUNK_BYTES else leaf_of(bytes(length))


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaves, or over the roots of pages. There must be at least one."""
    row = list(hashes)
    while len(row) > 1:
        # A last one without a neighbour goes up as it is: the same tree as splitting at powers of two.
        pairs = [sha256(_NODE + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        row = pairs + row[len(row) & ~1 :]
    return row[0]


def page_roots(leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """The root of each page of all the leaves."""
    return tuple(root_of(leaves[i : i + PAGE]) for i in range(0, len(leaves), PAGE))


def split(hashes: bytes) -> tuple[bytes, ...]:
    """Hashes that were written one behind the other. What is left over at the end is dropped."""
    whole = len(hashes) - len(hashes) % HASH_BYTES
    return tuple(hashes[i : i + HASH_BYTES] for i in range(0, whole, HASH_BYTES))


def image_id(facts: ImageFacts, root: bytes) -> Digest:
    """The id of the image with these facts whose chunks have that root.

    SHA-256 over a tag, kind, length in decimal, architecture, and firmware (empty if none), each ended by a
    zero byte, and the 32 bytes of the root.
    """
    words = (facts.kind, str(facts.content_bytes), facts.architecture, facts.firmware or "")
    said = _TAG + b"\0" + b"".join(word.encode() + b"\0" for word in words)
    return Digest(sha256(said + root).hexdigest())


def id_of(facts: ImageFacts, leaves: Sequence[bytes]) -> Digest:
    """The id of the image with these facts and leaves."""
    return image_id(facts, root_of(page_roots(leaves)))


def verify_pages(image: Digest, facts: ImageFacts, roots: Sequence[bytes]) -> bool:
    """Whether these are the facts of that image and the roots of its pages."""
    whole = len(roots) == page_count(facts.content_bytes) and _hashes(roots)
    return whole and image_id(facts, root_of(roots)) == image


def verify_page(page_root: bytes, leaves: Sequence[bytes]) -> bool:
    """Whether these are the leaves of that page. How many there must be follows from the image's length."""
    return 0 < len(leaves) <= PAGE and _hashes(leaves) and root_of(leaves) == page_root


def verify_chunk(leaf: bytes, data: bytes) -> bool:
    """Whether that is the chunk of this leaf."""
    return 0 < len(data) <= CHUNK_BYTES and leaf_of(data) == leaf


def _hashes(found: Sequence[bytes]) -> bool:
    return all(len(each) == HASH_BYTES for each in found)
