"""One attempt: which hosts are asked, what is believed of their answers, what is held, and what is let go."""

from random import Random

import msgspec
import pytest
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NAMES,
    NOW,
    REQUEST,
    ROOM,
    SITES,
    A,
    B,
    C,
    HostKey,
    asks,
    granted,
    known,
    quote,
    record_of,
    refused,
    said,
    shop,
)

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply, QuoteAsk
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.record import HostRef, grid_id
from protocol.requesting.attempt import Attempt, Opening
from protocol.requesting.shortlist import Candidate
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import GridId, PeerId
from protocol.terms.refusal import Constraint, Refusal
from protocol.terms.wireguard import WireguardEnd
from protocol.wire.codec import decode

ORDER = ADMIN.up(shop(2), NOW)
GRID = grid_id(ORDER)
NONE = Quantum(0, 0, 0)
FULL = Refusal(Constraint.MEMORY, "alpha", asked=128 * MIB, available=64 * MIB)
PLAIN = Opening()


def attempt(
    opening: Opening = PLAIN, candidates: tuple[Candidate, ...] | None = None, count: int = 2
) -> Attempt:
    order = ADMIN.up(shop(count), NOW)
    deployment = AUTHORITY.deployment(order, NOW, fresh=True)
    hosts = known() if candidates is None else candidates
    return Attempt(REQUEST, deployment, GRID, hosts, Random(3), opening)


def quoted(made: Attempt, rooms: dict[PeerId, Quantum] | None = None) -> None:
    """Gives the quotes of all hosts."""
    made.request_quotes()
    for number, peer in enumerate(NAMES, 1):
        word = quote(peer, (rooms or {}).get(peer, ROOM))
        assert made.quote(peer, word, NOW) is (number == len(NAMES))


def held(made: Attempt) -> dict[PeerId, HoldAsk]:
    return asks(made.hold(made.choose(NOW), ORDER))


def invited(effects: list[Effect]) -> list[PeerId]:
    return [e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, QuoteAsk)]


def many() -> tuple[Candidate, ...]:
    """More hosts than are asked at first, all with room."""
    offers = attempt()
    offers.request_quotes()
    offers.quote(A, quote(A, Quantum(4000, 1024 * MIB, 1 << 40)), NOW)
    told = offers.offer(A)
    assert told is not None
    peers = [PeerId(f"{number:064x}") for number in range(60)]
    return tuple(
        Candidate(p, p[-3:], "s1", msgspec.structs.replace(told, peer=p, host=p[-3:]))
        for p in peers
    )


def test_hosts_that_are_asked_for_sure_come_before_those_by_lot() -> None:
    hosts = many()
    sure = (hosts[40].peer, hosts[7].peer)
    made = attempt(Opening(sure=sure), hosts)
    first = invited(made.request_quotes())
    assert first[:2] == [hosts[7].peer, hosts[40].peer]
    assert len(first) == len(set(first)) == made.candidates < len(hosts)
    rest = invited(made.widen())
    assert not set(first) & set(rest)
    assert {*first, *rest} == {c.peer for c in hosts}
    assert made.widen() == [], "there is nobody left"


def test_everybody_is_asked_at_once_if_so_opened() -> None:
    hosts = many()
    made = attempt(Opening(everybody=True), hosts)
    assert sorted(invited(made.request_quotes())) == [c.peer for c in hosts]


def test_what_it_opens_with_is_in_what_it_asks() -> None:
    opening = Opening(start_s=NOW + 3600, instead=GridId("plan.1"))
    made = attempt(opening)
    quoted(made)
    assert made.start_s == NOW + 3600
    assert {(a.start_s, a.instead) for a in held(made).values()} == {(NOW + 3600, "plan.1")}
    assert attempt().start_s == 0.0, "otherwise as the order says"


def test_the_word_of_a_stranger_is_nothing() -> None:
    made = attempt(candidates=known(A, B))
    made.request_quotes()
    assert not made.quote(C, quote(C), NOW)
    assert (made.knows(C), made.offer(C)) == (False, None)
    assert not made.quote(B, quote(B), NOW)
    assert made.silent() == ["alpha"]
    assert made.quote(A, quote(A), NOW)
    assert made.silent() == []


