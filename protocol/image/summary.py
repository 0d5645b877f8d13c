"""An image's summary: what a peer that wants an image asks for first, and believes when it fits the id."""

import msgspec

from protocol.image.facts import ImageFacts, ImageNotes
from protocol.image.merkle import split, verify_pages
from protocol.terms.ids import Digest
from protocol.wire.codec import Malformed, decode, encode

SUMMARY_MOST_BYTES = 32 << 10
"""8 KiB of roots for the largest image, and notes of a thousand characters each."""


class ImageSummary(msgspec.Struct, frozen=True):
    """All that it takes to check an image's leaves, and then its chunks."""

    facts: ImageFacts
    notes: ImageNotes
    """Hearsay: the id says nothing of them."""
    page_roots: bytes
    """32 bytes for each page of leaves."""


def summary_bytes(summary: ImageSummary) -> bytes:
    """The summary as it travels."""
    return encode(summary)


def believed_summary(image: Digest, data: bytes) -> ImageSummary | None:
    """The summary in those bytes; None if they are none, or not that of this image."""
    try:
        summary = decode(data, ImageSummary, limit_bytes=SUMMARY_MOST_BYTES)
    except Malformed:
        return None
    whole = verify_pages(image, summary.facts, split(summary.page_roots))
    return summary if whole and len(summary.page_roots) % 32 == 0 else None
