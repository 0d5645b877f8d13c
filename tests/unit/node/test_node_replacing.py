"""When a steward has another replaced, by whom, and when not."""

from random import Random

import msgspec
import pytest

from protocol.contract.authority import Authority
from protocol.contract.outcomes import ReplaceSteward
from protocol.grid.decision import Ballot
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    Register,
    grid_id,
    register_key,
)
from protocol.grid.seal import Seats
from protocol.grid.steps import Finish, Replace, apply
from protocol.node.registers import _opens
from protocol.node.replacing import AllSeen, Replacing
from protocol.register.acceptor import Acceptor
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import SEAL_LOOK_EVERY_S, SEALS_AT_ONCE, STEWARD_GONE_S
from protocol.trust.certificate import Chain
from protocol.trust.own_store import OwnStore
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1_000_000)
SITES = {"a": "s1", "b": "s2", "c": "s3", "d": "s1", "e": "s2", "f": "s3", "g": "s4"}
PEERS = {name: PeerId(FED.host(site, name).key) for name, site in SITES.items()}
NAMES = {peer: name for name, peer in PEERS.items()}
STEWARDS = tuple(PEERS[name] for name in "abc")
ADMIN = Admin(FED, "s1", Random(1), lambda: STEWARDS)
AUTHORITY = Authority(FED.key, SimVerifier())


