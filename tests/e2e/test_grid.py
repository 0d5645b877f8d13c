"""A real grid on two hosts whose daemons are killed again and again: it comes up once, and goes wholly."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from federation import orders, traces
from federation.launch import Caps, Federation, Host, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.adapters.credentials import load_host
from overlayd.api.views import ConsoleRequest, ConsoleView, GridView
from overlayd.assembly import OWNER_TAG
from overlayd.ports.images import ImageInfo
from protocol.grid.model import (
    Encryption,
    GridSpec,
    Mount,
    NetworkSpec,
    PlacementSpec,
    Spread,
    VolumeSpec,
)
from protocol.requesting.request import RequestState
from protocol.terms.ids import digest_of, short_hash
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "killed",
    (
        Site("ams", "198.51.100.0/28", (LabHost("a", "198.51.100.1"),)),
        Site("bnl", "198.51.100.16/28", (LabHost("b", "198.51.100.17"),)),
    ),
)
OWN_DISK = 64 << 20
FIND_OWN = (
    "d=$(grep -lx scratch /sys/block/*/serial); "
    "echo own-$(cat ${d%serial}size)-$(grep -c ' /scratch ' /proc/mounts)\n"
)
SECRET = b"correct-horse"
SETUP = b"#!/bin/sh\n: " + SECRET + b"\necho set-up-$(hostname)-$((6*7)) >/run/set-up\n"
"""What each guest is given to run at its first boot, with something that nobody else may see."""
READY = "guest ready:"
KILLS = 5
UP_WITHIN_S = 120


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts, each with room for one of the grid's guests."""
    with two_hosts(TOPOLOGY, Caps(cpus="1", memory="512M", disk="512M")) as made:
        yield made


def spec_of(image: ImageInfo) -> GridSpec:
    """A workspace on each host, each with a disk of its own; one network, a volume."""
    plain = orders.spec("real", image, 2, memory_bytes=128 << 20)
    cluster = msgspec.structs.replace(
        plain.clusters[0],
        cpus_milli=800,
        networks=("lan",),
        scratch_bytes=OWN_DISK,
        user_data=digest_of(SETUP),
    )
    lone = msgspec.structs.replace(
        cluster, name="head", count=1, minimum=1, mounts=(Mount("data", "/srv"),)
    )
    return msgspec.structs.replace(
        plain,
        clusters=(lone, msgspec.structs.replace(cluster, count=1, minimum=1)),
        networks=(NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),),
        volumes=(VolumeSpec("data", 32 << 20),),
        placement=PlacementSpec(spread=Spread.HOST),
    )


def guests(federation: Federation) -> Counter[str]:
    """How many processes there are of each guest, on all hosts."""
    found: Counter[str] = Counter()
    for host in federation.hosts.values():
        found.update(traces.guest_names(host))
    return found


def left(federation: Federation) -> list[str]:
    tags = []
    for host in federation.hosts.values():
        keys = federation.identity(host.site) / "hosts" / host.name
        tags.append(short_hash(load_host(keys).identity.key, digits=OWNER_TAG))
    on_hosts = [f"{h.name}: {x}" for h in federation.hosts.values() for x in traces.of_host(h)]
    return on_hosts + traces.of_machine(tags)


def lines(host: Host) -> int:
    return host.log.read_bytes().count(b"\n")


def revive(federation: Federation, name: str) -> None:
    federation.kill(name)
    federation.start(name)
    federation.wait_ready(federation.hosts[name])


def ready(federation: Federation) -> bool:
    views = [orders.grid(host, "real") for host in federation.hosts.values()]
    return all(v is not None and _is_ready(v) for v in views)


def _is_ready(view: GridView) -> bool:
    """Whether each guest has said that it is ready, and by which key it is known."""
    keys = [row.host_keys for row in view.workspaces]
    ready = {row.phase for row in view.workspaces} == {"ready"}
    return ready and all(key and key[0].startswith("ssh-ed25519 ") for key in keys)


