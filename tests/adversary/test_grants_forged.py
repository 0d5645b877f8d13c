"""Every grant that is none, at every door of a host: refused, named in the audit log, and without effect.

A member of VO star has a grid on a host of site s1, whose policy lends to star. Mallory shows orders under
chains of grants that break one rule each: to hold room for a grid of its own, to change star's, to act on it,
to extend its lease, and to the peer that people ask. What a host has on its disk stays as it was, in its next
life too.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import hosting_world
import msgspec
import one_requester
import pytest
from changing_host import to_apply
from deciding import decided
from hosting_world import REQUEST, One
from negotiating import FEDERATION, NOW, A, B, C, shop
from one_requester import ME, Scene
from organisation import Organisation

from protocol.contract.authority import Authority
from protocol.contract.messages import Act, Decided, HoldAsk, HoldRelease, LeaseAsk
from protocol.grid.record import GridRecord, LeaseChange, grid_id, vni_of
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.requesting.request import RequestState
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.sim.people import Person
from protocol.terms.effects import Audit, Effect, Persist
from protocol.terms.ids import GridId, digest_of
from protocol.terms.limits import HOLD_S
from protocol.terms.ranges import AMOUNT_MOST
from protocol.trust import grants, order
from protocol.trust.ceilings import Ceilings
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.grants import Grants, SignedVoGrant, read_grant
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.trust.verbs import EVERY_VERB, Verb
from protocol.wire.codec import encode

FROM_S, UNTIL_S = NOW - 1000, NOW + 100_000
STAR = Organisation("star", from_s=FROM_S, until_s=UNTIL_S)
CMS = Organisation("cms", from_s=FROM_S, until_s=UNTIL_S)
NAMESAKE = Organisation("star", from_s=FROM_S, until_s=UNTIL_S)
NAMESAKE.signer = SimSigner("a VO that calls itself star")
MOST = Ceilings(4000, 1 << 30, 1 << 40, 10, 4, 172_800)
"""What ANN has at most: some of everything."""
ANN = STAR.grant(
    "ann",
    verbs=tuple(verb for verb in EVERY_VERB if verb is not Verb.DEVICES),
    sites=("s1", "s2"),
    ceilings=MOST,
)
THIEF = SimSigner("thief")


class Mallory(Person):
    """Who signs with the key that has a chain, or with another, whatever honest tools would refuse."""

    def __init__(self, chain: Grants, signer: SimSigner) -> None:
        super().__init__(signer, (), chain, Random(7), lambda: (A, B, C))


def forged(signed: SignedVoGrant, signer: SimSigner, **changes: Any) -> SignedVoGrant:
    """The grant with changes, signed again, even when no honest signer would."""
    payload = encode(msgspec.structs.replace(read_grant(signed), **changes))
    return SignedVoGrant(payload, signer.sign(grants.DOMAIN, payload))


def below(**changes: Any) -> Mallory:
    """The tool to which ann passed on what she has, and more of one thing."""
    return Mallory(STAR.grant("tool", under=ANN, by="ann", **changes), STAR.key_of("tool"))


def first(**changes: Any) -> Mallory:
    """Ann herself, if the VO's grant to her says that, well-formed or not."""
    return Mallory((forged(ANN[0], STAR.signer, **changes),), STAR.key_of("ann"))


def higher(field: str) -> Ceilings:
    return msgspec.structs.replace(MOST, **{field: getattr(MOST, field) + 1})


def missing(field: str) -> Ceilings:
    return msgspec.structs.replace(MOST, **{field: None})


def deep(links: int) -> Mallory:
    chain, before = STAR.grant("m1"), "m1"
    for number in range(2, links + 1):
        chain = STAR.grant(f"m{number}", under=chain, by=before)
        before = f"m{number}"
    return Mallory(chain, STAR.key_of(before))


def loop() -> Mallory:
    there = STAR.grant("tool", under=STAR.grant("ann"), by="ann")
    return Mallory(STAR.grant("ann", under=there, by="tool"), STAR.key_of("ann"))


