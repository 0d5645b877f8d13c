"""From the commit to the answer: hosts are told until they have the contract, and tell what they have made.

A reservation has its answer when every host has it on disk and has told of it. Any other request has it when
every workspace is up. Hosts may be silent for a while, or for good, so the stewards are asked now and then.

A request waits for as long as a guest may take: each step further of a workspace gives it time for the next,
and one that is reached has what its host gives it to say that it is ready.
"""

from collections.abc import Callable

import msgspec

from protocol.contract.messages import Decided, DecidedAck
from protocol.contract.notices import Notice
from protocol.grid.decision import Decision
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.model import GridSpec
from protocol.grid.problem import listed
from protocol.grid.record import GridRecord, GridState
from protocol.requesting.request import RequestState
from protocol.requesting.silence import Hearing, Unanswered, whereabouts
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import (
    AUDIT_EVERY_S,
    BUILD_S,
    DECIDED_EVERY_S,
    READY_HEARD_S,
    READY_LATE_S,
    SLACK_S,
)
from protocol.terms.quantities import counted, format_moment

_NEVER = float("inf")
_AUDITS_APART_S = 5.0
"""However often a host tells of a change: between two questions to the stewards."""
_RESTING = (Phase.PAUSED, Phase.SUSPENDED)
_UNTOUCHED = (*_RESTING, Phase.EXPIRED)
"""While a workspace is there, its host leaves it as it is, whatever a change makes of it later."""
_TRYING = (Phase.HELD, Phase.IMAGE, Phase.NETWORK, Phase.BOOTING)
"""What a workspace goes through on each try."""
_WAY = (*_TRYING, Phase.RUNNING, Phase.REACHABLE)
"""The steps to being ready."""


class Verdict(msgspec.Struct, frozen=True):
    """A request's last answer."""

    state: RequestState
    """CANCELLED if anybody took the grid down meanwhile."""
    lines: list[str]


class Share(msgspec.Struct, frozen=True):
    """What of a grid a request waits for that changed it: the rest is none of its business."""

    waits: tuple[str, ...]
    """Workspaces."""
    told: tuple[PeerId, ...]
    """Hosts that carry nothing of it any more, and are to know that."""


