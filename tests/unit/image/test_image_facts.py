"""Facts and notes of an image, as they are read from strangers: bounded."""

import pytest

from protocol.image.facts import CONTENT_BYTES_MOST, Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.terms.architecture import Architecture
from protocol.wire.codec import Malformed, decode, encode

FACTS = ImageFacts(ImageKind.DISK, 3 << 30, Architecture.X86_64, Firmware.UEFI)


def test_facts_are_read_as_they_were_written() -> None:
    assert decode(encode(FACTS), ImageFacts) == FACTS


@pytest.mark.parametrize("size", [0, -1, CONTENT_BYTES_MOST + 1, 8 << 60])
def test_an_impossible_length_is_not_read(size: int) -> None:
    with pytest.raises((Malformed, OverflowError)):
        decode(encode(ImageFacts(ImageKind.DISK, size, Architecture.X86_64)), ImageFacts)


def test_a_long_note_is_not_read() -> None:
    with pytest.raises(Malformed):
        decode(encode(ImageNotes(origin="x" * 1025)), ImageNotes)
