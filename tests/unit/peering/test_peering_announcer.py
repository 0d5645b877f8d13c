"""What a peer says of itself: on disk before it is said, newer than any suspicion, said again in time."""

from random import Random

import msgspec

from protocol.broadcast.broadcast import Broadcast
from protocol.broadcast.messages import Gossip
from protocol.grid.tunnel import TunnelEnd
from protocol.membership.messages import Goodbye, Presence
from protocol.peering.announcer import TABLE, Announcer, next_incarnation
from protocol.peering.near_peers import Whereabouts
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row, Send
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.terms.reach import Reach
from protocol.trust.identity import Identity
from protocol.trust.own_store import KEY as STORE
from protocol.trust.own_store import OwnStore
from protocol.trust.record import Record, SignedRecord, read_record
from protocol.wire.codec import decode
from protocol.wire.versions import Span

NOW = 1_000_000.0
DAY_S = 86_400.0
FED = SimFederation("fed", from_s=NOW - DAY_S, until_s=NOW + 90 * DAY_S)
KEY = FED.host("s1", "h1").key
R1, R2 = PeerId("relay-1"), PeerId("relay-2")
STORE_ID = "0123456789abcdef"


def identity(serial: str = "") -> Identity:
    return Identity(
        signer=FED.host("s1", "h1"),
        verifier=SimVerifier(),
        sealer=SimSealer(KEY),
        chain=FED.host_chain("s1", "h1", serial=serial),
        federation=FED.key,
        name="h1",
        site="s1",
        address="h1:7000",
        speaks=Span(1, 3),
    )


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


class Life:
    """A peer in its fourth life, and what it says of itself."""

    def __init__(self) -> None:
        self.broadcast = Broadcast(
            FED.host("s1", "h1"), SimVerifier(), Random(1), incarnation=4, members=Anybody()
        )
        self.there: Whereabouts = (Reach.PUBLIC, ())
        self.store = OwnStore("h1", {STORE: STORE_ID.encode()}, "", Random(2))
        self.announcer = Announcer(
            identity(), self.broadcast, lambda: self.there, NOW, self.store, {}
        )

    def is_at(self, reach: Reach, *via: PeerId) -> None:
        self.there = (reach, via)

    @property
    def record(self) -> Record:
        """What it said last."""
        held = self.broadcast.directory.get(KEY, "presence")
        assert held is not None
        return held.record

    @property
    def presence(self) -> Presence:
        return decode(self.record.body, Presence)

    @property
    def number(self) -> tuple[int, int]:
        return self.record.incarnation, self.record.sequence

    @property
    def silent(self) -> bool:
        return self.broadcast.directory.get(KEY, "presence") is None


def saved(incarnation: int) -> Persist:
    return Persist((Row("self", "incarnation", incarnation.to_bytes(8, "big")),))


def stray(kind: str, incarnation: int, name: str = "", scope: str = "") -> Record:
    return Record(KEY, kind, name, incarnation, 7, b"said", 60.0, scope)


def test_each_start_is_one_life_further() -> None:
    assert next_incarnation({}) == 1
    assert next_incarnation({TABLE: {}}) == 1
    (row,) = saved(41).rows
    assert row.value is not None
    assert next_incarnation({row.table: {row.key: row.value}}) == 42


def test_a_life_begins_on_disk_and_with_a_presence_for_its_site() -> None:
    life = Life()
    assert life.silent
    (first,) = saved(4).rows
    assert life.announcer.begin(NOW) == [Persist((first, Row("self", "store", STORE_ID.encode())))]
    assert life.record.incarnation == 4
    assert life.record.scope == "s1"
    assert life.record.ttl_s == DAY_S
    process = life.announcer.twin.process
    said = Presence(
        identity().chain, "h1:7000", False, Reach.PUBLIC, (), process, store=StoreId(STORE_ID)
    )
    assert life.presence == said


def test_it_says_how_it_is_reached_when_it_says_it() -> None:
    life = Life()
    life.is_at(Reach.RELAYED, R1, R2)
    life.announcer.begin(NOW)
    assert (life.presence.reach, life.presence.via) == (Reach.RELAYED, (R1, R2))


