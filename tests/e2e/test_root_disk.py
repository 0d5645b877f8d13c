"""Root disks of real guests: what is written stays, becomes an image, and goes with its workspace.

The image boots in seconds, so its guest mounts nothing: it writes behind the root's file system.
"""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from carried import Workspace
from federation import orders, traces
from federation.launch import Caps, Federation, Host, wait_for
from tiny_disk import FREE_MIB, LOADERS, ROOT_MIB, SECTOR, make
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.ports.images import ImageInfo
from protocol.grid.model import Encryption, GridSpec, NetworkSpec, PlacementSpec
from protocol.image.commit import CommitStage, CommitTerms, CommitView
from protocol.requesting.request import RequestState
from protocol.trust.order import Action
from protocol.wire.codec import encode

pytestmark = pytest.mark.timeout(600)

TOPOLOGY = Topology(
    "roots",
    (
        Site("ams", "198.51.100.0/28", (LabHost("a", "198.51.100.1"),)),
        Site("bnl", "198.51.100.16/28", (LabHost("b", "198.51.100.17"),)),
    ),
)
UP_WITHIN_S = 150
IMAGE_BYTES = LOADERS[1] * SECTOR + ((ROOT_MIB + FREE_MIB) << 20)
DISK_BYTES = IMAGE_BYTES + (32 << 20)
FREE_AT = LOADERS[1] * SECTOR + (ROOT_MIB << 20)
BEYOND_AT = IMAGE_BYTES + (16 << 20)


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts, each with room for one guest."""
    with two_hosts(TOPOLOGY, Caps(cpus="1", memory="512M", disk="1G")) as made:
        yield made


def spec_of(name: str, image: ImageInfo, host: str, net: int) -> GridSpec:
    """One workspace on that host, with a root disk that is larger than its image."""
    plain = orders.spec(name, image, 1, memory_bytes=256 << 20)
    cluster = msgspec.structs.replace(
        plain.clusters[0], cpus_milli=800, networks=("lan",), disk_bytes=DISK_BYTES
    )
    return msgspec.structs.replace(
        plain,
        clusters=(cluster,),
        networks=(NetworkSpec("lan", f"10.{net}.0.0/24", Encryption.NONE),),
        placement=PlacementSpec(exclude=tuple({"a", "b"} - {host})),
    )


def up(federation: Federation, spec: GridSpec) -> Workspace:
    admin = federation.identity("ams")
    done = orders.obeyed(
        federation.hosts["a"], orders.up(admin, spec, federation.hosts["a"]), UP_WITHIN_S
    )
    assert done.state is RequestState.DONE, done.answer
    return Workspace(federation, spec.name, "n-1")


def writes(guest: Workspace, word: str, at: int) -> None:
    """Writes a word to the guest's root disk, and waits until it is there."""
    guest.prompts(1)
    tell = f"echo {word} | dd of=/dev/vda bs=512 seek={at // SECTOR} conv=fsync && echo wrote-{at}"
    guest.console(f"{tell}-$((40+2))\n".encode())
    wait_for(lambda: f"wrote-{at}-42" in guest.console(), 30, f"{word} is written")


def reads(guest: Workspace, word: str, at: int) -> None:
    """Waits until the guest shows that its root disk has that word there."""
    asked = secrets.token_hex(4)
    guest.console(
        f"dd if=/dev/vda bs=512 skip={at // SECTOR} count=1 2>/dev/null | head -n 1 |"
        f" sed s/^/{asked}-/\n".encode()
    )
    wait_for(lambda: f"{asked}-{word}" in guest.console(), 30, f"it still has {word}")


def commit(guest: Workspace, terms: CommitTerms) -> CommitView:
    """Begins a commit, or hears how far it is."""
    order = orders.signed(
        guest.admin, Action.COMMIT, guest.grid, guest.name, encode(terms), via=guest.host
    )
    said = guest.host.ask("POST", "commits", msgspec.json.encode(order))
    return msgspec.json.decode(said.content, type=CommitView)


def committed(guest: Workspace, name: str) -> CommitView:
    terms = CommitTerms(name, secrets.token_hex(8))
    wait_for(lambda: commit(guest, terms).over, 60, "the commit is over")
    return commit(guest, terms)


def images(host: Host) -> dict[str, str]:
    rows = msgspec.json.decode(host.ask("GET", "images").content, type=list[dict[str, object]])
    return {str(row["name"]): str(row["digest"]) for row in rows}


def files(guest: Workspace, folder: str) -> list[str]:
    return sorted(os.listdir(guest.state / folder))


def test_a_root_disk_from_its_first_write_to_its_end(
    federation: Federation, tmp_path: Path
) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, make(tmp_path), "tiny")
    first = up(federation, spec_of("first", image, "a", 60))
    (root,) = files(first, "roots")

    # What is written stays, inside the image's size and behind it: over a restart, and a death of everything.
    writes(first, "within", FREE_AT)
    writes(first, "beyond", BEYOND_AT)
    first.obey(Action.RESTART)
    first.prompts(2)
    reads(first, "within", FREE_AT)
    federation.kill("a")
    for pid in traces.guests(a).values():
        os.kill(pid, signal.SIGKILL)
    federation.start("a")
    federation.wait_ready(a)
    first.prompts(3)
    reads(first, "within", FREE_AT)
    reads(first, "beyond", BEYOND_AT)
    assert files(first, "roots") == [root]

    # A commit that its host's death interrupts leaves nothing, and its guest goes on.
    for turn in range(3):
        commit(first, CommitTerms(f"cut-{turn}", secrets.token_hex(8)))
        time.sleep(0.2 * turn)  # So that it dies at another step.
        federation.kill("a")
        federation.start("a")
        federation.wait_ready(a)
        wait_for(lambda: files(first, "commits") == [], 30, "nothing is left of it")
    reads(first, "within", FREE_AT)

    # What it makes is there for others at once, and has what was installed.
    made = committed(first, "mine")
    assert (made.stage, made.detail[:13]) == (CommitStage.DONE, "it was paused"), made
    assert made.size_bytes < IMAGE_BYTES + (8 << 20), "zeros take no room"
    reads(first, "within", FREE_AT)
    wait_for(lambda: images(b).get("mine") == made.digest, 20, "b has heard of it")
    named = msgspec.structs.replace(image, names=("mine",), digest=made.digest)
    second = up(federation, spec_of("second", named, "b", 61))
    second.prompts(1)
    reads(second, "within", FREE_AT)
    reads(second, "beyond", BEYOND_AT)

    # It goes with its workspace.
    for guest in (first, second):
        done = orders.obeyed(a, orders.signed(guest.admin, Action.DOWN, guest.grid), 60)
        assert done.state is RequestState.DONE, done.answer
        wait_for(lambda g=guest: files(g, "roots") == [], 60, "its root disk is gone")
        assert files(guest, "commits") == []
