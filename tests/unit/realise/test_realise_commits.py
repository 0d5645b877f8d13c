"""An image is made of a root disk while its guest stands still, and it goes on whatever happens."""
# ruff: noqa: ASYNC240 (a test has its loop for itself, so it may block)

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until

from overlayd.adapters.commits import DirectoryCommits
from overlayd.adapters.image_content import leaves_of
from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.roots import DirectoryRoots
from overlayd.ports.commits import CommitError, CommitWatch, Draft
from overlayd.ports.compute import MachineState
from overlayd.ports.images import DiskFile
from overlayd.realise import commits, realiser
from overlayd.realise.commits import FROZEN, PAUSED, RESTED, Committer
from overlayd.realise.paths import machine_name
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import GridSpec, ImageRef
from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import id_of
from protocol.terms.architecture import Architecture

IMAGE = bytes(range(256)) * 4096 * 2
FACTS = ImageFacts(ImageKind.DISK, len(IMAGE), Architecture.X86_64, Firmware.UEFI)
HEAD = machine_name(GRID, "head-1")
NOTES = ImageNotes("debian", 384 << 20, "h9", "debian.qcow2")


class Looking(DirectoryCommits):
    """Writes down what each guest did while its disk was copied, and fails when it is told to."""

    def __init__(self, folder: Path, world: "CommitWorld") -> None:
        super().__init__(folder / "commits", folder / "roots")
        self.world = world
        self.saw: list[tuple[MachineState | None, bool]] = []
        self.fails = ""
        self.meanwhile = lambda: None

    async def fill(
        self, draft: Draft, root: str, within_s: float | None, watch: CommitWatch
    ) -> Draft:
        hypervisor = self.world.hypervisor
        self.saw.append((hypervisor.states.get(HEAD), HEAD in hypervisor.frozen))
        self.meanwhile()
        if self.fails:
            raise CommitError(self.fails)
        return await super().fill(draft, root, within_s, watch)


class CommitWorld(HostWorld):
    """A grid of a real disk image, whose root disks are files."""

    async def begin(self) -> None:
        """A grid that runs, and a committer."""
        store = DirectoryImages(self.folder / "images")
        place = self.folder / "made"
        place.mkdir()
        (place / "content").write_bytes(IMAGE)
        leaves = b"".join(leaves_of(place / "content"))
        self.base = (await store.keep_disk(place, FACTS, NOTES, leaves, "debian")).digest
        self.images = self.store = store  # type: ignore[assignment]
        self.roots = DirectoryRoots(self.folder / "roots")  # type: ignore[assignment]
        self.digest = self.base
        self.changed = 0
        self.disk_bytes = 1 << 40
        await self.start()
        self.commits = Looking(self.folder, self)
        self.committer = Committer(
            commits.Tools(
                compute=self.compute,
                images=store,
                commits=self.commits,
                part_of=lambda _: self.part,
                images_changed=self._changed,
                still=self.tools.still,
                host="h1",
                disk_bytes=lambda: self.disk_bytes,
            )
        )
        self.want()
        await until(lambda: self.phases("head-1")[-1:] == [Phase.RUNNING], "the head runs")

    def spec(self) -> GridSpec:
        plain = super().spec()
        image = ImageRef("debian", self.base)
        clusters = tuple(
            msgspec.structs.replace(c, image=image, disk_bytes=8 << 20) for c in plain.clusters
        )
        return msgspec.structs.replace(plain, clusters=clusters)

    async def commit(self, name: str = "mine") -> tuple[str, str]:
        """(the image's id, how its guest was held still)."""
        info, how = await self.committer.commit(GRID, "head-1", name, CommitWatch())
        return info.digest, how

    async def _changed(self) -> None:
        self.changed += 1


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CommitWorld]:
    monkeypatch.setattr(realiser, "_RETRY_S", (0.0,))
    monkeypatch.setattr(commits, "THAW_EVERY_S", 0.0)
    made = CommitWorld(tmp_path)
    await made.begin()
    yield made
    await made.end()


def drafts(world: CommitWorld) -> list[str]:
    return [path.name for path in (world.folder / "commits").iterdir()]


async def test_the_image_has_its_name_and_says_where_it_is_from(world: CommitWorld) -> None:
    digest, _ = await world.commit()
    (made,) = [info for info in await world.store.list() if info.digest == digest]
    assert made.names == ("mine",)
    assert made.facts == msgspec.structs.replace(FACTS, content_bytes=8 << 20)
    assert made.notes == ImageNotes("debian", 384 << 20, "h1", "star/head-1, which began as debian")
    assert world.changed == 1, "others are told"
    file = await world.store.files(digest)
    assert isinstance(file, DiskFile)
    content = Path(file.path)
    assert content.read_bytes() == IMAGE + bytes((8 << 20) - len(IMAGE))
    assert made.digest == id_of(made.facts, tuple(leaves_of(content)))
    assert drafts(world) == []


@pytest.mark.parametrize(("agent", "how"), [(True, FROZEN), (False, PAUSED)])
async def test_its_guest_stands_still_and_goes_on(
    world: CommitWorld, agent: bool, how: str
) -> None:
    world.hypervisor.agents |= {HEAD} if agent else set()
    assert (await world.commit())[1] == how
    assert world.commits.saw == [(MachineState.PAUSED, agent)]
    assert world.hypervisor.states[HEAD] is MachineState.RUNNING
    assert world.hypervisor.frozen == []
    assert world.hypervisor.clocks_set == [HEAD]
    assert await world.commits.marked() == ()


