"""What is told of grids is checked with those it names, in turns, within bounds, and not again at once."""

import pytest
from deciding import decided, decision
from negotiating import ADMIN, NOW, A, B, C, record_of, shop
from one_requester import notice_of

from protocol.contract.notices import Notice
from protocol.contract.outcomes import ConfirmGrid, Outcome, Propose
from protocol.contract.told import Notices, known_of
from protocol.grid.record import GridRecord, GridState, Register, order_part
from protocol.membership.liveness import Health
from protocol.requesting.confirming import Confirming
from protocol.requesting.silence import Silence
from protocol.terms.checking import (
    CLAIMS_AT_ONCE,
    CONFIRM_AGAIN_S,
    CONFIRM_WATCHED_S,
    CONFIRMS_AT_ONCE,
    CONFIRMS_QUEUED,
)
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import STEWARDS_MOST

SPEC = shop(2)
RECORD = record_of(ADMIN.up(SPEC, NOW), {"web-1": A, "web-2": B})
GRID = RECORD.id
MALLORY = PeerId("mallory")


class Hosts:
    """Everybody is heard but who is named; sites are the first letters."""

    def __init__(self) -> None:
        self.silent: dict[PeerId, None] = {}

    def name(self, peer: PeerId) -> str:
        return peer

    def site(self, peer: PeerId) -> str:
        return peer[:1]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return Silence(Health.DEAD, NOW) if peer in self.silent else None


class Scene:
    def __init__(self) -> None:
        self.notices, self.hosts = Notices(), Hosts()
        self.confirming = Confirming(self.notices, self.hosts)

    def tells(self, peer: PeerId, notice: Notice) -> None:
        self.notices.put(peer, notice, NOW)

    def asks(self, *grids: GridId, now: float = NOW) -> list[Propose]:
        return looks(self.confirming.want(grids or (GRID,), now))

    def shown(self, look: Propose, record: GridRecord | None, now: float = NOW) -> list[Propose]:
        """Somebody shows that, and the notices know it, as the requester sees to."""
        assert isinstance(look.purpose, ConfirmGrid)
        if record is None:
            return looks(self.confirming.settled(look.purpose, None, now))
        self.notices.know(known_of(record, SPEC, b"d" * 32))
        return looks(self.confirming.settled(look.purpose, decided(record), now))

    def silent(self, look: Propose, now: float = NOW) -> list[Propose]:
        assert isinstance(look.purpose, ConfirmGrid)
        return looks(self.confirming.unsettled(look.purpose, now))


def looks(outcomes: list[Outcome]) -> list[Propose]:
    found = [outcome for outcome in outcomes if isinstance(outcome, Propose)]
    assert len(found) == len(outcomes)
    assert all(look.step is None for look in found), "it changes nothing"
    return found


def told(peer: PeerId = A, **changes: object) -> Notice:
    import msgspec

    return msgspec.structs.replace(notice_of(RECORD, peer), **changes)  # type: ignore[arg-type]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_stewards_that_hosts_name_are_asked_once(scene: Scene) -> None:
    scene.tells(A, told(A))
    scene.tells(B, told(B))
    (look,) = scene.asks()
    assert (look.register, look.stewards) == (order_part(GRID), RECORD.stewards)
    assert scene.asks() == [], "it is under way"
    assert scene.confirming.open(GRID, NOW)
    assert scene.shown(look, RECORD) == []
    assert not scene.confirming.open(GRID, NOW)
    assert scene.asks() == [], "it is known"


def test_stewards_that_were_not_the_grids_own_are_not_believed_to_show_the_newest(
    scene: Scene,
) -> None:
    scene.tells(MALLORY, told(stewards=(MALLORY,)))
    (look,) = scene.asks()
    (newest,) = scene.shown(look, RECORD)
    assert newest.stewards == RECORD.stewards
    assert scene.confirming.open(GRID, NOW)
    assert scene.shown(newest, RECORD) == []
    assert not scene.confirming.open(GRID, NOW)


@pytest.mark.parametrize("silent", [True, False])
def test_where_stewards_show_nothing_the_hosts_that_told_it_are_asked(
    scene: Scene, silent: bool
) -> None:
    scene.tells(A, told(A))
    (look,) = scene.asks()
    assert not look.shown
    (hosts,) = scene.silent(look) if silent else scene.shown(look, None)
    assert (hosts.stewards, hosts.shown) == ((A,), True)
    assert scene.silent(hosts) == []
    assert not scene.confirming.open(GRID, NOW), "it stays hearsay"


def test_they_are_asked_at_once_where_too_few_stewards_are_heard(scene: Scene) -> None:
    scene.hosts.silent = dict.fromkeys((A, C))
    scene.tells(A, told(A))
    scene.tells(B, told(B))
    (hosts,) = scene.asks()
    assert (hosts.stewards, hosts.shown) == ((B, A), True), "who is heard first"
    assert scene.shown(hosts, RECORD) == [], "its stewards cannot say more"


