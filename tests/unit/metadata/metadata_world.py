"""A host with two grids: their guests ask, and the node's part of it is played here."""

import msgspec

from overlayd.fakes.seeds import FakeSeeds
from overlayd.metadata.answer import Answer, Request
from overlayd.metadata.routes import Routes
from overlayd.ports.seeds import Seed
from overlayd.realise.paths import machine_name
from protocol.grid.addresses import plan as cards_of
from protocol.grid.expand import workspaces
from protocol.grid.lifecycle import Power, Wanted, Word
from protocol.grid.model import ClusterSpec, Encryption, GridSpec, ImageRef, NetworkSpec
from protocol.grid.record import Assignment, GridRecord, GridState, HostRef
from protocol.hosting.events import GuestSaid
from protocol.hosting.part import Part, PartOf
from protocol.node.rows import WorkspaceRow
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.order import SignedOrder

STAR, OTHER = GridId("0123456789abcdef0123.0"), GridId("abcdef0123456789abcd.0")
LAN, BACK = f"{STAR}.lan", f"{STAR}.back"
HEAD, WORKER = "10.42.0.10", "10.42.0.11"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
_ME, _PEER = PeerId("a" * 64), PeerId("b" * 64)
_HOST = (("host", "169.254.169.254"),)


class MetadataWorld:
    """head-1 and worker-1 are here, worker-2 is on another host. Another grid has the same addresses."""

    def __init__(self) -> None:
        self.parts = {STAR: _part(STAR, "star"), OTHER: _part(OTHER, "other")}
        self.seeds = FakeSeeds()
        self.told: list[GuestSaid] = []
        self.asked: list[tuple[GridId, str]] = []
        self.keeps = True
        """Whether what a guest says is kept at once."""
        self.routes = Routes(
            self, self.seeds, self.tell, lambda g, w: self.asked.append((g, w)), lambda: 0.0
        )

    def part_of(self, grid: GridId) -> Part | None:
        return self.parts.get(grid)

    def workspaces(self, grid: GridId, now: float) -> list[WorkspaceRow]:
        part = self.parts[grid]
        words = {p.workspace.name: p.word for p in part.mine}
        rows = []
        for name in ("head-1", "worker-1", "worker-2"):
            word = words.get(name)
            keys = word.host_keys if word is not None else ()
            phase = "ready" if word is not None else "booting"
            rows.append(
                WorkspaceRow(
                    part.record.name, grid, name, "h1", _ME, "ams", phase, "", "", 1, 0.0, "alive",
                    host_keys=keys,
                )
            )  # fmt: skip
        return rows

    def tell(self, event: GuestSaid) -> None:
        self.told.append(event)
        if self.keeps:
            word = Word(event.workspace, event.boot, event.host_keys, event.problem)
            self.change(event.grid, event.workspace, word=word)

    def change(self, grid: GridId, workspace: str, **fields: object) -> None:
        """Something else is so of a workspace here."""
        part = self.parts[grid]
        mine = tuple(
            msgspec.structs.replace(p, **fields) if p.workspace.name == workspace else p
            for p in part.mine
        )
        self.parts[grid] = msgspec.structs.replace(part, mine=mine)

    async def seed(self, workspace: str = "head-1") -> None:
        seed = Seed(f"i-{workspace}", workspace, user_data=b"#!/bin/sh\n")
        await self.seeds.ensure(machine_name(STAR, workspace), seed)

    async def get(self, path: str, address: str = HEAD, network: str = LAN) -> Answer:
        path, _, query = path.partition("?")
        return await self.routes.answer(network, address, Request("GET", path, query, _HOST))

    async def post(self, path: str, body: bytes, address: str = HEAD, network: str = LAN) -> Answer:
        request = Request("POST", path, "", _HOST, body)
        return await self.routes.answer(network, address, request)


def _part(grid: GridId, name: str) -> Part:
    image = ImageRef("guest", "d" * 64)
    head = ClusterSpec("head", 1, image, 500, 64 << 20, 1, ("lan", "back"), provides=("nfs",))
    worker = ClusterSpec("worker", 2, image, 250, 64 << 20, 2, ("lan",), requires=("nfs",))
    spec = GridSpec(
        name=name,
        clusters=(head, worker),
        networks=(
            NetworkSpec("back", "10.43.0.0/24", Encryption.NONE),
            NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),
        ),
    )
    record = GridRecord(
        id=grid,
        name=name,
        owner=KeyId("c" * 64),
        owner_site="ams",
        epoch=1,
        state=GridState.UP,
        order=SignedOrder(b"", b"", ()),
        stewards=(_ME,),
        hosts=(HostRef(_ME, "h1", "ams"), HostRef(_PEER, "h2", "uc")),
        assignments=(
            Assignment("head-1", _ME),
            Assignment("worker-1", _ME),
            Assignment("worker-2", _PEER),
        ),
        vnis=(("lan", 4711), ("back", 4712)),
    )
    mine = tuple(
        PartOf(w, Wanted(w.name, Power.RUNNING), ())
        for w in workspaces(spec)
        if w.name != "worker-2"
    )
    return Part(record, spec, cards_of(spec), mine, ())
