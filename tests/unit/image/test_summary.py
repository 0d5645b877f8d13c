"""A summary is believed when it fits the id, whatever else is in it."""

import msgspec
import pytest

from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import CHUNK_BYTES, PAGE, id_of, leaf_of, page_roots
from protocol.image.summary import (
    SUMMARY_MOST_BYTES,
    ImageSummary,
    believed_summary,
    summary_bytes,
)
from protocol.terms.architecture import Architecture

LEAVES = [leaf_of(b"a")] * PAGE + [leaf_of(b"b")]
FACTS = ImageFacts(ImageKind.DISK, PAGE * CHUNK_BYTES + 1, Architecture.X86_64, Firmware.UEFI)
ROOTS = b"".join(page_roots(LEAVES))
SUMMARY = ImageSummary(FACTS, ImageNotes(origin="debian.qcow2"), ROOTS)
IMAGE = id_of(FACTS, LEAVES)


def test_what_fits_the_id_is_believed() -> None:
    assert believed_summary(IMAGE, summary_bytes(SUMMARY)) == SUMMARY


def test_notes_are_hearsay() -> None:
    other = msgspec.structs.replace(SUMMARY, notes=ImageNotes(default_user="root"))
    assert believed_summary(IMAGE, summary_bytes(other)) == other


WRONG = {
    "other facts": msgspec.structs.replace(
        SUMMARY, facts=msgspec.structs.replace(FACTS, firmware=Firmware.BIOS)
    ),
    "shorter": msgspec.structs.replace(
        SUMMARY, facts=msgspec.structs.replace(FACTS, content_bytes=FACTS.content_bytes - 1)
    ),
    "a root less": msgspec.structs.replace(SUMMARY, page_roots=ROOTS[:32]),
    "a byte more": msgspec.structs.replace(SUMMARY, page_roots=ROOTS + b"x"),
    "no roots": msgspec.structs.replace(SUMMARY, page_roots=b""),
    "other roots": msgspec.structs.replace(SUMMARY, page_roots=ROOTS[::-1]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_not(case: str) -> None:
    assert believed_summary(IMAGE, summary_bytes(WRONG[case])) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", bytes(SUMMARY_MOST_BYTES + 1), summary_bytes(SUMMARY)[:-1]]
)
def test_what_is_no_summary_is_not(data: bytes) -> None:
    assert believed_summary(IMAGE, data) is None


def test_the_largest_is_within_the_limit() -> None:
    note = "\N{GRINNING FACE}" * 1024
    roots = bytes(32) * (1 << 40 >> 32)
    notes = ImageNotes("u" * 32, 1 << 50, note, note)
    assert len(summary_bytes(ImageSummary(FACTS, notes, roots))) <= SUMMARY_MOST_BYTES