def test_what_is_held_is_no_room_any_more() -> None:
    made = attempt()
    quoted(made)
    (first, ask), (second, other) = held(made).items()
    assert made.waiting
    assert made.reply(first, granted(first, ask)) == []
    assert made.reply(second, granted(second, ask)) == [], "that was not asked of this one"
    assert made.held == dict.fromkeys(ask.workspaces, first)
    assert (made.waiting, made.complete) == (True, False)
    offer = made.offer(first)
    assert offer is not None
    assert offer.free.memory_bytes == ROOM.memory_bytes - 128 * MIB
    made.reply(second, granted(second, other))
    assert (made.waiting, made.complete, made.enough) == (False, True, True)


def test_a_host_that_lacks_room_is_believed_about_how_much_it_has() -> None:
    made = attempt()
    quoted(made)
    peer, ask = next(iter(held(made).items()))
    assert made.reply(peer, refused(ask, FULL)) == [FULL]
    offer = made.offer(peer)
    assert offer is not None
    assert (offer.free.memory_bytes, offer.refused) == (64 * MIB, None)
    assert made.short


def test_a_host_with_another_reason_is_not_asked_again() -> None:
    made = attempt()
    quoted(made)
    peer, ask = next(iter(held(made).items()))
    no = Refusal(Constraint.STORE, NAMES[peer], detail="its disk is full")
    made.reply(peer, refused(ask, no))
    assert peer not in made.choose(NOW).placed.values()
    assert not made.short, "it was not room that was lacking"


def test_a_host_that_says_nothing_may_hold_all_the_same() -> None:
    made = attempt()
    quoted(made)
    (first, ask), (second, other) = held(made).items()
    made.reply(first, granted(first, ask))
    effects, silent = made.overdue()
    assert effects == [Send(second, HoldRelease(GRID, other.workspaces), REQUEST)]
    assert [r.constraint for r in silent] == [Constraint.SILENT]
    assert made.reply(second, granted(second, other)) == [], "too late"
    assert made.held == dict.fromkeys(ask.workspaces, first)


def test_what_is_let_go_is_room_again() -> None:
    made = attempt()
    quoted(made)
    (first, ask), (second, _) = held(made).items()
    made.reply(first, granted(first, ask))
    assert sorted(said(made.release())) == sorted(
        (NAMES[p], "HoldRelease") for p in (first, second)
    )
    assert (made.held, made.waiting) == ({}, False)
    offer = made.offer(first)
    assert offer is not None
    assert offer.free == ROOM
    assert made.release() == []


def test_what_is_in_the_grid_is_kept() -> None:
    made = attempt()
    quoted(made)
    holds = held(made)
    for peer, ask in holds.items():
        made.reply(peer, granted(peer, ask))
    (first, ask), (second, other) = holds.items()
    elsewhere = {ask.workspaces[0]: first, other.workspaces[0]: first}
    assert made.release(record_of(ORDER, elsewhere)) == [
        Send(second, HoldRelease(GRID, other.workspaces), REQUEST)
    ]


def test_the_record_has_what_is_held_and_nothing_else() -> None:
    made = attempt(count=3)
    quoted(made)
    peer, ask = next(iter(held(made).items()))
    made.reply(peer, granted(peer, ask))
    record = made.draft(ORDER)
    assert (record.id, record.epoch, record.stewards) == (GRID, 1, (A, B, C))
    assert [a.workspace for a in record.assignments] == sorted(ask.workspaces)
    assert [host.name for host in record.hosts] == [NAMES[peer]]


def test_the_plan_says_whose_networks_go_inside_wireguard() -> None:
    made = attempt()
    made.request_quotes()
    for peer, hidden in zip(NAMES, (True, False, False), strict=True):
        word, end = quote(peer), WireguardEnd(b"k" * 32, 7701)
        facts = msgspec.structs.replace(word.facts, wireguard=end)
        made.quote(peer, msgspec.structs.replace(word, facts=facts, hidden=hidden), NOW)
    rows = made.planned(made.choose(NOW))
    assert rows
    assert all(row.wireguard is (row.peer != A) for row in rows)


