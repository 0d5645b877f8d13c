"""How a peer says it is: its certificate, whom it reached, its clock, and what is wrong."""

import msgspec
from one_peer import NOW, OTHER, YOU, friends, hello, node, started

from protocol.membership.messages import Contact, Pong, Presence
from protocol.membership.presence import KIND as PRESENCE
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Probed,
    Readdressed,
    Started,
    Undialled,
)
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.node.status_rows import StatusRow
from protocol.terms.effects import Note
from protocol.terms.ids import KeyId
from protocol.terms.limits import CERTIFICATE_WARN_S
from protocol.terms.problem import Trouble
from protocol.wire.codec import decode

JOIN = (Contact(YOU, "", "h2:7000"),)


def status(peer: Node, now: float = NOW) -> StatusRow:
    return PeerView(peer).status(now)


def test_a_peer_alone_is_well() -> None:
    row = status(started())
    assert (row.name, row.overlay, row.is_joined, row.problems) == ("h1", "alone", True, ())
    assert (row.connected, row.grids, row.healths, row.clock_ahead_s) == (0, 0, {}, None)
    assert msgspec.json.decode(msgspec.json.encode(row), type=StatusRow) == row


def test_a_peer_that_is_to_join_is_not_well_until_somebody_is_reached_and_when_nobody_is_any_more() -> (
    None
):
    peer = node(joins=JOIN)
    peer.handle(Started(), NOW)
    effects = peer.handle(Undialled(YOU, "h2:7000", Trouble.OTHER_KEY), NOW + 1)
    assert [e.subject for e in effects if isinstance(e, Note)] == ["h2:7000"]
    row = status(peer, NOW + 2)
    assert (row.overlay, row.is_joined) == ("joining", False)
    assert [problem.kind for problem in row.problems] == ["overlay", "overlay"]
    peer.handle(Connected(YOU), NOW + 3)
    peer.handle(Arrived(YOU, hello(OTHER), ""), NOW + 3)
    row = status(peer, NOW + 3)
    assert (row.overlay, row.is_joined, row.connected, row.problems) == ("joined", True, 1, ())
    assert row.tried[0].connected
    assert row.healths == {"alive": 1}
    peer.handle(Disconnected(YOU, "gone"), NOW + 4)
    row = status(peer, NOW + 4)
    assert (row.overlay, row.is_joined) == ("lost", False)


def test_a_certificate_that_ends_and_one_that_has_ended_are_problems_with_what_would_help() -> None:
    peer = started()
    ends_s = peer.certificates.ends_s
    assert not status(peer, ends_s - CERTIFICATE_WARN_S - 1).problems
    (ending,) = status(peer, ends_s - 3600).problems
    assert "ends in 1 h" in ending.what
    assert "host renew s1 h1" in ending.would_work
    (ended,) = status(peer, ends_s + 7200).problems
    assert "ended 2 h ago" in ended.what


def test_a_clock_apart_from_all_others_is_a_problem() -> None:
    peer = friends()
    peer.handle(Arrived(YOU, Pong(NOW, NOW + 90_000.0), ""), NOW)
    row = status(peer)
    assert row.clock_ahead_s is not None
    assert round(row.clock_ahead_s) == -90_000
    (problem,) = row.problems
    assert (problem.kind, "behind" in problem.what, "NTP" in problem.would_work) == (
        "clock",
        True,
        True,
    )


def test_a_host_apart_offers_no_room_and_says_why_in_its_advert_and_its_rows() -> None:
    peer = friends()
    assert status(peer).no_room_why == ""
    effects = peer.handle(Arrived(YOU, Pong(NOW, NOW + 3600.0), ""), NOW)
    why = "this host's clock is 1 h behind the median of 1 neighbour"
    (note,) = [e for e in effects if isinstance(e, Note) and e.kind == "clock.apart"]
    assert note.detail == f"{why}; no lease ends here, and nothing new is taken, until they agree"
    assert status(peer).no_room_why == why
    assert status(peer).problems[0].what == note.detail
    assert round(peer.host.advert(NOW).apart_s) == -3600
    mine, other = sorted(PeerView(peer).peers(NOW), key=lambda row: row.health != "self")
    assert (round(mine.clock_ahead_s), other.clock_ahead_s) == (-3600, 0.0), "ours is the odd one"
    effects = peer.handle(Arrived(YOU, Pong(NOW + 9, NOW + 9.0), ""), NOW + 9)
    assert [e.kind for e in effects if isinstance(e, Note)] == ["clock.agrees"]
    assert (status(peer).no_room_why, peer.host.advert(NOW + 9).apart_s) == ("", 0.0)