async def test_nobody_wakes_it_meanwhile(world: CommitWorld) -> None:
    resumes = list(world.hypervisor.resumes)
    world.commits.meanwhile = lambda: world.realiser.kick(GRID)

    async def fill(*arguments: object) -> Draft:
        for _ in range(50):
            await asyncio.sleep(0)
        assert world.hypervisor.resumes == resumes
        return await original(*arguments)  # type: ignore[arg-type]

    original, world.commits.fill = world.commits.fill, fill  # type: ignore[method-assign]
    await world.commit()


async def test_what_does_not_run_stays_as_it_is(world: CommitWorld) -> None:
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.OFF))
    await until(lambda: world.state("head-1") is None, "it is off")
    assert (await world.commit())[1] == RESTED
    assert world.state("head-1") is None


async def test_what_its_people_paused_stays_paused(world: CommitWorld) -> None:
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.PAUSED))
    await until(lambda: world.phases("head-1")[-1:] == [Phase.PAUSED], "it is paused")
    await world.commit()
    assert world.hypervisor.states[HEAD] is MachineState.PAUSED


@pytest.mark.parametrize("agent", [True, False])
async def test_a_failure_leaves_nothing_and_its_guest_goes_on(
    world: CommitWorld, agent: bool
) -> None:
    world.hypervisor.agents |= {HEAD} if agent else set()
    world.commits.fails = "no room on this host's disk for the image"
    with pytest.raises(CommitError, match="no room"):
        await world.commit()
    assert world.hypervisor.states[HEAD] is MachineState.RUNNING
    assert (world.hypervisor.frozen, drafts(world)) == ([], [])
    world.commits.fails = ""
    assert (await world.commit())[0]


async def test_one_that_was_started_anew_meanwhile_is_not_taken_for_whole(
    world: CommitWorld,
) -> None:
    world.commits.meanwhile = lambda: world.hypervisor.change(HEAD, MachineState.RUNNING)
    with pytest.raises(CommitError, match="meanwhile; once more works"):
        await world.commit()
    assert [info.names for info in await world.store.list()] == [("debian",)]


async def test_a_name_that_is_taken_is_refused_before_anything_stands_still(
    world: CommitWorld,
) -> None:
    with pytest.raises(CommitError, match=r"has an image debian already, .*another --name"):
        await world.commit("debian")
    assert world.commits.saw == []


async def test_what_an_earlier_life_left_frozen_goes_on(world: CommitWorld) -> None:
    world.hypervisor.agents.add(HEAD)
    world.hypervisor.frozen.append(HEAD)
    await world.commits.mark(HEAD)
    await world.commits.mark("ovl-gone")
    await world.committer.mend()
    assert world.hypervisor.frozen == []
    assert await world.commits.marked() == ()


async def test_the_same_content_again_is_the_same_image_by_another_name(world: CommitWorld) -> None:
    first, _ = await world.commit("one")
    again, _ = await world.commit("two")
    assert first == again
    (info,) = [info for info in await world.store.list() if info.digest == first]
    assert info.names == ("one", "two")
    assert drafts(world) == []


@pytest.mark.parametrize("silent", [2, commits.THAW_TRIES + 1])
async def test_an_agent_that_is_slow_to_answer_is_asked_again(
    world: CommitWorld, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    world.hypervisor.agents.add(HEAD)
    compute, asked = world.compute, 0
    thaw = compute.thaw

    async def slow(name: str) -> bool:
        nonlocal asked
        asked += 1
        return asked > silent and await thaw(name)

    monkeypatch.setattr(compute, "thaw", slow)
    await world.commit()
    if silent > commits.THAW_TRIES:
        assert await world.commits.marked() == (HEAD,), "the next life tries again"
        await world.committer.mend()
    assert world.hypervisor.frozen == []
    assert await world.commits.marked() == ()


async def test_one_owner_has_few_images_and_is_told_which(
    world: CommitWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "IMAGES_MOST", 2)
    for name in ("mine", "yours"):  # The same content twice is one image with two names.
        await world.commit(name)
    with pytest.raises(CommitError) as refused:
        await world.commit("more")
    assert "has 2 images made of root disks there" in str(refused.value)
    assert ": mine and yours; at most 2 are kept" in str(refused.value)
    assert "what works: `overlayctl image remove` of one on that host" in str(refused.value)
    (one,) = [info for info in await world.store.list() if info.name == "mine"]
    await world.store.remove(one.digest)
    await world.commit("more")
    assert drafts(world) == []


async def test_one_owner_takes_a_quarter_of_a_small_disk_at_most(world: CommitWorld) -> None:
    await world.commit("mine")
    world.disk_bytes = 4 << 20
    with pytest.raises(CommitError, match="none is begun above 1 MiB"):
        await world.commit("more")
    (info,) = [info for info in await world.store.list() if info.name == "mine"]
    assert info.owner
    await world.store.rename(info.digest, "kept")
    again = DirectoryImages(world.folder / "images")
    (found,) = [one for one in await again.list() if one.digest == info.digest]
    assert found.owner == info.owner, "a daemon that starts again knows it"
