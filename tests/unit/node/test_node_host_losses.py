"""What a host's death means for grids is an event for each of them, and so is its return."""

import msgspec
from negotiating import ADMIN, NAMES, NOW, A, B, C, notice, record_of, shop

from protocol.contract.notices import Notice, Placement, placement
from protocol.contract.outcomes import NoticeDue
from protocol.contract.told import Notices
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridState
from protocol.hosting.chronicle import Chronicle
from protocol.membership.liveness import Changed, Health
from protocol.node.host_losses import HostLosses
from protocol.requesting.silence import Silence
from protocol.terms.effects import Effect, Note
from protocol.terms.ids import GridId, PeerId

RECORD = record_of(ADMIN.up(shop(2), NOW), {"web-1": A, "web-2": B})


class Hears:
    silent: dict[PeerId, Silence]

    def __init__(self) -> None:
        self.silent = {B: Silence(Health.DEAD, NOW)}

    def name(self, peer: PeerId) -> str:
        return NAMES[peer]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return self.silent.get(peer)


def told(peer: PeerId, **changes: GridId | GridState | Placement) -> Notice:
    mine = tuple(Status(name, Phase.READY) for name in RECORD.on(peer))
    return msgspec.structs.replace(notice(RECORD, mine), **changes)


def losses(*notices: Notice, me: PeerId = C) -> HostLosses:
    """Both hosts have told of each grid."""
    known = Notices()
    for one in notices:
        for peer in (A, B):
            known.put(peer, one, NOW)
    return HostLosses(me, known, Hears(), Chronicle({}, lambda grid: True))


def noted(made: HostLosses, changed: Changed, now: float = NOW) -> list[Effect]:
    return made.heard([changed], now)[0]


DIED, BACK = Changed(B, Health.DEAD, "silent"), Changed(B, Health.ALIVE, "back")


def test_a_host_of_a_grid_is_lost_and_back() -> None:
    made = losses(told(B))
    said = "host beta (web-2) was not heard for 5 s"
    assert noted(made, DIED, NOW + 5) == [Note("grid.host-lost", "shop", said, RECORD.id)]
    assert noted(made, Changed(B, Health.LEFT, "left"), NOW + 6) == [], "it is lost already"
    back = Note("grid.host-back", "shop", "host beta (web-2) is back", RECORD.id)
    assert noted(made, BACK, NOW + 9) == [back]
    assert noted(made, BACK, NOW + 9) == []


def test_each_of_its_grids_has_an_event() -> None:
    made = losses(told(B), told(B, grid=GridId("other")))
    assert [n.cause for n in noted(made, DIED, NOW) if isinstance(n, Note)] == [
        RECORD.id,
        "other",
    ]


def test_grids_that_are_down_or_have_nothing_there_lose_nothing() -> None:
    made = losses(
        told(B, state=GridState.DOWN),
        told(B, grid=GridId("o"), placement=placement([("web-1", A)])),
    )
    assert noted(made, DIED, NOW) == []
    assert noted(made, BACK, NOW) == []


def test_a_host_that_is_heard_after_all_is_not_lost() -> None:
    made = losses(told(A))
    assert noted(made, Changed(A, Health.DEAD, "silent"), NOW) == []


def test_the_first_host_of_the_grid_that_is_heard_keeps_it_in_the_story() -> None:
    for me, tells in ((A, True), (B, False), (C, False)):
        made = losses(told(B), me=me)
        notes, outcomes = made.heard([DIED], NOW)
        assert (len(notes), outcomes) == (1, [NoticeDue(RECORD.id)] if tells else [])