class Seen(AllSeen):
    """What a test says of peers."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.revoked: set[str] = set()
        self.unshown: set[str] = set()
        self.leaves: set[str] = set()
        self.stores: dict[str, str] = {}

    def silent(self, peer: PeerId, now: float) -> bool:
        return NAMES[peer] in self.lost

    def expelled(self, peer: PeerId) -> bool:
        return NAMES[peer] in self.revoked

    def leaving(self, peer: PeerId) -> bool:
        return NAMES[peer] in self.leaves

    def store(self, peer: PeerId) -> StoreId:
        return StoreId(self.stores.get(NAMES[peer], ""))

    def members(self) -> dict[PeerId, str]:
        return {PEERS[n]: site for n, site in SITES.items() if n not in self.lost}

    def chain(self, peer: PeerId) -> Chain:
        name = NAMES[peer]
        return () if name in self.unshown else FED.host_chain(SITES[name], name)


def record(number: int = 0, by: Admin = ADMIN, **said: object) -> GridRecord:
    order = by.up(grid_spec(f"shop-{number}"), NOW)
    host = HostRef(PEERS["e"], "e", "s2")
    made = GridRecord(
        grid_id(order), f"shop-{number}", by.signer.key, "s1", 1, GridState.UP, order, STEWARDS,
        (host,), (Assignment("web-1", PEERS["e"]),), (),
    )  # fmt: skip
    return msgspec.structs.replace(made, **said)


class Scene:
    """Host a, a steward of a grid of its own site that e of s2 carries."""

    def __init__(self, *registers: Register) -> None:
        signer, own = FED.host("s1", "a"), OwnStore("a", {}, "a" * 16, Random(2))
        self.acceptor = Acceptor(
            signer, SimVerifier(), _opens(AUTHORITY), lambda _, value: _read(value), {}, own
        )
        for register in registers or (Register(record()),):
            key = register_key(register.ordered)
            kept = self.acceptor.open(key, register.ordered, NOW)
            self.acceptor.accept_own(key, kept, Ballot(0, PEERS["a"]), encode(register))
        self.seen, self.now = Seen(), NOW
        self.replacing = Replacing(self.acceptor, self.seen, Random(1), NOW)

    def wait(self, seconds: float) -> list[Replace | Finish]:
        """What is to be done within that time; it looks as often as it wants."""
        found: list[Replace | Finish] = []
        end_s = self.now + seconds
        while (due := self.replacing.next_deadline()) is not None and due.at_s <= end_s:
            self.now = due.at_s
            found += [step for _, step in self.replacing.due(self.now)]
        self.now = end_s
        return found


def _read(value: bytes) -> Register:
    from protocol.grid.record import read_register

    return read_register(value)


LONG_S = STEWARD_GONE_S + 3 * SEAL_LOOK_EVERY_S


def test_who_is_not_heard_for_long_is_replaced() -> None:
    scene = Scene()
    scene.seen.lost = {"c"}
    assert scene.wait(STEWARD_GONE_S) == []
    (step, *_) = scene.wait(LONG_S)
    assert isinstance(step, Replace)
    assert step.gone == PEERS["c"]
    assert NAMES[step.heir] in "de", "a site that carries the grid, or its owner's"
    assert AUTHORITY.host(step.chain).key == step.heir


def test_who_is_back_in_between_is_not() -> None:
    scene = Scene()
    for _ in range(5):
        scene.seen.lost = {"c"}
        assert scene.wait(STEWARD_GONE_S / 2) == []
        scene.seen.lost = set()
        assert scene.wait(3 * SEAL_LOOK_EVERY_S) == []


def test_whose_certificate_was_revoked_is_replaced_at_the_next_look() -> None:
    scene = Scene()
    scene.seen.lost = scene.seen.revoked = {"c"}
    assert len(scene.wait(2.5 * SEAL_LOOK_EVERY_S)) == 2, "again and again, until it is done"


def test_who_says_that_it_leaves_is_replaced_at_the_next_look_by_one_that_does_not() -> None:
    scene = Scene()
    scene.seen.leaves = {"c", "e"}
    steps = scene.wait(2.5 * SEAL_LOOK_EVERY_S)
    assert len(steps) == 2, "again and again, until it is done"
    assert {(s.gone, s.heir) for s in steps if isinstance(s, Replace)} == {(PEERS["c"], PEERS["d"])}
    scene.seen.leaves = set()
    assert scene.wait(LONG_S) == [], "it stays"


def test_who_leaves_votes_for_its_own_replacement_while_another_is_not_heard() -> None:
    scene = Scene()
    scene.seen.leaves, scene.seen.lost = {"c"}, {"b"}
    (step, *_) = scene.wait(2.5 * SEAL_LOOK_EVERY_S)
    assert isinstance(step, Replace)
    assert step.gone == PEERS["c"]


def test_who_leaves_itself_leaves_its_replacement_to_the_others() -> None:
    scene = Scene()
    scene.seen.leaves = {"a"}
    assert scene.wait(LONG_S) == []
    assert scene.replacing.seats() == 1


def test_a_host_that_carries_the_grid_goes_before_others_of_its_site() -> None:
    SITES["h"] = "s2"
    PEERS["h"] = PeerId(FED.host("s2", "h").key)
    NAMES[PEERS["h"]] = "h"
    try:
        scene = Scene()
        scene.seen.lost = {"b", "d"}
        steps = scene.wait(LONG_S)
        assert steps
        assert {NAMES[s.heir] for s in steps if isinstance(s, Replace)} == {"e"}
    finally:
        del NAMES[PEERS.pop("h")], SITES["h"]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param({"b", "c"}, id="without a majority nothing is decided"),
        pytest.param({"c", "d", "e"}, id="nobody could take its place"),
        pytest.param({"g"}, id="no steward is gone"),
    ],
)
def test_nothing_is_proposed_where_nothing_would_come_of_it(lost: set[str]) -> None:
    scene = Scene()
    scene.seen.lost = lost
    assert scene.wait(2 * LONG_S) == []


def test_who_shows_no_certificate_here_is_no_heir() -> None:
    scene = Scene()
    scene.seen.lost, scene.seen.unshown = {"c"}, {"d"}
    steps = scene.wait(LONG_S)
    assert steps
    assert {s.heir for s in steps if isinstance(s, Replace)} == {PEERS["e"]}


STORES = tuple(StoreId(name * 16) for name in "abc")
NAMING = Admin(FED, "s1", Random(3), lambda: STEWARDS, lambda _: STORES)


def seated(**stores: str) -> Scene:
    """The order names the stores of the stewards; hosts say that they have these."""
    scene = Scene(Register(record(by=NAMING)))
    scene.seen.stores = {name: name * 16 for name in SITES} | stores
    return scene


def test_who_has_another_store_than_its_seats_is_replaced_and_the_heirs_is_named() -> None:
    assert seated().wait(LONG_S) == []
    scene = seated(c="9" * 16)
    assert scene.wait(STEWARD_GONE_S) == [], "what one has heard of it may be old"
    (step, *_) = scene.wait(LONG_S)
    assert isinstance(step, Replace)
    assert (step.gone, step.store) == (PEERS["c"], StoreId(NAMES[step.heir] * 16))
    assert NAMES[step.heir] in "de"


def test_who_says_no_store_is_not_gone_for_that_and_takes_no_seat_that_is_a_stores() -> None:
    assert seated(c="").wait(2 * LONG_S) == []
    scene = seated(d="", e="")
    scene.seen.lost = {"c"}
    assert scene.wait(2 * LONG_S) == []


def test_where_there_is_no_other_a_host_follows_itself_with_its_other_store() -> None:
    scene = seated(c="9" * 16)
    scene.seen.lost = {"d", "e"}
    (step, *_) = scene.wait(2 * LONG_S)
    assert isinstance(step, Replace)
    assert (step.gone, step.heir, step.store) == (PEERS["c"], PEERS["c"], "9" * 16)
    register = scene.acceptor.rows()[0][1].register
    closed = apply(step, register, NOW)
    assert closed.closed is not None
    assert closed.closed.seats == Seats(STEWARDS, (*STORES[:2], StoreId("9" * 16)))


def test_what_went_half_the_way_is_finished() -> None:
    made = Register(record())
    closed = apply(Replace(PEERS["c"], PEERS["d"], FED.host_chain("s1", "d")), made, NOW)
    scene = Scene(closed)
    assert Finish() in scene.wait(2 * SEAL_LOOK_EVERY_S)


def test_what_is_down_or_was_never_up_is_left_alone() -> None:
    order = ADMIN.up(grid_spec("never"), NOW)
    scene = Scene(Register(record(1, state=GridState.DOWN)), Register(None, 3, (), order))
    scene.seen.lost = {"c"}
    assert scene.wait(2 * LONG_S) == []


def test_a_few_at_a_time() -> None:
    scene = Scene(*(Register(record(number)) for number in range(SEALS_AT_ONCE + 3)))
    scene.seen.lost = scene.seen.revoked = {"c"}
    scene.now = NOW + SEAL_LOOK_EVERY_S
    work = scene.replacing.due(scene.now)
    assert len(work) == SEALS_AT_ONCE
    assert all(isinstance(purpose, ReplaceSteward) for purpose, _ in work)
    assert scene.replacing.due(scene.now) == []


def test_who_is_a_steward_of_nothing_is_not_woken() -> None:
    scene = Scene()
    scene.acceptor._kept.clear()
    assert scene.replacing.next_deadline() is None
    assert scene.replacing.due(NOW + 1e6) == []
