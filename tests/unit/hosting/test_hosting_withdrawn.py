"""What was made under a grant that was revoked since: when it ends here, by the policy of the host's site."""

from random import Random

import hosting_world
import msgspec
import pytest
from deciding import decided
from hosting_world import FEDERATION, REQUEST, One, notes
from negotiating import ADMIN, NOW, RIVAL, A, B, C, shop
from organisation import Organisation

from protocol.contract.authority import Authority
from protocol.contract.messages import Decided, LeaseAsk, LeaseReply
from protocol.grid.lifecycle import Power
from protocol.grid.record import LeaseChange, grid_id
from protocol.hosting.lease import (
    Cut,
    Lease,
    LeaseStage,
    allowed,
    next_change_s,
    stage_of,
    yielded,
)
from protocol.hosting.withdrawn import NOTICE_S
from protocol.policy.site_policy import Revoked, SitePolicy, VoTerms
from protocol.sim.keys import SimVerifier
from protocol.sim.people import Person
from protocol.terms.effects import Send
from protocol.terms.ids import KeyId
from protocol.trust.certificate import name_of_key
from protocol.trust.grants import Grants, read_grant
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
ANN = STAR.grant("ann")
BO = STAR.grant("bo", under=ANN, by="ann")
LEASE_S = 3600


def up(chain: Grants, member: str) -> SignedOrder:
    person = Person(STAR.key_of(member), (), chain, Random(7), lambda: (A, B, C))
    return person.up(shop(1, lease_s=LEASE_S), NOW)


def policy(
    number: int = 1, revoked: Revoked = Revoked.AT_ONCE, *, names: bool = True
) -> SitePolicy:
    vos = (VoTerms("star", STAR.signer.key),) if names else ()
    return SitePolicy("s1", number, NOW, (), vos=vos, revoked=revoked)