def test_another_certificate_is_another_life() -> None:
    life = Life()
    life.announcer.begin(NOW)
    better = identity(serial="ef" * 8)
    assert life.announcer.renew(better, NOW) == [saved(5)]
    assert life.record.incarnation == 5
    assert life.presence.chain == better.chain


def test_a_suspicion_of_this_life_is_refuted_by_the_next() -> None:
    life = Life()
    life.announcer.begin(NOW)
    effects: list[Effect] = life.announcer.refute(4, NOW)
    assert effects == [saved(5), Note("peer.refuted", "h1", "I am alive")]
    assert life.record.incarnation == life.broadcast.incarnation == 5


def test_nobody_can_drive_its_lives_up() -> None:
    life = Life()
    life.announcer.begin(NOW)
    said = life.number
    for incarnation in (3, 5, 1 << 40):
        assert life.announcer.refute(incarnation, NOW) == []
    assert life.number == said


def test_a_greater_presence_of_its_own_is_outdone() -> None:
    """The store was lost, so others remember a later life than this one knows of."""
    life = Life()
    life.announcer.begin(NOW)
    assert life.announcer.stray(stray("presence", 9), NOW)[-1] == saved(10)
    assert life.record.incarnation == 10


def test_who_forgot_something_takes_another_store_id_on_disk_before_anything_is_said() -> None:
    life = Life()
    life.announcer.begin(NOW)
    kept, note, _ = life.announcer.stray(stray("presence", 9), NOW)
    assert life.store.id != STORE_ID
    assert kept == Persist((Row("self", "store", life.store.id.encode()),))
    assert isinstance(note, Note)
    assert (note.kind, note.subject) == ("store.renewed", "h1")
    assert life.presence.store == life.store.id
    again = OwnStore("h1", {"store": life.store.id.encode()}, "", Random(3))
    assert again.id == life.store.id, "a restart changes nothing"


def test_what_this_life_said_itself_costs_it_no_store() -> None:
    life = Life()
    life.announcer.begin(NOW)
    mine = msgspec.structs.replace(life.record, sequence=99)
    assert life.announcer.stray(mine, NOW) == [saved(5)]
    assert life.store.id == STORE_ID


def test_a_presence_of_this_very_life_that_it_did_not_say_is_outdone_too() -> None:
    life = Life()
    life.announcer.begin(NOW)
    assert life.announcer.stray(stray("presence", 4), NOW)[-1] == saved(5)
    assert life.store.id != STORE_ID, "an earlier life said it, which this disk does not remember"


def test_an_older_presence_of_its_own_needs_no_answer() -> None:
    life = Life()
    life.announcer.begin(NOW)
    said = life.number
    assert life.announcer.stray(stray("presence", 3), NOW) == []
    assert life.number == said


def test_what_an_earlier_life_said_of_others_is_taken_back_where_it_was_said() -> None:
    life = Life()
    life.announcer.begin(NOW)
    assert life.announcer.stray(stray("suspicion", 3, name="h2", scope="s2"), NOW) == []
    held = life.broadcast.directory.get(KEY, "suspicion", "h2")
    assert held is not None
    assert (held.record.body, held.record.scope, held.record.incarnation) == (b"", "s2", 4)
    assert held.record.ttl_s == DAY_S
    assert life.record.incarnation == 4, "its own presence stands"


def test_it_says_again_that_it_is_there_every_six_hours() -> None:
    life = Life()
    life.announcer.begin(NOW)
    begun = life.number
    assert life.announcer.next_deadline() == Deadline(NOW + 21_600.0, "presence")
    life.announcer.tick(NOW + 21_599.9)
    assert life.number == begun
    assert life.announcer.tick(NOW + 21_600.0) == [saved(5)], "a backup of before is found by that"
    assert life.number == (5, begun[1] + 1)
    assert life.announcer.next_deadline() == Deadline(NOW + 43_200.0, "presence")