class Building:
    """One grid that was decided, until its request has an answer."""

    def __init__(
        self,
        request: RequestId,
        decision: Decision,
        record: GridRecord,
        spec: GridSpec,
        wanted: int,
        tell: Callable[[float, str], None],
        hearing: Hearing,
        now: float,
        share: Share | None = None,
    ) -> None:
        """`wanted` is how many workspaces were asked for; the record may have fewer. Without a `share` it waits
        for all of it."""
        self._request, self.record, self._spec = request, record, spec
        self._wanted = wanted if record.applied is None else 0
        self.stewards = decision.register.stewards
        """Who keeps the register of the grid, as was decided last."""
        self._decided = Decided(decision.certificate)
        self._tell, self._hearing = tell, hearing
        self._share = share
        told = share.told if share is not None else ()
        self._unacked = dict.fromkeys((*record.carriers(), *told))
        names = [a.workspace for a in record.assignments]
        names = [name for name in names if share is None or name in share.waits]
        self._statuses = {name: Status(name, Phase.HELD) for name in names}
        self._left: dict[str, None] = {}
        """Workspaces that are as they were before the grid was changed, and rest."""
        self._failed: dict[str, str] = {}
        """By workspace that fails again and again: why, as it was told last."""
        self._began_s, self._audit_s = now, now + AUDIT_EVERY_S
        self._audited_s = 0.0
        self._epoch = record.epoch
        self._late_s = dict.fromkeys(self._statuses, now + BUILD_S)
        """By workspace: until when it is waited for its next step."""
        self._furthest = dict.fromkeys(self._statuses, 0)

    @property
    def unacked(self) -> tuple[PeerId, ...]:
        """The hosts that have not said that they have the record."""
        return tuple(self._unacked)

    @property
    def up(self) -> bool:
        """Whether everything that it waits for is up."""
        rests = _RESTING if self._share is None else _UNTOUCHED
        return all(s.settled or s.phase in rests for s in self._statuses.values())

    @property
    def left(self) -> tuple[str, ...]:
        """Workspaces that are as they were before the grid was changed, until somebody has them go on."""
        return tuple(self._left)

    def announce(self) -> list[Effect]:
        """Sends the record to hosts that have not acknowledged it."""
        return [Send(peer, self._decided, self._request) for peer in self._unacked]

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> Verdict | None:
        """A host has the record on disk."""
        if ack.grid != self.record.id or sender not in self._unacked:
            return None
        if ack.epoch < self.record.epoch:
            return None
        del self._unacked[sender]
        if self._unacked:
            return None
        self._tell(now, "every host has the contract")
        return self._reserved(now)

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> Verdict | None:
        """A host tells where its workspaces are. Who carries none of the grid has nothing to tell of it."""
        placed = self.record.placed
        if notice.grid != self.record.id or sender not in placed.values():
            return None
        share = self._share
        if share is not None and notice.epoch < self.record.epoch:
            return None
        if notice.state is GridState.DOWN or notice.epoch > self._epoch:
            # That it was changed is its stewards' to say, and they are asked at once.
            self._audit_s = min(self._audit_s, max(now, self._audited_s + _AUDITS_APART_S))
        for status in notice.mine:
            old = self._statuses.get(status.workspace)
            if old is None or old == status or placed.get(status.workspace) != sender:
                continue
            if share is not None and status.workspace in notice.behind:
                status = self._not_yet(status, now)
            else:
                self._left.pop(status.workspace, None)
            self._statuses[status.workspace] = status
            self._told(old, status, now)
            self._went_on(old, status, now)
        return self._reserved(now) or self._up()

    def audited(self, decision: Decision) -> Verdict | None:
        """What the stewards decided of the grid last.

        A host that died while it cleared up, or was out of reach while it told, may never tell that the grid is
        down or that a workspace ended. The stewards do.
        """
        record = decision.register.record
        if record is None or record.id != self.record.id:
            return None
        self.stewards = decision.register.stewards
        if record.state is GridState.DOWN:
            return self._taken_down()
        if record.epoch > self._epoch:
            self._epoch = record.epoch
            if record.applied is not None:
                self._wanted = 0  # Somebody asked for another grid since.
            self._forget_all_but(record.placed)
            return self._up()
        return None

    def audit_due(self, now: float) -> bool:
        """Whether the stewards are to be asked now. It answers True once each time."""
        if now < self._audit_s:
            return False
        self._audit_s, self._audited_s = now + AUDIT_EVERY_S, now
        return True

    def overdue(self, now: float) -> Verdict | None:
        """The answer when the person has waited long enough. The contract stands, so building goes on."""
        if now < self._give_up_s():
            return None
        name = self.record.name
        placed = tuple((a.workspace, a.host) for a in self.record.assignments)
        host_of = dict(placed)
        spent_min = (now - self._began_s) / 60
        done = "made" if self._share is None else "changed"
        lines = [f"{name} is {done}, but not all of it is up after {spent_min:.0f} min"]
        silent: dict[PeerId, None] = {}
        for workspace, status in self._statuses.items():
            host = host_of[workspace]
            silence = self._hearing.silence(host, now)
            if silence is not None:
                silent[host] = None
            where = whereabouts(status, True, self.record.state, silence, now)
            if silence is not None or not status.settled:
                on = self.record.host(host).name
                lines.append(f"  {workspace} on {on}: {where.phase} {where.detail}".rstrip())
        work = "`overlayctl ps` shows when it is; `overlayctl down` ends it"
        if silent:
            work = Unanswered(name, placed, silent, self._hearing, now).would_work()
        return Verdict(RequestState.FAILED, [*lines, f"  would work: {work}"])

    def next_s(self, now: float) -> float:
        """When hosts are told again, the stewards are asked, or the person is told, whichever is first."""
        again_s = now + DECIDED_EVERY_S if self._unacked else _NEVER
        return min(again_s, self._audit_s, self._give_up_s())

    def troubles(self) -> tuple[str, ...]:
        """Lines for people if guests say that their first boots failed: nobody needs to wait for them."""
        troubled = [status for status in self._statuses.values() if status.troubled]
        if not troubled:
            return ()
        name, host_of = self.record.name, self.record.placed
        names = [status.workspace for status in troubled]
        failed = "the first boot of" if len(names) == 1 else "the first boots of"
        lines = [f"{name} is made, but {failed} {listed(names)} failed"]
        for status in troubled:
            on = self.record.host(host_of[status.workspace]).name
            lines.append(f"  {status.workspace} on {on}: {status.detail}")
        works = f"mend its user-data, then `overlayctl down {name}` and `up` again; "
        works += f"`overlayctl ssh {name}/{names[0]}` looks at what there is"
        return (*lines, f"  would work: {works}")

    # -- parts

    def _give_up_s(self) -> float:
        """When nothing is worth being waited for any more. A workspace that is up waits for the others."""
        late = [s for name, s in self._late_s.items() if not self._statuses[name].settled]
        return max(late, default=self._began_s + BUILD_S)

    def _went_on(self, old: Status, status: Status, now: float) -> None:
        """Gives a workspace time for its next step, if this is one that it has not taken before."""
        name = status.workspace
        step = _WAY.index(status.phase) if status.phase in _WAY else 0
        fetches = status.phase is Phase.IMAGE and name not in self._failed
        if step > self._furthest[name] or (fetches and old.detail != status.detail):
            self._furthest[name] = max(step, self._furthest[name])
            reached = status.phase is Phase.REACHABLE
            self._late_s[name] = now + (READY_LATE_S + READY_HEARD_S if reached else BUILD_S)

    def _not_yet(self, status: Status, now: float) -> Status:
        """What counts of a workspace that is as it was before, because others go first or it does not run."""
        self._late_s[status.workspace] = now + BUILD_S
        self._left.pop(status.workspace, None)
        if status.phase in _UNTOUCHED:
            self._left[status.workspace] = None
            return status
        return Status(status.workspace, Phase.HELD, "as it was before, until it is its turn")

    def _told(self, old: Status, status: Status, now: float) -> None:
        """Tells of another phase. A try that fails as the one before did is told once."""
        name = status.workspace
        if status.phase is Phase.FAILED:
            if self._failed.get(name) == status.detail:
                return
            self._failed[name] = status.detail
        elif status.phase not in _TRYING:
            self._failed.pop(name, None)
        elif name in self._failed:
            return
        if old.phase is not status.phase:
            self._tell(now, f"{name} {status.phase} {status.detail}".rstrip())

    def _reserved(self, now: float) -> Verdict | None:
        """A reservation's answer, as soon as every host has it on disk and has told of it."""
        record = self.record
        if record.start_s <= now + SLACK_S or self._unacked:
            return None
        if not all(status.since_s for status in self._statuses.values()):
            # Not all hosts have told of it: a `down` now would be told that it is not there.
            return None
        many = counted(len(record.assignments), "workspace")
        begins = format_moment(record.start_s)
        ends = format_moment(record.start_s + self._spec.lease_s)
        line = f"{record.name} is reserved: {many} from {begins} to {ends}"
        return Verdict(RequestState.DONE, [line])

    def _up(self) -> Verdict | None:
        if not self.up:
            return None
        many = len(self._statuses)
        fewer = f", {self._wanted} were asked for" if many < self._wanted else ""
        off = sum(s.phase is Phase.OFF for s in self._statuses.values())
        ended = f"; {off} switched {'itself' if off == 1 else 'themselves'} off" if off else ""
        line = f"{self.record.name} is up: {counted(many, 'workspace')}{fewer}{ended}"
        return Verdict(RequestState.DONE, [line])

    def _taken_down(self) -> Verdict:
        return Verdict(RequestState.CANCELLED, [f"{self.record.name} was taken down meanwhile"])

    def _forget_all_but(self, names: dict[str, PeerId]) -> None:
        """Waits no more for workspaces that a later epoch does not have, or has elsewhere."""
        placed = self.record.placed
        there = {name for name in self._statuses if names.get(name) == placed[name]}
        self._statuses = {name: s for name, s in self._statuses.items() if name in there}
        self._late_s = {name: s for name, s in self._late_s.items() if name in there}