OTHERS = "does not name vo:|the grid is another owner's"
FIELDS = Ceilings.__struct_fields__
BAD: dict[str, tuple[Mallory, str]] = {
    "a stolen chain without the key": (Mallory(ANN, THIEF), "bad-signature"),
    "a grant that the member altered": (
        Mallory((forged(ANN[0], STAR.key_of("ann"), sites=()),), STAR.key_of("ann")),
        "bad-signature",
    ),
    "a child of more verbs": (below(verbs=EVERY_VERB), "it allows to devices"),
    "a child of another site": (below(sites=("s1", "s9")), "it is for s9"),
    "a child of every site": (below(sites=()), "it is for every site"),
    **{f"a child of more {f}": (below(ceilings=higher(f)), f"ceiling of {f}") for f in FIELDS},
    **{f"a child of endless {f}": (below(ceilings=missing(f)), f"ceiling of {f}") for f in FIELDS},
    "a child that begins before": (below(not_before_s=FROM_S - 1), "begins before its parent"),
    "a child that ends after": (below(not_after_s=UNTIL_S + 1), "ends after its parent"),
    "a child of another VO's key": (below(vo=CMS.signer.key), "it is of VO star"),
    "a child of another VO's name": (below(name="cms"), "it is of VO cms"),
    "five links": (deep(5), "5 grants; a chain has 1 to 4"),
    "a loop": (loop(), "comes back to one of its keys"),
    "expired by a second": (first(not_after_s=NOW - 1), "ended 1 s ago"),
    "expired at this instant": (first(not_after_s=NOW), "ended 0 s ago"),
    "not yet valid": (first(not_before_s=NOW + CLOCK_TOLERANCE_S + 1), "is valid in 301 s"),
    "an unknown verb": (first(verbs=("rule",)), "malformed: grant"),
    "no verb": (first(verbs=()), "it allows at least one thing"),
    "a negative ceiling": (first(ceilings={"cpus_milli": -1}), "malformed: grant"),
    "an absurd ceiling": (first(ceilings={"memory_bytes": AMOUNT_MOST + 1}), "malformed: grant"),
    "a ceiling that is text": (first(ceilings={"workspaces": "many"}), "malformed: grant"),
    "no ceilings at all": (first(ceilings=None), "malformed: grant"),
}
"""What nobody believes, and what it is refused with."""
NOT_HERE: dict[str, tuple[Mallory, str]] = {
    "for another site": (first(sites=("s2",)), "the grant is not for site s1"),
    "another VO": (Mallory(CMS.grant("eve"), CMS.key_of("eve")), OTHERS),
    "a VO of the same name": (Mallory(NAMESAKE.grant("eve"), NAMESAKE.key_of("eve")), OTHERS),
}
"""What is true, and of no use at this host."""


class Lent(One):
    """A host of site s1 that carries ann's grid."""

    def __init__(self) -> None:
        super().__init__()
        self.around.said = SitePolicy("s1", 1, NOW, (), vos=(VoTerms("star", STAR.signer.key),))
        made = Mallory(ANN, STAR.key_of("ann")).up(shop(1), NOW)
        assert self.holds(made).held == ("web-1",)
        self.made: GridRecord = self.record(made)
        self.hears(Decided(decided(self.made).certificate))
        assert self.host.leases.row(self.made.id) is not None

    def asks(self, who: Person, door: str) -> tuple[SignedOrder, list[Effect]]:
        """What follows from an order of theirs at that door."""
        order = DOORS[door](who, self.made.id)
        return order, self.shows(order, door)

    def shows(self, order: SignedOrder, door: str) -> list[Effect]:
        """What follows if B shows that order there."""
        grid = grid_id(order, 0, B) if door == "change" else grid_id(order)
        match door:
            case "hold":
                vnis = (("lan", vni_of(grid, "lan")),)
                return self.hears(HoldAsk(grid, order, ("web-1",), vnis, HOLD_S))
            case "change":
                ask = HoldAsk(grid, self.made.order, ("web-1",), self.made.vnis, HOLD_S)
                more = msgspec.structs.replace(ask, change=order, of=self.made.id)
                return self.hears(more)
            case "lease":
                return self.hears(LeaseAsk(REQUEST, self.made.id, order))
            case _:
                return self.hears(Act(REQUEST, self.made.id, order))


DOORS: dict[str, Callable[[Person, GridId], SignedOrder]] = {
    "hold": lambda who, _: who.up(msgspec.structs.replace(shop(1), name="mine"), NOW),
    "change": lambda who, of: to_apply(shop(1, memory_mib=256), of=of, admin=who),
    "lease": lambda who, of: who.order(Action.LEASE, of, NOW, body=encode(LeaseChange(600))),
    "pause": lambda who, of: who.order(Action.PAUSE, of, NOW),
}