@pytest.mark.parametrize("stewards", [(), (MALLORY,) * (STEWARDS_MOST + 1)])
def test_nor_is_anybody_asked_who_cannot_be_a_steward(
    scene: Scene, stewards: tuple[PeerId, ...]
) -> None:
    scene.tells(MALLORY, told(stewards=stewards))
    (hosts,) = scene.asks()
    assert hosts.stewards == (MALLORY,)


def test_an_id_that_is_no_orders_is_not_asked_about(scene: Scene) -> None:
    scene.tells(MALLORY, told(grid=GridId("shop")))
    assert scene.asks(GridId("shop")) == []
    assert not scene.confirming.open(GridId("shop"), NOW)


def test_what_nobody_shows_is_not_asked_about_again_for_a_while(scene: Scene) -> None:
    scene.tells(A, told(A))
    (look,) = scene.asks()
    (hosts,) = scene.silent(look)
    scene.silent(hosts)
    assert scene.asks(now=NOW + CONFIRM_AGAIN_S - 1) == []
    assert len(scene.asks(now=NOW + CONFIRM_AGAIN_S)) == 1


def test_an_order_that_made_another_grid_refutes_all_that_is_told_of_this_one(
    scene: Scene,
) -> None:
    other = record_of(ADMIN.up(SPEC, NOW), {"web-1": A, "web-2": B})
    scene.tells(MALLORY, told(stewards=(MALLORY,)))
    scene.tells(A, told(A))
    first, _ = scene.asks()
    assert isinstance(first.purpose, ConfirmGrid)
    void = decision(Register(None, 3, (), other.order))
    assert scene.confirming.settled(first.purpose, void, NOW) == []
    assert not scene.confirming.open(GRID, NOW)


def test_sites_take_turns_however_many_hosts_of_one_lie(scene: Scene) -> None:
    for number in range(5 * CLAIMS_AT_ONCE):
        liar = PeerId(f"mallory-{number}")
        scene.tells(liar, told(epoch=10**9 + number, decision=number.to_bytes(32, "big")))
    scene.tells(C, told(C))
    asked = scene.asks()
    assert len(asked) == CLAIMS_AT_ONCE
    claims = [claim for claim, _ in scene.confirming._asking[GRID].values()]
    assert any(claim.tellers == (C,) for claim in claims)


def test_when_all_of_them_came_to_nothing_the_next_are_asked(scene: Scene) -> None:
    for number in range(CLAIMS_AT_ONCE + 1):
        scene.tells(PeerId(f"m{number}"), told(stewards=(), decision=bytes([number])))
    asked = scene.asks()
    *most, last = asked
    assert all(scene.silent(look) == [] for look in most)
    assert len(scene.silent(last)) == 1


def test_so_many_grids_at_once_and_so_many_that_wait(scene: Scene) -> None:
    grids = [GridId(f"{number:020}.0") for number in range(CONFIRMS_AT_ONCE + CONFIRMS_QUEUED + 9)]
    for grid in grids:
        scene.tells(MALLORY, told(grid=grid, stewards=()))
    first = scene.asks(*grids)
    assert len(first) == CONFIRMS_AT_ONCE
    asked, more = len(first), first
    while more:
        more = [look for one in more for look in scene.silent(one)]
        asked += len(more)
    assert asked == CONFIRMS_QUEUED


def test_a_later_word_of_a_host_is_checked_while_somebody_follows_the_grid(scene: Scene) -> None:
    scene.notices.know(known_of(RECORD, SPEC, b"d" * 32))
    later = told(A, epoch=2, state=GridState.DOWN)
    scene.tells(A, later)
    assert scene.confirming.noticed(GRID, NOW) == [], "nobody asked"
    (look,) = scene.asks()
    scene.shown(look, RECORD)
    scene.tells(A, told(A, epoch=3))
    now = NOW + CONFIRM_WATCHED_S - 1
    (again,) = looks(scene.confirming.noticed(GRID, now))
    assert again.stewards == RECORD.stewards
    scene.shown(again, RECORD, now)
    scene.tells(MALLORY, told(epoch=9))
    assert scene.confirming.noticed(GRID, now) == [], "it is no host of it"
    scene.tells(A, told(A, epoch=4))
    assert scene.confirming.noticed(GRID, NOW + CONFIRM_WATCHED_S) == [], "that is long ago"


def test_an_answer_that_nobody_waits_for_changes_nothing(scene: Scene) -> None:
    assert scene.confirming.settled(ConfirmGrid(GRID, 7), None, NOW) == []
    assert not scene.confirming.busy()
