"""What a guest is answered: its seed's files as NoCloud reads them, its grid, itself, and that it is ready.

Everything is answered from what this host carries and has heard. Who asks is told by the network that the
question came by and by its source address, which the packet filter holds each guest to. So no path and no field
names a workspace: there is no way to ask, or to say something, for another.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from netns.model import METADATA_ADDRESS
from overlayd.metadata import told
from overlayd.metadata.answer import Answer, Request, as_json, problem, text
from overlayd.metadata.report import Report, read_report
from overlayd.metadata.told import Asker
from overlayd.ports.seeds import SeedError, Seeds
from overlayd.realise import plan
from overlayd.realise.paths import grid_of, machine_name, network_name
from protocol.hosting.events import GuestSaid
from protocol.hosting.part import Part
from protocol.node.rows import WorkspaceRow
from protocol.terms.allowance import Allowance
from protocol.terms.ids import GridId

ASKS_BURST, ASKS_PER_S = 64.0, 10.0
ASKERS_MOST = 4096
WORDS_BURST, WORDS_PER_S = 6.0, 0.2
"""A word goes to disk, and to every peer: it may change so often."""
_KEPT_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.02

_SEED = ("/meta-data", "/user-data", "/vendor-data", "/network-config")
_V1 = "/overlayd/v1"
_INDEX = f"""meta-data user-data vendor-data network-config: the files of the seed, for cloud-init
{_V1}/grid      the grid and its members; ?format=hosts gives lines ADDRESS NAME CLUSTER
{_V1}/hosts     these lines
{_V1}/self      this workspace
{_V1}/keys      the SSH host keys of all members, as a known_hosts file
{_V1}/ready     POST it once all is set up, with {{"host_keys": ["ssh-ed25519 AAAA..."]}} or nothing,
                or {{"problem": "text"}} if something is wrong