@pytest.fixture(autouse=True)
def lent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some site lends to star, and some to the other two."""
    keys = tuple(vo.signer.key for vo in (STAR, CMS, NAMESAKE))
    authority = Authority(FEDERATION.key, SimVerifier(), admitted=keys)
    monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
    monkeypatch.setattr(one_requester, "AUTHORITY", authority)


def lines(effects: list[Effect]) -> list[Audit]:
    return [effect for effect in effects if isinstance(effect, Audit)]


@pytest.mark.parametrize("door", list(DOORS))
def test_the_member_itself_is_let_in(door: str) -> None:
    """Else nothing below would mean anything."""
    one = Lent()
    _, effects = one.asks(Mallory(ANN, STAR.key_of("ann")), door)
    (line,) = lines(effects)
    assert (line.allowed, line.why) == (True, "")
    assert any(isinstance(effect, Persist) for effect in effects)


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("kind", [*BAD, *NOT_HERE])
def test_a_host_refuses_it_and_says_so_in_its_audit_log(kind: str, door: str) -> None:
    one = Lent()
    who, said = (BAD | NOT_HERE)[kind]
    for life in range(2):
        before = {table: dict(rows) for table, rows in one.rows.items()}
        order, effects = one.asks(who, door)
        (line,) = lines(effects)
        assert not line.allowed
        assert any(part in line.why for part in said.split("|"))
        assert line.order == digest_of(order.payload)
        assert (line.via, line.via_site) == (B, "s2")
        assert not any(isinstance(effect, Persist) for effect in effects)
        assert one.rows == before, life
        assert len(list(one.host.holds.rows())) == 0
        one.start()


@pytest.mark.parametrize("action", [Action.UP, Action.HOLD, Action.DOWN, Action.CONSOLE])
@pytest.mark.parametrize("kind", list(BAD))
def test_the_peer_that_is_asked_refuses_it_too(kind: str, action: Action) -> None:
    scene = Scene()
    who, said = BAD[kind]
    body = encode(shop(1)) if action is Action.UP else b""
    order = who.order(action, "shop", NOW, body=body)
    effects, outcomes = scene.order("r1", order)
    assert (effects, outcomes) == ([], [])
    (line,) = scene.audits
    assert not line.allowed
    assert said in line.why
    assert line.order == digest_of(order.payload)
    assert (line.via, line.via_site) == (ME, "s1")
    assert scene.view("r1").state is RequestState.FAILED


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("what", ["payload", "signature", "grant", "chain", "other grants"])
def test_the_peer_that_carries_an_order_alters_nothing_of_it(what: str, door: str) -> None:
    """Nor if the host has believed the order itself before: what it remembers of that lets nothing else in."""
    one = Lent()
    ann = Mallory(ANN, STAR.key_of("ann"))
    good = DOORS[door](ann, one.made.id)
    altered = ALTERED[what](good)
    for believed_before in (False, True):
        if believed_before:
            hosting_world.AUTHORITY.order(good, NOW, fresh=True)
        before = {table: dict(rows) for table, rows in one.rows.items()}
        effects = one.shows(altered, door)
        (line,) = lines(effects)
        assert not line.allowed
        assert not line.believed
        assert one.rows == before


def _but_payload(good: SignedOrder) -> SignedOrder:
    more = msgspec.structs.replace(read_order(good), nonce="f" * 16)
    return msgspec.structs.replace(good, payload=encode(more))


ALTERED: dict[str, Callable[[SignedOrder], SignedOrder]] = {
    "payload": _but_payload,
    "signature": lambda good: msgspec.structs.replace(
        good, signature=THIEF.sign(order.DOMAIN, good.payload)
    ),
    "grant": lambda good: msgspec.structs.replace(
        good, grants=(msgspec.structs.replace(good.grants[0], signature=bytes(64)),)
    ),
    "chain": lambda good: msgspec.structs.replace(good, chain=FEDERATION.site_chain("s1")),
    "other grants": lambda good: msgspec.structs.replace(good, grants=STAR.grant("ann")),
}


def test_two_orders_of_one_short_key_are_counted_each_by_its_own_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who signs both can find two such orders by trying. Here the digits are fewer, so it takes no time."""
    monkeypatch.setattr(order, "ORDER_KEY_DIGITS", 2)
    one = Lent()
    terms = tuple(VoTerms(vo.name, vo.signer.key) for vo in (STAR, CMS))
    one.around.said = SitePolicy("s1", 2, NOW, (), vos=terms)
    spec = msgspec.structs.replace(shop(1), name="mine")
    eve = Mallory(CMS.grant("eve"), CMS.key_of("eve")).up(spec, NOW)
    ann = Mallory(ANN, STAR.key_of("ann"))
    twins = (ann.up(spec, NOW) for _ in range(10_000))
    twin = next(made for made in twins if grid_id(made) == grid_id(eve) != one.made.id)
    used = one.host._spending.used
    before = used(STAR.key_of("ann").key).workspaces
    assert one.holds(eve).held == ("web-1",)
    assert used(CMS.key_of("eve").key).workspaces == 1
    one.hears(HoldRelease(grid_id(eve), ("web-1",)))
    assert one.holds(twin).held == ("web-1",)
    assert used(STAR.key_of("ann").key).workspaces == before + 1
    assert used(CMS.key_of("eve").key).workspaces == 0