def test_of_a_neighbour_whose_clock_is_apart_its_row_says_so() -> None:
    """This peer's agreed with it before, so it is the other that was set."""
    peer = friends()
    peer.handle(Arrived(YOU, Pong(NOW, NOW), ""), NOW)
    peer.handle(Arrived(YOU, Pong(NOW + 9, NOW + 3609.0), ""), NOW + 9)
    (other,) = [row for row in PeerView(peer).peers(NOW) if row.health != "self"]
    assert round(other.clock_ahead_s) == 3600
    assert not peer.membership.clock.doubt


def test_a_neighbour_may_say_any_time_at_all() -> None:
    peer = friends()
    for at_s, said_s in ((NOW, 1.7e308), (NOW + 9, -1.7e308)):
        peer.handle(Arrived(YOU, Pong(at_s, said_s), ""), at_s)
        assert "median of 1 neighbour" in status(peer).no_room_why
        msgspec.json.decode(msgspec.json.encode(PeerView(peer).peers(at_s)))


def test_problems_are_asked_for_by_themselves() -> None:
    assert PeerView(started()).problems(NOW) == []


def test_a_host_whose_address_is_gone_says_what_would_help_and_the_rest_goes_on() -> None:
    peer = started()
    assert (status(peer).underlay, status(peer).mtu) == ("10.0.0.1", 1450)
    fault = "10.0.0.1 (network.underlay) is on no link of this host; write auto"
    facts = msgspec.structs.replace(peer.host.facts, underlay_fault=fault, mtu=1350)
    effects = peer.handle(Probed(facts), NOW + 1)
    assert [e.kind for e in effects if isinstance(e, Note)] == ["underlay.lost"]
    row = status(peer)
    assert row.mtu == 1350
    (problem,) = row.problems
    assert (problem.kind, problem.would_work) == ("underlay", "write auto")
    assert problem.what.endswith("is on no link of this host")


def test_a_host_that_is_to_give_a_way_out_and_does_not_says_what_would_help() -> None:
    peer = started()
    fault = "guests get no way out: this host does not forward packets; `sysctl -w net.ipv4.ip_forward=1`"
    peer.handle(Probed(msgspec.structs.replace(peer.host.facts, egress_fault=fault)), NOW + 1)
    (problem,) = status(peer).problems
    said, _, help_ = fault.partition("; ")
    assert (problem.kind, problem.what, problem.would_work) == ("egress", said, help_)


def test_a_host_that_is_to_give_ports_and_does_not_says_what_would_help() -> None:
    peer = started()
    fault = (
        "guests are not reached from outside: this host does not forward packets; `sysctl -w x=1`"
    )
    peer.handle(Probed(msgspec.structs.replace(peer.host.facts, ports_fault=fault)), NOW + 1)
    (problem,) = status(peer).problems
    said, _, help_ = fault.partition("; ")
    assert (problem.kind, problem.what, problem.would_work) == ("expose", said, help_)


def test_a_peer_that_is_dialled_elsewhere_says_so_in_a_new_presence() -> None:
    peer = started()
    before = peer.broadcast.incarnation
    effects = peer.handle(Readdressed("192.0.2.9:7000"), NOW + 1)
    assert [e.kind for e in effects if isinstance(e, Note)] == ["address.changed"]
    assert status(peer).address == "192.0.2.9:7000"
    assert peer.broadcast.incarnation == before + 1
    held = peer.broadcast.directory.get(KeyId(peer.me), PRESENCE)
    assert held is not None
    assert decode(held.record.body, Presence).address == "192.0.2.9:7000"
    assert peer.handle(Readdressed("192.0.2.9:7000"), NOW + 2) == []


def test_a_peer_that_nobody_can_dial_says_why_until_it_can_be() -> None:
    peer = started()
    fault = "nobody can dial this host; write 0.0.0.0:PORT"
    for _ in range(2):
        effects = peer.handle(Readdressed(peer.identity.address, fault), NOW + 1)
    assert effects == [], "once"
    (problem,) = status(peer).problems
    assert (problem.kind, problem.would_work) == ("overlay", "write 0.0.0.0:PORT")
    peer.handle(Readdressed(peer.identity.address), NOW + 2)
    assert status(peer).problems == ()