def test_daemons_killed_while_they_build(federation: Federation) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    admin = federation.identity("ams")
    request = orders.give(a, orders.up(admin, spec_of(image), a), (SETUP,))
    wait_for(
        lambda: orders.view(a, request).stage == "building" or _ended(a, request), 30, "the commit"
    )
    dice = random.Random(20)
    for turn in range(KILLS):
        host = (b, a)[turn % 2]
        after = lines(host) + dice.randrange(6)
        wait_for(lambda h=host, n=after: lines(h) >= n or ready(federation), 60, "a moment")
        revive(federation, host.name)
    wait_for(lambda: ready(federation), UP_WITHIN_S, "both workspaces answer")
    once = guests(federation)
    assert sorted(once.values()) == [1, 1], once
    for host in (a, b):
        revive(federation, host.name)
    wait_for(lambda: ready(federation), UP_WITHIN_S, "both daemons find what they have")
    assert guests(federation) == once
    _consoles(federation, admin)
    _own_disks(a, admin)
    _set_up(federation, admin)
    given = orders.give(a, orders.signed(admin, Action.DOWN, "real"))
    wait_for(lambda: orders.view(a, given).stage != "asking stewards", 20, "the decision")
    revive(federation, "b")
    assert orders.answer(a, given).state is RequestState.DONE
    try:
        wait_for(lambda: not left(federation), 30, "nothing is left")
    except RuntimeError:
        pytest.fail("left behind: " + "; ".join(left(federation)))
    assert [orders.me(host).carried for host in (a, b)] == [0, 0]


def _consoles(federation: Federation, admin: Path) -> None:
    """Types into and reads each workspace's console through both hosts. Another site's admin is refused."""
    for number, host in enumerate(federation.hosts.values()):
        for name in ("head-1", "n-1"):
            keys = f"echo {host.name}-$(({number}+41))\n"
            typed(host, admin, name, keys, f"{host.name}-{number + 41}")
        stranger = federation.identity("bnl")
        with pytest.raises(httpx.HTTPStatusError) as caught:
            console(host, stranger, "n-1", b"reboot -f\n")
        assert "belongs to site ams" in caught.value.response.text


def _set_up(federation: Federation, admin: Path) -> None:
    """Each guest ran what it was given, and nobody else was told what that is."""
    a, b = federation.hosts["a"], federation.hosts["b"]
    for name in ("head-1", "n-1"):
        typed(b, admin, name, "cat /run/set-up\n", f"set-up-{name}-42")
        assert SECRET.decode() not in console(a, admin, name)
    for host in (a, b):
        state = host.folder / "state"
        told = [host.log, *state.glob("console/*"), *state.glob("*.sqlite*")]
        assert [p for p in told if p.is_file() and SECRET in p.read_bytes()] == []
        assert SECRET not in host.ask("GET", "events").content
        (kept,) = state.glob("attachments/*/*")
        assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (SETUP, 0o600)


def _own_disks(host: Host, admin: Path) -> None:
    """Each workspace has a disk of the size that was asked for. What is on it outlives a restart."""
    for name in ("head-1", "n-1"):
        typed(host, admin, name, FIND_OWN, f"own-{OWN_DISK // 512}-1")
        typed(host, admin, name, f"echo {name} >/scratch/note; sync; echo now-$((6*7))\n", "now-42")
    before = console(host, admin, "n-1").count(READY)
    again = orders.obeyed(host, orders.signed(admin, Action.RESTART, "real", "n-1"), UP_WITHIN_S)
    assert again.state is RequestState.DONE, again.answer

    def listens() -> bool:
        *boots, last = console(host, admin, "n-1").split(READY)
        return len(boots) > before and "root@n-1" in last

    wait_for(listens, 60, "n-1 has a shell on its console again")
    typed(host, admin, "n-1", "echo found-$(cat /scratch/note)\n", "found-n-1")


def typed(host: Host, admin: Path, workspace: str, keys: str, answer: str) -> None:
    """Types into a console, which then shows that answer."""
    console(host, admin, workspace, keys.encode())
    shown = f"{workspace} shows {answer}"
    wait_for(lambda: answer in console(host, admin, workspace), 20, shown)


def console(host: Host, admin: Path, workspace: str, keys: bytes = b"") -> str:
    """The end of what a console shows."""
    about = orders.id_of(host, "real")
    order = orders.signed(admin, Action.CONSOLE, about, workspace, via=host)
    body = msgspec.json.encode(ConsoleRequest(order, 0, keys))
    view = msgspec.json.decode(host.ask("POST", "console", body).content, type=ConsoleView)
    return view.data.decode(errors="replace")


def _ended(host: Host, request: str) -> bool:
    view = orders.view(host, request)  # type: ignore[arg-type]  # a RequestId is a str
    if view.state is RequestState.FAILED:
        pytest.fail("\n".join(view.answer))
    return view.state is RequestState.DONE
