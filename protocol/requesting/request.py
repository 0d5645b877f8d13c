"""A request: what one person asked of this peer, how far it is, and its story. All of it is bounded."""

from enum import StrEnum

import msgspec

from protocol.grid.apply import Delta
from protocol.grid.differences import Difference
from protocol.placement.explain import Explanation
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import MTU_USUAL, STORY_LINES
from protocol.terms.refusal import Constraint


class RequestState(StrEnum):
    """How far a request is."""

    RUNNING = "running"
    QUEUED = "queued"
    """The request waits for room; its answer says why."""
    HELD = "held"
    """A plan whose holds stand; its answer says until when."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """This peer was started again before the request had its answer. It can be given again."""


UNENDED = (RequestState.RUNNING, RequestState.QUEUED, RequestState.HELD)
"""States in which something of a request may be held somewhere, so that it can be cancelled."""


class Planned(msgspec.Struct, frozen=True):
    """Where a workspace would go, or went."""

    workspace: str
    host: str
    site: str
    peer: PeerId
    cpus_milli: int
    memory_bytes: int
    image: str
    image_cached: bool
    scratch_bytes: int = 0
    """Its own disks: root and scratch disk together."""
    mtu: int = MTU_USUAL
    """The largest packet that its host carries for its networks, in bytes."""
    console_bytes: int = 0
    """What its console's log may take of its host's disk."""
    wireguard: bool = False
    """Whether its host carries networks by WireGuard."""
    exposed: tuple[str, ...] = ()
    """Where it is to be reached from outside: `198.51.100.7:2222 -> head-1:22`, or, as the host chooses,
    `198.51.100.7, one of 30000-32767 -> head-1:443`."""


class Moved(msgspec.Struct, frozen=True):
    """Why one host cannot have the part of a grid that it was quoted for."""

    host: str
    site: str
    workspaces: tuple[str, ...]
    """What was to go there."""
    constraint: Constraint
    detail: str

    def __str__(self) -> str:
        return f"{self.host} {self.detail}"


class StoryLine(msgspec.Struct, frozen=True):
    """One thing that happened to a request."""

    at_s: float
    text: str


class RequestView(msgspec.Struct, frozen=True):
    """A request as faces show it."""

    id: RequestId
    kind: str
    grid: str
    state: RequestState
    stage: str
    started_s: float
    answer: tuple[str, ...]
    """Lines for people: the result, or why there is none."""
    story: tuple[StoryLine, ...]
    placement: tuple[Planned, ...] = ()
    start_s: float = 0.0
    """When its lease begins, or would; 0 if that is when it is up."""
    why: Explanation | None = None
    """Why it was not placed, and what would work, if that is what happened."""
    until_s: float = 0.0
    """Until when its placement can be taken up with `up --quote`; 0 if it cannot."""
    moved: tuple[Moved, ...] = ()
    """Why what was quoted cannot be had any more. `placement` is then what would work now, if anything."""
    unchanged: bool = False
    """Whether a plan found that its grid is up already as it is asked for."""
    warnings: tuple[str, ...] = ()
    """What a person may not have meant, or not expect, of what is placed or would be."""
    differs: tuple[Difference, ...] = ()
    """What the grid that is up under this name has otherwise than was asked for."""
    troubles: tuple[str, ...] = ()
    """Lines for people while it runs, if guests said that their first boots failed. It waits on for them, as
    people may mend them."""

    delta: Delta | None = None
    """What is different from the grid that is up, if it is a change of one, or the plan of a change."""
    epoch: int = 0
    """The epoch that such a grid is in, as far as this peer was told: the next one, once that is decided."""


class Request:
    """What all requests have in common."""

    kind = "request"

    def __init__(self, request: RequestId, grid: str, now: float) -> None:
        self.id, self.grid = request, grid
        self.started_s = now
        self.state = RequestState.RUNNING
        self.stage = "starting"
        self.answer: tuple[str, ...] = ()
        self.placement: tuple[Planned, ...] = ()
        self.start_s = 0.0
        self.why: Explanation | None = None
        self.until_s = 0.0
        self.moved: tuple[Moved, ...] = ()
        self.unchanged = False
        self.warnings: tuple[str, ...] = ()
        self.differs: tuple[Difference, ...] = ()
        self.delta: Delta | None = None
        self.epoch = 0
        self.troubles: tuple[str, ...] = ()
        self._story: list[StoryLine] = []

    @property
    def running(self) -> bool:
        """Whether it has no last answer yet."""
        return self.state in (RequestState.RUNNING, RequestState.QUEUED)

    def tell(self, now: float, text: str) -> None:
        """Adds to the story. If it gets too long its middle is lost; beginning and end are kept."""
        self._story.append(StoryLine(now, text))
        if len(self._story) > STORY_LINES:
            del self._story[STORY_LINES // 2]

    def view(self) -> RequestView:
        """The request as faces show it."""
        return RequestView(
            id=self.id,
            kind=self.kind,
            grid=self.grid,
            state=self.state,
            stage=self.stage,
            started_s=self.started_s,
            answer=self.answer,
            story=tuple(self._story),
            placement=self.placement,
            start_s=self.start_s,
            why=self.why,
            until_s=self.until_s,
            moved=self.moved,
            unchanged=self.unchanged,
            warnings=self.warnings,
            differs=self.differs,
            troubles=self.troubles,
            delta=self.delta,
            epoch=self.epoch,
        )

    def end(self, state: RequestState, answer: list[str], now: float) -> None:
        """Gives the request its answer. Nothing changes afterwards."""
        self.state, self.stage, self.answer = state, state, tuple(answer)
        self.tell(now, "; ".join(line.strip() for line in answer) or state)
