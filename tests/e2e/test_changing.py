"""Real guests while their grid is changed: what a change does not name never misses an answer nor starts again.

Answers are counted by the guests' kernels. A `ping` that waits for the cpu loses those for which its socket has
no room, and tells nobody.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from carried import WITHIN_S, Workspace
from federation import orders
from federation.launch import Caps, Federation, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from protocol.grid.model import Encryption, GridSpec, ImageRef, NetworkSpec, Spread
from protocol.grid.record import ApplyTerms
from protocol.requesting.request import RequestState
from protocol.trust.order import Action
from protocol.wire.codec import encode

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "grows",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
GRID = "grows"
MIB = 1 << 20
SMALL, LARGE, RATE = (1000, 96 * MIB), (1500, 160 * MIB), 50 * MIB
COUNTS = "i=0; while sleep 0.1; do i=$((i+1)); echo $i >/run/next; mv /run/next /run/count; done &"
EDITION = "grep -c edition=2 /proc/cmdline"
"""How many of its kernel's arguments say that it is of the other image."""
COUNTED = "cat /run/count"
MEMORY = "awk '/^MemTotal/ {print $2}' /proc/meminfo"


@pytest.fixture
def federation() -> Iterator[Federation]:
    with two_hosts(TOPOLOGY, Caps("2", "640M", "512M")) as made:
        yield made


def second_edition(folder: Path) -> Path:
    """The guest image, whose kernel is told that it is another."""
    path = folder / "second.img"
    with tarfile.open(IMAGE) as old, tarfile.open(path, "w") as new:
        for part in old:
            content = old.extractfile(part).read()
            if part.name == "image.json":
                said = json.loads(content)
                said |= {"name": "second", "cmdline": f"{said['cmdline']} edition=2"}
                content = json.dumps(said).encode()
            part.size = len(content)
            new.addfile(part, BytesIO(content))
    return path


def sized(spec: GridSpec, cpus_milli: int, memory_bytes: int, disk_bytes_s: int = 0) -> GridSpec:
    """The specification with other sizes of its first cluster."""
    cluster = msgspec.structs.replace(
        spec.clusters[0],
        cpus_milli=cpus_milli,
        memory_bytes=memory_bytes,
        disk_bytes_s=disk_bytes_s,
    )
    return msgspec.structs.replace(spec, clusters=(cluster, *spec.clusters[1:]))


def beside(spec: GridSpec, image: ImageRef) -> GridSpec:
    """The specification with another cluster, of that image."""
    more = msgspec.structs.replace(spec.clusters[0], name="m", image=image)
    return msgspec.structs.replace(spec, clusters=(*spec.clusters, more))


def apply(federation: Federation, spec: GridSpec, epoch: int) -> None:
    """Makes the grid what that says."""
    body = encode(ApplyTerms(spec, epoch))
    order = orders.signed(federation.identity("ams"), Action.APPLY, GRID, body=body)
    done = orders.obeyed(federation.hosts["a"], order, WITHIN_S)
    assert done.state is RequestState.DONE, done.answer


def says(workspace: Workspace, command: str) -> str:
    """What a command writes in a guest, between two marks that its echo does not have."""
    number = workspace.console().count("says-") + 1
    mark = f"says-{number}"
    workspace.console(f"echo {mark}'='; {command}; echo {mark}'='\n".encode())
    found = re.compile(rf"^{mark}=\r?\n(.*?)^{mark}=\r?$", re.MULTILINE | re.DOTALL)
    said = wait_for(lambda: found.search(workspace.console()), WITHIN_S, f"answer to {command}")
    return said[1].strip()


def counts(workspace: Workspace, command: str) -> int:
    """The number that a command writes in a guest."""
    return int(says(workspace, command))


def comes_to(workspace: Workspace, command: str, number: int) -> None:
    """Waits until that is no less."""
    wait_for(lambda: counts(workspace, command) >= number, 20, f"{command} says {number}")


def echoes(workspace: Workspace) -> tuple[int, int]:
    """How often a guest's kernel asked for an echo, and had one."""
    names, numbers = says(workspace, "grep ^IcmpMsg: /proc/net/snmp").splitlines()
    counted = dict(zip(names.split(), numbers.split(), strict=True))
    return int(counted["OutType8"]), int(counted["InType0"])


