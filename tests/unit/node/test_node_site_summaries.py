"""Summaries of sites: when detail ends at the site, what a summary says, and which of two counts."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from protocol.broadcast.broadcast import Broadcast
from protocol.broadcast.messages import DetailAsk
from protocol.capacity.advert import UNPROBED, Advert
from protocol.capacity.quantum import Quantum
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact
from protocol.membership.presence import Known
from protocol.node.site_summaries import KIND, HeardSummary, SiteSummaries, Summary
from protocol.requesting.host_directory import HeardAdvert
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Deadline, Send
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import DETAIL_HOSTS, SUMMARY_CONTACTS
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord
from protocol.wire.codec import decode, encode

NOW = 1_000_000.0
FIRST_S = NOW + 33.0
"""When a summary is first due: half way between 6 and 60 s."""
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1_000_000)
ME = PeerId(FED.host("s1", "h0").key)
T = TypeVar("T")


class Chance:
    """Draws the middle, the first, and `odds`."""

    odds = 0.0

    def random(self) -> float:
        return self.odds

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2

    def choice(self, seq: Sequence[T]) -> T:
        return seq[0]

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        return list(population)[:k]

    def getrandbits(self, k: int, /) -> int:
        return 0


class Anybody:
    """Everybody is a member."""

    def admits(self, record: Record, now: float) -> bool:
        return True

    def met(self, presence: Record, signed: SignedRecord, now: float) -> None:
        pass

    def site(self, peer: KeyId | PeerId) -> str:
        return ""

    def stands(self, record: Record, now: float) -> bool:
        return False

    def elsewhere(self, owner: KeyId) -> SignedRecord | None:
        return None


def peer_at(site: str, number: int) -> PeerId:
    return PeerId(f"{site}-{number}")


class Host:
    """Host h0 at site s1, with so many others at each site, and what it makes of them."""

    def __init__(self, near: int = 0, far: int = 0, above: int = 10) -> None:
        me = Identity(
            signer=FED.host("s1", "h0"),
            verifier=SimVerifier(),
            sealer=SimSealer(FED.host("s1", "h0").key),
            chain=FED.host_chain("s1", "h0"),
            federation=FED.key,
            name="h0",
            site="s1",
            address="h0:7000",
        )
        self.membership = Membership(Contact(ME, "s1", "h0:7000"), Random(1), (), NOW)
        self.broadcast = Broadcast(me.signer, SimVerifier(), Random(1), 1, Anybody())
        self.adverts: dict[PeerId, HeardAdvert] = {}
        self.chance = Chance()
        for number in range(near):
            self.meets("s1", number)
        for number in range(far):
            self.meets("s2", number)
        self.summaries = SiteSummaries(
            me, self.membership, self.broadcast, self.adverts, self.chance, above, NOW
        )

    def meets(self, site: str, number: int) -> PeerId:
        peer = peer_at(site, number)
        known = Known(peer, peer, site, f"{peer}:7000", 1, False, NOW + 1e6)
        self.membership.present(known, NOW)
        return peer

    def loses(self, peer: PeerId) -> None:
        self.membership.present(Known(peer, peer, "", "", 1, True, NOW + 1e6), NOW)

    def offers(self, peer: PeerId, mib: int, workspaces: int = 0) -> None:
        free = Quantum(1000, mib << 20, 0)
        advert = Advert(UNPROBED, free, (("1cpu/1G", mib // 1024),), (), workspaces)
        self.adverts[peer] = HeardAdvert(advert, NOW)

    def hears(self, said: Summary, of: PeerId, now: float) -> None:
        record = Record(KeyId(of), KIND, "", 1, 1, encode(said), 600.0)
        self.summaries.heard(record, now)

    @property
    def told(self) -> Summary | None:
        """What this peer published last about its site; None if it published nothing."""
        held = self.broadcast.directory.get(KeyId(ME), KIND)
        return decode(held.record.body, Summary) if held is not None else None


def summary(
    site: str,
    alive: int,
    made_s: float = NOW,
    contacts: tuple[Contact, ...] = (),
    wide: bool = True,
) -> Summary:
    return Summary(site, alive, Quantum(), Quantum(), (), 0, contacts, made_s, wide)


def test_up_to_the_limit_everybody_knows_everybody() -> None:
    host = Host(near=4, far=5)
    assert host.summaries.peers() == 10
    assert not host.summaries.tick(FIRST_S)
    assert not host.summaries.wide
    assert host.told is None, "nobody needs it"


def test_one_above_the_limit_detail_ends_at_the_site() -> None:
    host = Host(near=4, far=6)
    assert host.summaries.next_deadline().at_s == FIRST_S
    assert not host.summaries.tick(FIRST_S - 0.001)
    assert not host.summaries.wide
    assert host.summaries.tick(FIRST_S), "it told that it is narrow now"
    assert host.summaries.wide
    assert host.broadcast.narrowed
    assert host.summaries.next_deadline() == Deadline(FIRST_S + 60.0, "site summaries")
    assert host.summaries.peers() == 11, "the far ones as it knew them"
    assert not host.summaries.tick(FIRST_S + 60.0), "only once"


def test_a_summary_counts_instead_of_what_was_known() -> None:
    host = Host(near=4, far=6)
    host.summaries.tick(FIRST_S)
    far = host.meets("s2", 0)
    host.hears(summary("s2", 40), far, FIRST_S)
    assert host.summaries.peers() == 45


def test_well_below_the_limit_everybody_knows_everybody_again() -> None:
    for alive, wide in ((3, True), (2, False)):
        host = Host(near=4, far=6)
        host.summaries.tick(FIRST_S)
        host.hears(summary("s2", alive), host.meets("s2", 0), FIRST_S)
        assert host.summaries.peers() == 5 + alive
        host.summaries.tick(FIRST_S + 60.0)
        assert host.summaries.wide is wide, "four fifths of the limit are not below it yet"
        assert host.broadcast.narrowed is wide


def test_it_tells_of_its_site_while_others_need_it() -> None:
    """It is not narrow itself, but the writer of a summary was."""
    for wide in (True, False):
        host = Host(near=1, far=1)
        host.hears(summary("s2", 1, wide=wide), peer_at("s2", 0), NOW)
        host.summaries.tick(FIRST_S)
        assert (host.told is not None) is wide


def test_a_member_of_four_tells_in_one_of_four_periods() -> None:
    for odds, tells in ((0.249, True), (0.25, False)):
        host = Host(near=3, far=8)
        host.chance.odds = odds
        host.summaries.tick(FIRST_S)
        assert (host.told is not None) is tells


def test_what_a_summary_says() -> None:
    host = Host(near=2, far=9)
    for number, mib in enumerate((1024, 4096)):
        host.offers(peer_at("s1", number), mib, workspaces=2)
    host.offers(peer_at("s2", 0), 1 << 20)
    host.summaries.tick(FIRST_S)
    told = host.told
    assert told is not None
    assert (told.site, told.alive, told.made_s, told.wide) == ("s1", 3, FIRST_S, True)
    assert told.free == Quantum(2000, 5120 << 20, 0), "of its own site's hosts"
    assert dict(told.shapes) == {"0.25cpu/128M": 0, "1cpu/1G": 5, "2cpu/4G": 0, "4cpu/8G": 0}
    assert told.workspaces == 4
    assert [c.peer for c in told.contacts] == [ME, peer_at("s1", 0), peer_at("s1", 1)]
    held = host.broadcast.directory.get(KeyId(ME), KIND)
    assert held is not None
    assert (held.record.scope, held.record.ttl_s) == ("", 600.0), "for everybody"
    assert host.summaries.sites["s1"] == HeardSummary(told, FIRST_S)


def test_a_summary_names_a_few_contacts() -> None:
    for near in (SUMMARY_CONTACTS - 2, SUMMARY_CONTACTS - 1, SUMMARY_CONTACTS, 30):
        host = Host(near=near, far=11)
        host.summaries.tick(FIRST_S)
        assert host.told is not None
        assert len(host.told.contacts) == min(near + 1, SUMMARY_CONTACTS)
        assert host.told.contacts[0] == Contact(ME, "s1", "h0:7000")


def test_only_a_member_speaks_for_its_site() -> None:
    host = Host(near=1, far=1)
    host.hears(summary("s1", 99), peer_at("s2", 0), NOW)
    host.hears(summary("s3", 99), peer_at("s3", 0), NOW)
    assert host.summaries.sites == {}
    host.hears(summary("s2", 7), peer_at("s2", 0), NOW)
    assert host.summaries.sites == {"s2": HeardSummary(summary("s2", 7), NOW)}


def test_the_newer_summary_counts() -> None:
    host = Host(far=1)

    def after(made_s: float, now: float) -> int:
        host.hears(summary("s2", int(now - NOW), made_s), peer_at("s2", 0), now)
        return host.summaries.sites["s2"].summary.alive

    assert after(NOW + 10.0, NOW + 11.0) == 11
    assert after(NOW + 10.0, NOW + 12.0) == 11, "made at the same time"
    assert after(NOW + 9.0, NOW + 13.0) == 11
    assert after(NOW + 10.5, NOW + 14.0) == 14


def test_a_summary_made_in_the_future_silences_its_site_not_at_all() -> None:
    """One member's clock is an hour ahead, the others' are right."""
    host = Host(near=4, far=6)
    host.summaries.tick(FIRST_S)
    ahead, right = host.meets("s2", 0), host.meets("s2", 1)
    host.hears(summary("s2", 40, FIRST_S + 3600), ahead, FIRST_S)
    host.hears(summary("s2", 30, FIRST_S + 1), right, FIRST_S + 1)
    assert host.summaries.peers() == 35


def test_a_summary_is_forgotten_after_ten_minutes() -> None:
    for heard_s, kept in ((FIRST_S - 600.0, False), (FIRST_S - 599.9, True)):
        host = Host(far=1)
        host.hears(summary("s2", 1, heard_s), peer_at("s2", 0), heard_s)
        host.summaries.tick(FIRST_S)
        assert ("s2" in host.summaries.sites) is kept


def test_contacts_of_its_own_site_are_where_it_finds_its_site() -> None:
    host = Host(near=1, far=1)
    mine = tuple(
        Contact(PeerId(f"new-{n}"), "s1", f"new-{n}:1") for n in range(SUMMARY_CONTACTS + 2)
    )
    theirs = (Contact(PeerId("other"), "s2", "other:1"),)
    host.hears(summary("s2", 1, contacts=theirs), peer_at("s2", 0), NOW)
    passive = host.membership.view.passive
    assert passive.get(PeerId("other")) is None
    host.hears(summary("s1", 9, contacts=mine), peer_at("s1", 0), NOW)
    found = [contact.peer for contact in mine if passive.get(contact.peer) is not None]
    assert found == [f"new-{n}" for n in range(SUMMARY_CONTACTS)], "no more than a summary has"


def test_detail_is_asked_of_a_contact_of_each_other_site() -> None:
    host = Host(near=4, far=6)
    contacts = (Contact(PeerId("liar"), "s9", "x:1"), Contact(peer_at("s2", 0), "s2", "s2-0:1"))
    host.hears(summary("s2", 6, contacts=contacts), peer_at("s2", 0), NOW)
    assert host.summaries.ask_detail((), NOW) == [], "it knows everybody"
    host.summaries.tick(FIRST_S)
    asked = [Send(peer_at("s2", 0), DetailAsk())]
    assert host.summaries.ask_detail((), FIRST_S) == asked, (
        "not its own, and none that is elsewhere"
    )
    assert host.summaries.ask_detail(("s2",), FIRST_S) == asked
    assert host.summaries.ask_detail(("s3",), FIRST_S) == []


def test_the_roomiest_are_those_with_most_memory_and_some_others() -> None:
    host = Host(near=100, far=3)
    for number in range(100):
        host.offers(peer_at("s1", number), 1024 + number)
    host.offers(peer_at("s2", 0), 1 << 20)
    found = host.summaries.roomiest()
    best = [peer_at("s1", 99 - n) for n in range(DETAIL_HOSTS // 2)]
    assert found[0] == ME
    assert found[1 : 1 + len(best)] == best
    assert len(found) == len(set(found)) == DETAIL_HOSTS
    assert peer_at("s2", 0) not in found


def test_where_there_are_few_hosts_all_are_the_roomiest() -> None:
    host = Host(near=4)
    for number in range(3):
        host.offers(peer_at("s1", number), 1024 + number)
    assert host.summaries.roomiest() == [ME, *(peer_at("s1", n) for n in (2, 1, 0))]
    host.loses(peer_at("s1", 1))
    assert host.summaries.roomiest() == [ME, *(peer_at("s1", n) for n in (2, 0))], "only the living"
