"""Unfinished fetches on a disk: what is here is found again, and nothing that is wrong is kept."""

import os
from pathlib import Path

import pytest

from overlayd.adapters.partials import DirectoryPartial, DirectoryPartials
from overlayd.ports.images import ImageError
from overlayd.ports.partials import Local, PagePlan
from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import CHUNK_BYTES, id_of, leaf_of, page_roots
from protocol.image.summary import ImageSummary
from protocol.terms.architecture import Architecture

LAST = 1000
CHUNKS = [os.urandom(CHUNK_BYTES) for _ in range(3)] + [os.urandom(LAST)]
LEAVES = [leaf_of(chunk) for chunk in CHUNKS]
SIZE = 3 * CHUNK_BYTES + LAST
FACTS = ImageFacts(ImageKind.DISK, SIZE, Architecture.X86_64, Firmware.BIOS)
SUMMARY = ImageSummary(FACTS, ImageNotes(), b"".join(page_roots(LEAVES)))
IMAGE = id_of(FACTS, LEAVES)


@pytest.fixture
def partials(tmp_path: Path) -> DirectoryPartials:
    (tmp_path / "fetching").mkdir()
    return DirectoryPartials(tmp_path, "boot one")


def begun(partials: DirectoryPartials) -> DirectoryPartial:
    partial = partials.begin(IMAGE, SUMMARY)
    assert partial.keep_page(0, b"".join(LEAVES))
    return partial


def found(partials: DirectoryPartials) -> DirectoryPartial:
    partial = partials.find(IMAGE)
    assert partial is not None
    return partial


def test_a_new_one_has_the_length_of_the_image_and_takes_no_room(
    partials: DirectoryPartials,
) -> None:
    partial = partials.begin(IMAGE, SUMMARY)
    assert partial.pages_missing() == [0]
    content = (partial.folder / "content").stat()
    assert (content.st_size, content.st_blocks) == (SIZE, 0)
    assert [left.digest for left in partials.left()] == [IMAGE]
    partial.close()


def test_leaves_and_chunks_are_kept_only_if_they_are_right(partials: DirectoryPartials) -> None:
    partial = partials.begin(IMAGE, SUMMARY)
    right = b"".join(LEAVES)
    for wrong in (b"", right[:-32], right + right[:32], right[::-1], right[:-1]):
        assert not partial.keep_page(0, wrong)
    assert partial.keep_page(0, right)
    assert partial.plan(0) == PagePlan((0, 1, 2, 3), ())
    for wrong in (b"", CHUNKS[0], CHUNKS[1][:-1], CHUNKS[1] + b"x"):
        assert not partial.keep(1, wrong)
    assert partial.keep(1, CHUNKS[1])
    assert partial.plan(0) == PagePlan((0, 2, 3), ())
    assert partial.here_bytes() == CHUNK_BYTES
    assert partial.wanted_bytes() == 2 * CHUNK_BYTES + LAST
    partial.close()


def test_a_killed_process_finds_it_again(partials: DirectoryPartials) -> None:
    partial = begun(partials)
    for index in (0, 3):
        assert partial.keep(index, CHUNKS[index])
    again = found(partials)  # The first one is not closed, as after a kill.
    assert again.pages_missing() == []
    assert again.plan(0).fetch == (1, 2)
    assert again.summary == SUMMARY
    again.close()
    partial.close()


def test_after_another_start_of_the_machine_each_chunk_is_looked_at(
    partials: DirectoryPartials, tmp_path: Path
) -> None:
    partial = begun(partials)
    for index in (0, 1, 3):
        assert partial.keep(index, CHUNKS[index])
    partial.close()
    with (partial.folder / "content").open("r+b") as file:
        file.seek(CHUNK_BYTES + 5)
        file.write(bytes(100))  # What a power cut leaves of a chunk.
    later = DirectoryPartials(tmp_path, "boot two")
    again = found(later)
    assert again.plan(0).fetch == (1, 2)
    again.close()
    again = found(later)
    assert again.plan(0).fetch == (1, 2)
    again.close()