def test_it_looks_two_seconds_after_a_hint_whether_it_is_reached_otherwise() -> None:
    life = Life()
    life.announcer.begin(NOW)
    begun = life.number
    life.announcer.look_again(NOW + 10.0)
    life.announcer.look_again(NOW + 11.0)
    life.is_at(Reach.NAT, R1)
    assert life.announcer.next_deadline() == Deadline(NOW + 12.0, "presence"), "the first hint's"
    life.announcer.tick(NOW + 11.9)
    assert life.number == begun
    life.announcer.tick(NOW + 12.0)
    assert life.number == (4, begun[1] + 1)
    assert life.presence.reach is Reach.NAT
    life.announcer.tick(NOW + 13.0)
    assert life.number == (4, begun[1] + 1), "it looked once"


def test_it_says_nothing_if_it_is_reached_as_before() -> None:
    life = Life()
    life.is_at(Reach.NAT, R1, R2)
    life.announcer.begin(NOW)
    begun = life.number
    for at in ((Reach.NAT, R1, R2), (Reach.NAT, R2, R1)):
        life.is_at(*at)
        life.announcer.look_again(NOW)
        life.announcer.tick(NOW + 2.0)
        assert life.number == begun, "the order in which relays are named is no news"
    for at in ((Reach.NAT, R1), (Reach.RELAYED, R1)):
        before = life.number
        life.is_at(*at)
        life.announcer.look_again(NOW)
        life.announcer.tick(NOW + 2.0)
        assert life.number > before


def test_before_it_has_said_anything_a_hint_is_no_reason() -> None:
    life = Life()
    life.announcer.look_again(NOW)
    life.announcer.tick(NOW + 2.0)
    assert life.silent


def test_that_it_leaves_for_good_is_on_disk_before_it_is_said_and_said_in_a_new_incarnation() -> (
    None
):
    life = Life()
    life.announcer.begin(NOW)
    before = life.number
    for leaving, value in ((True, b"1"), (False, None)):
        effects = life.announcer.leaves(leaving, NOW)
        assert effects[0] == Persist((Row("self", "leaving", value),))
        assert life.presence.leaving is leaving
        assert life.number > before
        before = life.number
        assert life.announcer.leaves(leaving, NOW) == [], "it says so already"


def test_a_hello_is_the_presence_and_what_it_speaks() -> None:
    life = Life()
    first = life.announcer.hello(NOW)
    assert read_record(first.presence) == life.record, "made if there was none"
    assert (first.oldest, first.newest) == (1, 3)
    assert life.announcer.hello(NOW + 1.0) == first, "the same until it says something new"


def test_a_peer_that_leaves_tells_every_neighbour_itself() -> None:
    life = Life()
    life.announcer.begin(NOW)
    begun = life.number
    effects = life.announcer.leave([R1, R2], NOW + 1.0)
    assert life.presence.left
    assert life.number == (4, begun[1] + 1), "no new life: it is over"
    held = life.broadcast.directory.get(KEY, "presence")
    assert held is not None
    last = Gossip((held.signed,))
    assert effects == [Send(R1, last), Send(R1, Goodbye()), Send(R2, last), Send(R2, Goodbye())]


HERE, THERE = TunnelEnd("192.0.2.1", 1450), TunnelEnd("192.0.2.2", 1400)


def test_its_presence_says_where_it_takes_traffic() -> None:
    life = Life()
    assert life.announcer.tunnel_at(HERE, NOW) == []
    assert life.silent, "before its life begins it says nothing"
    life.announcer.begin(NOW)
    assert life.presence.tunnel == HERE


def test_where_it_takes_traffic_is_told_at_once_and_a_move_in_a_new_incarnation() -> None:
    life = Life()
    life.announcer.begin(NOW)
    assert life.presence.tunnel is None
    assert life.announcer.tunnel_at(HERE, NOW + 1) == []
    assert (life.presence.tunnel, life.record.incarnation) == (HERE, 4), "it had told nothing"
    number = life.number
    for same in (HERE, None):
        assert life.announcer.tunnel_at(same, NOW + 2) == []
    assert (life.presence.tunnel, life.number) == (HERE, number), "what it told stands"
    assert life.announcer.tunnel_at(THERE, NOW + 3) == [saved(5)]
    assert (life.presence.tunnel, life.record.incarnation) == (THERE, 5)