"""


class View(Protocol):
    """What is known of grids here."""

    def part_of(self, grid: GridId) -> Part | None:
        """What this host is to make of a grid."""

    def workspaces(self, grid: GridId, now: float) -> list[WorkspaceRow]:
        """The workspaces of a grid."""


class Routes:
    """Every question a guest of this host may ask."""

    def __init__(
        self,
        view: View,
        seeds: Seeds,
        tell: Callable[[GuestSaid], None],
        asked: Callable[[GridId, str], None],
        now: Callable[[], float],
    ) -> None:
        """`asked` hears of every guest that asks anything."""
        self._view, self._seeds, self._tell, self._asked = view, seeds, tell, asked
        self._now = now
        self._asks = Allowance(ASKS_BURST, ASKS_PER_S, ASKERS_MOST)
        self._words = Allowance(WORDS_BURST, WORDS_PER_S, ASKERS_MOST)

    def asker(self, network: str, address: str) -> Asker | None:
        """The guest of this host that has that address on that network."""
        part = self._view.part_of(grid_of(network))
        if part is None:
            return None
        names = {
            card.workspace
            for card in part.cards
            if card.address == address and network_name(part.record.id, card.network) == network
        }
        for mine in part.mine:
            if mine.workspace.name in names and plan.runs(mine):
                return Asker(part, mine)
        return None

    async def answer(self, network: str, address: str, request: Request) -> Answer:
        """The answer to a question that came by that network from that address."""
        asker = self.asker(network, address)
        if asker is None:
            return problem(404, f"{address} is no workspace of this network here")
        self._asked(asker.grid, asker.name)
        if not self._asks.take((asker.grid, asker.name), time.monotonic()):
            return problem(
                429, f"too many questions; {ASKS_PER_S:.0f} a second are answered", _later(1)
            )
        if refused := _refused(request):
            return refused
        path = request.path.rstrip("/") or "/"
        if path == f"{_V1}/ready" and request.method == "POST":
            return await self._ready(asker, request)
        if request.method not in ("GET", "HEAD"):
            allowed = "GET, HEAD, POST" if path == f"{_V1}/ready" else "GET, HEAD"
            said = f"{request.method} means nothing here; {allowed} works"
            return problem(405, said, (("allow", allowed),))
        return await self._told(asker, path, request.query)

    async def _told(self, asker: Asker, path: str, query: str) -> Answer:
        if path in _SEED:
            return await self._seed_file(asker, path[1:])
        match path:
            case "/" | "/overlayd/v1":
                return text(_INDEX)
            case "/overlayd/v1/grid" if query == "format=hosts":
                return text(told.hosts_of(asker, self._rows(asker)))
            case "/overlayd/v1/hosts":
                return text(told.hosts_of(asker, self._rows(asker)))
            case "/overlayd/v1/grid":
                return as_json(told.grid_of(asker, self._rows(asker)))
            case "/overlayd/v1/self":
                return as_json(told.self_of(asker, self._rows(asker)))
            case "/overlayd/v1/keys":
                return text(told.keys_of(asker, self._rows(asker)))
            case "/overlayd/v1/ready":
                word = asker.mine.word
                return as_json({"ready": word is not None and not word.problem})
            case _:
                return problem(404, f"there is no {path[:80]!r}; / lists what there is")

    def _rows(self, asker: Asker) -> list[WorkspaceRow]:
        return self._view.workspaces(asker.grid, self._now())

    async def _seed_file(self, asker: Asker, name: str) -> Answer:
        try:
            files = await self._seeds.files(machine_name(asker.grid, asker.name))
        except SeedError as error:
            return problem(503, str(error), _later(5))
        if name not in files:
            return problem(404, f"its seed has no {name}")
        return Answer(200, files[name])

    async def _ready(self, asker: Asker, request: Request) -> Answer:
        """Takes a guest's word, and answers once it is on disk."""
        try:
            report = read_report(request.body, request.header("content-type"))
        except ValueError as error:
            return problem(400, str(error))
        if self._known(asker, report):
            return as_json({"ready": not report.problem})
        if not self._words.take((asker.grid, asker.name), time.monotonic()):
            every_s = 1 / WORDS_PER_S
            return problem(
                429, f"said too often; once in {every_s:.0f} s is taken", _later(every_s)
            )
        boot = asker.mine.wanted.boot
        self._tell(GuestSaid(asker.grid, asker.name, boot, report.host_keys, report.problem))
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _KEPT_WITHIN_S
        while loop.time() < until_s:
            again = self._again(asker)
            if again is None:
                break
            if self._known(again, report):
                return as_json({"ready": not report.problem})
            await asyncio.sleep(_LOOK_EVERY_S)
        return problem(503, "it could not be kept now; say it again in a moment", _later(5))

    def _again(self, asker: Asker) -> Asker | None:
        """The same guest in the same start, as it is known now."""
        part = self._view.part_of(asker.grid)
        for mine in part.mine if part is not None else ():
            if part is not None and mine.workspace.name == asker.name:
                return Asker(part, mine) if mine.wanted.boot == asker.mine.wanted.boot else None
        return None

    def _known(self, asker: Asker, report: Report) -> bool:
        """Whether that is what the guest has said already."""
        word = asker.mine.word
        if word is None or word.problem != report.problem:
            return False
        return not report.host_keys or word.host_keys == report.host_keys


def _later(after_s: float) -> tuple[tuple[str, str], ...]:
    return (("retry-after", str(round(after_s))),)


def _refused(request: Request) -> Answer | None:
    """The answer to what somebody else has a guest ask: a page by a name that leads here, a proxy."""
    host = request.header("host")
    if host not in (METADATA_ADDRESS, f"{METADATA_ADDRESS}:80"):
        return problem(421, f"this is {METADATA_ADDRESS}, not {host[:80]!r}")
    if request.header("x-forwarded-for"):
        return problem(403, "a guest asks here itself, not through a proxy")
    return None