@pytest.mark.parametrize("left", ["", "summary.new", "content"])
def test_one_that_was_killed_while_it_began_is_thrown_away(
    partials: DirectoryPartials, tmp_path: Path, left: str
) -> None:
    folder = tmp_path / "fetching" / IMAGE
    folder.mkdir()
    if left:
        (folder / left).write_bytes(b"half")
    assert partials.find(IMAGE) is None
    assert not folder.exists()


def test_what_an_older_build_left_is_thrown_away(
    partials: DirectoryPartials, tmp_path: Path
) -> None:
    (tmp_path / "fetching" / IMAGE).write_bytes(b"a file, as it was once")
    assert partials.find(IMAGE) is None
    assert partials.left() == []


@pytest.mark.parametrize("name", ["leaves", "here", "content"])
def test_one_whose_files_are_cut_off_is_mended(partials: DirectoryPartials, name: str) -> None:
    partial = begun(partials)
    assert partial.keep(2, CHUNKS[2])
    partial.close()
    os.truncate(partial.folder / name, 0)
    again = DirectoryPartials(partial.folder.parent.parent, "boot two").find(IMAGE)
    assert again is not None
    if again.pages_missing():
        assert again.keep_page(0, b"".join(LEAVES))
    for index in again.plan(0).fetch:
        assert again.keep(index, CHUNKS[index])
    assert again.plan(0).done
    assert (again.folder / "content").read_bytes() == b"".join(CHUNKS)
    again.close()


def test_a_chunk_of_another_image_is_found_and_copied(
    partials: DirectoryPartials, tmp_path: Path
) -> None:
    other = tmp_path / ("b" * 64)
    other.mkdir()
    (other / "content").write_bytes(b"x" * CHUNK_BYTES + CHUNKS[2] + CHUNKS[0])
    (other / "leaves").write_bytes(leaf_of(b"x") + LEAVES[2] + LEAVES[0])
    partial = begun(partials)
    plan = partial.plan(0)
    assert plan.fetch == (1, 3)
    assert [(local.index, local.offset) for local in plan.copy] == [
        (2, CHUNK_BYTES),
        (0, 2 * CHUNK_BYTES),
    ]
    assert all(map(partial.copy, plan.copy))
    assert partial.plan(0) == PagePlan((1, 3), ())
    partial.close()


@pytest.mark.parametrize("fault", ["rotten", "short", "gone"])
def test_a_chunk_that_is_not_what_its_leaf_says_is_fetched(
    partials: DirectoryPartials, tmp_path: Path, fault: str
) -> None:
    other = tmp_path / ("b" * 64)
    other.mkdir()
    content = {"rotten": os.urandom(CHUNK_BYTES), "short": b"x", "gone": b""}[fault]
    (other / "content").write_bytes(content)
    (other / "leaves").write_bytes(LEAVES[0])
    partial = begun(partials)
    (local,) = partial.plan(0).copy
    if fault == "gone":
        (other / "content").unlink()
    assert not partial.copy(local)
    assert partial.plan(0) == PagePlan((0, 1, 2, 3), ())
    assert partial.keep(0, CHUNKS[0])
    partial.close()


def test_a_closed_one_touches_no_file(partials: DirectoryPartials) -> None:
    partial = begun(partials)
    partial.close()
    partial.close()
    with pytest.raises(ImageError, match="given up"):
        partial.keep(0, CHUNKS[0])
    with pytest.raises(ImageError, match="given up"):
        partial.copy(Local(0, "/dev/zero", 0))


def test_what_is_thrown_away_says_what_that_frees(partials: DirectoryPartials) -> None:
    partial = begun(partials)
    assert partial.keep(0, CHUNKS[0])
    partial.close()
    assert partials.remove(IMAGE) >= CHUNK_BYTES
    assert partials.left() == []
    assert partials.remove(IMAGE) == 0


def test_a_digest_is_never_a_path(partials: DirectoryPartials) -> None:
    for digest in ("", "../../etc", "A" * 64):
        with pytest.raises(ImageError, match="not an image's digest"):
            partials.find(digest)  # type: ignore[arg-type]  # it is a stranger's