def test_the_plan_has_what_each_host_carries_and_the_record_says_of_hosts_who_they_are() -> None:
    made = attempt()
    made.request_quotes()
    for peer, mtu in zip(NAMES, (1350, 0, 1400), strict=True):
        word = quote(peer)
        facts = msgspec.structs.replace(word.facts, mtu=mtu)
        made.quote(peer, msgspec.structs.replace(word, facts=facts), NOW)
    choice = made.choose(NOW)
    told = dict(zip(NAMES, (1350, 1450, 1400), strict=True))
    assert all(row.mtu == told[row.peer] for row in made.planned(choice))
    for effect in made.hold(choice, ORDER):
        assert isinstance(effect, Send)
        assert isinstance(effect.message, HoldAsk)
        made.reply(effect.peer, granted(effect.peer, effect.message))
    for host in made.draft(ORDER).hosts:
        assert host == HostRef(host.peer, NAMES[host.peer], SITES[host.peer])


@pytest.mark.parametrize("of", ["held", "kept"])
def test_others_are_only_ahead_if_it_would_fit_without_them(of: str) -> None:
    made = attempt()
    made.request_quotes()
    for peer in NAMES:
        ahead = ROOM if peer != C else NONE
        word = quote(peer, NONE)
        if of == "held":
            word = msgspec.structs.replace(word, held=ahead)
        else:
            word = msgspec.structs.replace(word, kept=ahead)
        made.quote(peer, word, NOW)
    assert not made.choose(NOW).enough
    assert made.contended()
    words = {
        "held": "held for others that are not decided yet",
        "kept": "kept for older requests by alpha and beta, or held for others",
    }
    assert made.ahead == words[of]


def test_nobody_is_ahead_where_room_is_leased() -> None:
    made = attempt()
    quoted(made, dict.fromkeys(NAMES, NONE))
    assert not made.contended()


def test_a_plan_of_its_own_is_room_it_has() -> None:
    made = attempt()
    quoted(made, dict.fromkeys(NAMES, NONE))
    assert not made.choose(NOW).enough
    made.count_in({"web-1": A, "web-2": B})
    assert made.choose(NOW).placed == {"web-1": A, "web-2": B}


def test_a_reply_about_nothing_is_no_answer() -> None:
    made = attempt()
    quoted(made)
    peer = next(iter(held(made)))
    assert made.reply(peer, HoldReply(GRID, ("web-9",), (("web-8", FULL),))) == []
    assert (made.held, made.refused) == ({}, [])


def other_grants(peer: PeerId, ask: HoldAsk) -> list[HoldReply]:
    """Replies that say it is held, with a grant of something else, or of somebody else, or with none."""
    good = granted(peer, ask)
    assert good.grant is not None
    grant = decode(good.grant.payload, HoldGrant)
    changes: tuple[dict[str, object], ...] = (
        {"grid": "another.0"},
        {"workspaces": ("web-9",)},
        {"workspaces": ()},
        {"vnis": (7,)},
        {"start_s": 7.0},
    )
    changed = [msgspec.structs.replace(grant, **change) for change in changes]  # type: ignore[arg-type]
    grants = [sign_grant(one, HostKey(peer)) for one in changed]
    grants.append(msgspec.structs.replace(good.grant, host=C))
    return [msgspec.structs.replace(good, grant=one) for one in (*grants, None)]


@pytest.mark.parametrize("which", range(7))
def test_what_a_host_says_it_holds_and_did_not_grant_is_as_good_as_refused(which: int) -> None:
    made = attempt()
    quoted(made)
    first, ask = next(iter(held(made).items()))
    (no,) = made.reply(first, other_grants(first, ask)[which])
    assert no.constraint is Constraint.AUTHORITY
    assert (made.held, made.refused) == ({}, [no])


def test_the_record_has_what_each_host_granted_last() -> None:
    made = attempt()
    quoted(made)
    replies = {peer: granted(peer, ask) for peer, ask in held(made).items()}
    for peer, reply in replies.items():
        made.reply(peer, reply)
    draft = made.draft(ORDER)
    assert draft.grants == tuple(replies[host.peer].grant for host in draft.hosts)
    assert AUTHORITY.vouch(draft, None, NOW).name == "shop"