class Scene:
    """A host, and what it believes to be revoked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.revoked: list[tuple[KeyId, str]] = []
        authority = Authority(
            FEDERATION.key, SimVerifier(), self.revoked, admitted=(STAR.signer.key,)
        )
        monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
        self.one = One()
        self.one.around.said = policy()

    def leased(self, order: SignedOrder) -> None:
        self.order = order
        assert self.one.holds(order).held == ("web-1",)
        self.one.hears(Decided(decided(self.one.record(order)).certificate))

    @property
    def row(self) -> Lease:
        row = self.one.host.leases.row(grid_id(self.order))
        assert row is not None
        return row

    def after(self, seconds: float) -> list[str]:
        """What is noted when that long has passed since the beginning."""
        now = NOW + seconds
        return [kind for kind, _ in notes(self.one.keep(self.one.host.tick(now)))]

    @property
    def powers(self) -> list[Power]:
        return [wanted.power for wanted in self.one.host.leases.wanted(self.row.record.id)]

    def revoke(self, chain: Grants) -> None:
        grant = read_grant(chain[-1])
        self.revoked.append((grant.issuer, grant.serial))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.mark.parametrize("which", [ANN, BO])
def test_it_ends_a_minute_after_a_grant_of_its_chain_was_revoked(
    scene: Scene, which: Grants
) -> None:
    scene.leased(up(BO, "bo"))
    assert scene.after(10) == []
    scene.revoke(which)
    assert scene.after(20) == ["lease.withdrawn"]
    assert scene.after(20 + NOTICE_S - 1) == []
    assert scene.powers == [Power.RUNNING]
    assert scene.after(20 + NOTICE_S) == ["lease.ended"]
    assert scene.powers == [Power.OFF], "its disks are kept"
    assert scene.row.kept_until_s == scene.row.lease_until_s + scene.row.terms.grace_s
    assert "was revoked, and this site ends" in allowed(
        scene.row, LeaseStage.OVER, "restart", NOW + 200
    )


def test_it_ends_too_if_a_member_was_revoked_by_key(scene: Scene) -> None:
    scene.leased(up(BO, "bo"))
    scene.revoked.append((STAR.signer.key, name_of_key(STAR.key_of("ann").key)))
    assert scene.after(10) == ["lease.withdrawn"]


def test_it_goes_on_to_the_end_of_its_lease_where_the_policy_says_so(scene: Scene) -> None:
    scene.one.around.said = policy(revoked=Revoked.AT_LEASE_END)
    scene.leased(up(ANN, "ann"))
    scene.revoke(ANN)
    assert scene.after(600) == []
    assert scene.row.ends_s == scene.row.lease_until_s


def test_what_others_made_goes_on(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    scene.revoke(BO)
    assert scene.after(600) == []


def test_it_ends_if_the_policy_names_its_organisation_no_more(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    scene.one.around.said = policy(2, names=False)
    assert scene.after(10) == ["lease.withdrawn"]
    assert scene.row.cut is not None
    assert "policy 2 of site s1 names vo:star no more" in scene.row.cut.why


def test_nothing_happens_if_the_policy_is_taken_back_in_that_minute(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    scene.one.around.said = policy(2, names=False)
    assert scene.after(10) == ["lease.withdrawn"]
    scene.one.around.said = policy(3)
    assert scene.after(40) == ["lease.restored"]
    assert scene.after(200) == []
    assert scene.powers == [Power.RUNNING]


def test_an_older_policy_than_the_certificate_names_ends_nothing(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    scene.one.around.said, scene.one.around.least = policy(1, names=False), 2
    assert scene.after(600) == []


def test_work_that_made_room_ends_in_time_too(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    cut = Cut(NOW + 60, "revoked")
    row = msgspec.structs.replace(scene.row, off=("web",), stopped_s=NOW + 10, cut=cut)
    assert stage_of(row, NOW + 59) is LeaseStage.CURRENT
    assert next_change_s(row, LeaseStage.CURRENT) == NOW + 60
    assert stage_of(row, NOW + 60) is LeaseStage.OVER


def test_what_is_over_does_not_go_on_when_there_is_room_again(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    over = {"off": ("web",), "stopped_s": NOW + 10, "lease_until_s": NOW + 10}
    row = msgspec.structs.replace(scene.row, **over)
    again = yielded(row, (), NOW + 500, restore_s=30)
    assert stage_of(again, NOW + 500) is LeaseStage.OVER
    assert again.kept_until_s == NOW + 500 + row.terms.grace_s


def test_nobody_extends_what_is_to_end(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    scene.revoke(ANN)
    assert scene.after(10) == ["lease.withdrawn"]
    vo = Person(STAR.signer, (), STAR.grant("", audience=STAR.signer.key), Random(8))
    grid, body = scene.row.record.id, encode(LeaseChange(60))
    more = vo.order(Action.LEASE, grid, NOW, body=body)
    effects = scene.one.hears(LeaseAsk(REQUEST, grid, more), NOW + 11)
    (reply,) = [effect.message for effect in effects if isinstance(effect, Send)]
    assert isinstance(reply, LeaseReply)
    assert "the grant to ann was revoked" in reply.problem


def test_it_keeps_its_room_until_it_ends(scene: Scene) -> None:
    scene.leased(up(ANN, "ann"))
    key = (scene.row.record.id, "web-1")
    before = scene.one.host.ledger.spans(key)
    scene.one.around.said = policy(2, names=False)
    assert scene.after(10) == ["lease.withdrawn"]
    assert scene.one.host.ledger.spans(key) == before
    scene.after(10 + NOTICE_S)
    assert scene.one.host.ledger.spans(key) != before


def test_the_grids_of_sites_go_on(scene: Scene) -> None:
    """A site's next key, or another site, is no organisation's."""
    scene.one.around.said = None
    scene.leased(RIVAL.up(shop(1, lease_s=LEASE_S), NOW))
    scene.one.around.said = policy(names=False)
    assert scene.after(600) == []


def test_the_site_itself_needs_no_mention(scene: Scene) -> None:
    scene.one.around.said = policy(names=False)
    scene.leased(ADMIN.up(shop(1, lease_s=LEASE_S), NOW))
    assert scene.after(600) == []


def test_a_host_that_was_down_ends_it_when_it_hears_and_one_that_was_killed_goes_on(
    scene: Scene,
) -> None:
    scene.leased(up(ANN, "ann"))
    scene.revoke(ANN)
    scene.one.start(NOW + 100)
    assert "lease.withdrawn" in scene.after(101)
    scene.one.start(NOW + 120)
    assert scene.row.cut is not None, "it was on disk before it was told"
    assert "lease.withdrawn" not in scene.after(130), "nor told again"
    assert "lease.ended" in scene.after(101 + NOTICE_S)
    scene.one.start(NOW + 300)
    assert scene.powers == [Power.OFF]