def has_every_answer(workspace: Workspace) -> int:
    """Waits until a guest that asks no more has every echo it asked for. Answers how many."""
    asked, had = echoes(workspace)
    wait_for(lambda: echoes(workspace)[1] == asked, 20, f"all {asked} echoes, of which {had} came")
    return asked


def told_s(workspace: Workspace, phase: str) -> list[float]:
    """When its host told that phase of it."""
    events = workspace.events("workspace.phase")
    return [event.at_s for event in events if event.detail.split()[0] == phase]


def test_who_stays_misses_no_answer_and_is_never_started_again(
    federation: Federation, tmp_path: Path
) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    first = orders.add_image(a, IMAGE)
    second = orders.add_image(a, second_edition(tmp_path))
    wait_for(lambda: len(orders.peers(b)["a"].images) == 2, 20, "b has heard of both images")
    plain = orders.spec(GRID, first, 2)
    cluster = msgspec.structs.replace(
        plain.clusters[0], networks=("lan",), max_cpus_milli=2000, max_memory_bytes=192 * MIB
    )
    networks = (NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),)
    apart = msgspec.structs.replace(plain.placement, spread=Spread.HOST)
    spec = sized(
        msgspec.structs.replace(plain, clusters=(cluster,), networks=networks, placement=apart),
        *SMALL,
    )
    done = orders.obeyed(a, orders.up(federation.identity("ams"), spec, a), WITHIN_S)
    assert done.state is RequestState.DONE, done.answer
    stay = [Workspace(federation, GRID, f"n-{number}") for number in (1, 2)]
    assert stay[0].host is not stay[1].host
    for one, other in zip(stay, ("10.42.0.11", "10.42.0.10"), strict=True):
        one.prompts(1)
        one.console(f"ping -i 0.01 {other} >/dev/null 2>&1 &\n{COUNTS}\n".encode())
    pids = [one.pid() for one in stay]

    images = [ImageRef(image.name, image.digest) for image in (first, second)]
    _others_come_and_go(federation, spec, *images)
    for one in stay:
        says(one, "killall ping")
        assert has_every_answer(one) > 500
    _resized(federation, spec, stay)
    assert [one.pid() for one in stay] == pids
    assert [one.console().count("Enter 'help'") for one in stay] == [1, 1]


def _others_come_and_go(
    federation: Federation, spec: GridSpec, first: ImageRef, second: ImageRef
) -> None:
    """A third and a fourth come, roll to another image one by one, and back, and go."""
    apply(federation, beside(spec, first), 1)
    others = [Workspace(federation, GRID, f"m-{number}") for number in (1, 2)]
    assert others[0].host is not others[1].host
    apply(federation, beside(spec, second), 2)
    assert [counts(one, EDITION) for one in others] == [1, 1]
    rolled_back = federation.ctl("a", "rollback", GRID, "--yes")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert [counts(one, EDITION) for one in others] == [0, 0]
    began_s, next_s = [told_s(one, "booting") for one in others]
    assert len(began_s) == len(next_s) == 3
    for mine_s, its_s in zip(began_s[1:], next_s[1:], strict=True):
        assert any(mine_s < at_s < its_s for at_s in told_s(others[0], "ready"))
    apply(federation, spec, 4)


def _resized(federation: Federation, spec: GridSpec, stay: list[Workspace]) -> None:
    """They grow and shrink again, and what runs in them runs on."""
    memory = [counts(one, MEMORY) for one in stay]
    apply(federation, sized(spec, *LARGE, RATE), 5)
    for one, had in zip(stay, memory, strict=True):
        larger = "160 MiB of memory, 50 MiB/s of its disks, without a restart"
        one.happened("machine.resized", larger)
        comes_to(one, "nproc", 2)
        assert counts(one, MEMORY) - had == 64 << 10
    apply(federation, spec, 6)
    for one, had in zip(stay, memory, strict=True):
        one.happened("machine.resized", "96 MiB of memory, without a restart")
        assert counts(one, MEMORY) == had
        comes_to(one, COUNTED, counts(one, COUNTED) + 1)
