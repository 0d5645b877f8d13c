"""Disks brought to real daemons: one disk is one image wherever it is added, and what was there stays there."""

import lzma
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import Host, wait_for
from loopback import Daemons, make_daemons

from overlayd.api.views import ImageRow
from protocol.grid.model import PlacementSpec
from protocol.image.merkle import CHUNK_BYTES
from protocol.requesting.request import RequestState

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from some_disks import converted, mbr

CHUNKS = 40
CHANGED = CHUNKS // 20


@pytest.fixture
def two(folder: Path) -> Iterator[Daemons]:
    """Two hosts at two sites, without an image."""
    daemons = make_daemons(folder, ("ams", "bnl"))
    with daemons:
        daemons.start_all()
        daemons.wait_converged()
        yield daemons


def disk(changed: int = 0) -> bytes:
    """A disk of which no chunk is there twice; of another version so many chunks differ."""
    head = mbr(CHUNKS * CHUNK_BYTES)[:CHUNK_BYTES]
    chunks = [b"chunk %04d of 1\n" % n * (CHUNK_BYTES // 16) for n in range(1, CHUNKS)]
    for number in range(changed):
        chunks[number * 20 + 7] = b"chunk %04d of 2\n" % number * (CHUNK_BYTES // 16)
    return head + b"".join(chunks)


def ctl(host: Host, *words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "overlayd.cli.main", "--peer", host.socket, *words]
    return subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def add(host: Host, file: Path, name: str) -> None:
    out, error = ctl(host, "image", "add", file, "--name", name).communicate(timeout=120)
    assert out.startswith(b"added"), error.decode()


def rows(host: Host) -> dict[str, ImageRow]:
    found = msgspec.json.decode(host.ask("GET", "images").content, type=list[ImageRow])
    return {row.name: row for row in found}


def whose(host: Host, name: str) -> set[str]:
    """The hosts that have an image, as one of them knows it."""
    row = rows(host).get(name)
    return {host.name for host in row.hosts} if row else set()


def test_one_disk_in_two_formats_is_one_image_and_of_its_next_version_the_difference_moves(
    two: Daemons, folder: Path
) -> None:
    h1, h2 = two.hosts["h1"], two.hosts["h2"]
    packed = folder / "disk.raw.xz"
    packed.write_bytes(lzma.compress(disk(), preset=0))
    add(h1, converted(disk(), "qcow2", folder), "debian")
    add(h2, packed, "debian")
    wait_for(lambda: whose(h1, "debian") == {"h1", "h2"}, 30, "both have one image, and know it")
    assert len(rows(h1)) == 1

    add(h1, converted(disk(CHANGED), "vmdk", folder), "newer")
    newer = wait_for(lambda: rows(h2).get("newer"), 30, "h2 has heard of the newer one")
    assert newer.digest != rows(h2)["debian"].digest
    spec = orders.spec("next", newer, 1)
    spec = msgspec.structs.replace(spec, placement=PlacementSpec(sites=("bnl",)))
    done = orders.obeyed(h1, orders.up(two.identity("ams"), spec, h1))
    assert done.state is RequestState.DONE, done.answer
    lines = [line for line in h2.log.read_bytes().splitlines() if b'"image.fetched"' in line]
    (said,) = map(msgspec.json.decode, lines)
    assert said["fetched_bytes"] == CHANGED * CHUNK_BYTES, "a twentieth moves"
    assert said["copied_bytes"] == (CHUNKS - CHANGED) * CHUNK_BYTES, "the rest was there"


def test_an_import_that_is_killed_on_either_side_leaves_nothing(two: Daemons) -> None:
    h2 = two.hosts["h2"]
    uploads = h2.folder / "state" / "uploads"

    def receiving() -> bool:
        return any(path.stat().st_size for path in uploads.iterdir())

    for killed in ("command", "daemon"):
        adding = ctl(h2, "image", "add", "-", "--name", "other")
        assert adding.stdin is not None
        adding.stdin.write(disk()[: 6 * CHUNK_BYTES])
        adding.stdin.flush()
        wait_for(receiving, 30, "some of it came")
        if killed == "command":
            adding.kill()
        else:
            two.kill("h2")
            two.restart("h2")
        wait_for(lambda: not [*uploads.iterdir()], 30, "nothing of it is left")
        adding.stdin.close()
        assert adding.wait(30) != 0
        adding.stdin = None
        adding.communicate()
    assert rows(h2) == {}
    assert {path.name for path in (h2.folder / "state" / "images").iterdir()} <= {
        "fetching",
        "names.json",
    }
