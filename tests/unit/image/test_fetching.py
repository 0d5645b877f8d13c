"""Whom to ask for what: windows, liars, silence, overtaking; nothing is lost, and nothing kept twice."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.image.fetching import (
    ABSENT_S,
    GIVE_UP_S,
    NOBODY,
    PEERS_AT_ONCE,
    PIECE_BYTES,
    PIECE_WITHIN_S,
    WINDOW_FIRST,
    WINDOW_MOST,
    Ask,
    Block,
    Fetching,
    ImagePiece,
    Lied,
    Whole,
)
from protocol.terms.ids import PeerId

A, B, C = PeerId("a" * 64), PeerId("b" * 64), PeerId("c" * 64)
CHUNK = 4 * PIECE_BYTES
CONTENT = ImagePiece.CONTENT


def chunks(count: int, last: int = CHUNK) -> list[Block]:
    """So many chunks, the last of that length."""
    sizes = [CHUNK] * (count - 1) + [last]
    return [Block(CONTENT, index * CHUNK, size) for index, size in enumerate(sizes)]


def truth(offset: int, length: int) -> bytes:
    """What an honest peer sends: the piece's own offset over and over, cheap to compare."""
    return offset.to_bytes(8, "big") * (length // 8) + bytes(length % 8)


def right(whole: Whole) -> bool:
    block = whole.block
    pieces = range(block.offset, block.offset + block.size, PIECE_BYTES)
    ends = block.offset + block.size
    return whole.data == b"".join(truth(o, min(PIECE_BYTES, ends - o)) for o in pieces)


def answer(fetching: Fetching, ask: Ask, now: float) -> Whole | Lied | None:
    data = truth(ask.offset, ask.length)
    return fetching.heard(ask.peer, ask.piece, ask.offset, 1, data, now)


def begun(blocks: list[Block], *peers: PeerId) -> Fetching:
    fetching = Fetching(0.0)
    fetching.sources(peers)
    fetching.want(blocks, 0.0)
    return fetching


def test_a_window_is_asked_of_each_peer_and_blocks_are_not_shared() -> None:
    fetching = begun(chunks(10), A, B)
    asks = fetching.asks(0.0)
    assert [ask.peer for ask in asks] == [A] * WINDOW_FIRST + [B] * WINDOW_FIRST
    assert {ask.offset // CHUNK for ask in asks if ask.peer == A} == {0}
    assert {ask.offset // CHUNK for ask in asks if ask.peer == B} == {1}


def test_a_block_is_whole_with_its_last_piece_in_whatever_order_they_come() -> None:
    fetching = begun(chunks(1, last=CHUNK - 5), A)
    asks = fetching.asks(0.0)
    assert [ask.length for ask in asks] == [PIECE_BYTES] * 3 + [PIECE_BYTES - 5]
    for ask in asks[:0:-1]:
        assert answer(fetching, ask, 1.0) is None
    whole = answer(fetching, asks[0], 1.0)
    assert isinstance(whole, Whole)
    assert right(whole)
    assert not fetching.done
    fetching.good(whole.block, 1.0)
    assert fetching.done


def test_a_window_grows_with_good_blocks_up_to_its_most() -> None:
    fetching = begun(chunks(40), A)
    fly = fetching.asks(0.0)
    for _ in range(12):
        for ask in fly[:4]:
            whole = answer(fetching, ask, 0.1)
            if isinstance(whole, Whole):
                fetching.good(whole.block, 0.1)
        fly = fly[4:] + fetching.asks(0.1)
    assert len(fly) == WINDOW_MOST


def test_a_window_stays_small_where_blocks_take_long() -> None:
    fetching, now = begun(chunks(40), A), 0.0
    for _ in range(6):
        fly = fetching.asks(now)
        now += 1.0
        assert len(fly) <= WINDOW_FIRST
        for ask in fly:
            if isinstance(whole := answer(fetching, ask, now), Whole):
                fetching.good(whole.block, now)


def test_time_in_which_nothing_was_wanted_does_not_count() -> None:
    fetching = begun(chunks(1), A)
    for ask in fetching.asks(0.0):
        if isinstance(whole := answer(fetching, ask, 0.1), Whole):
            fetching.good(whole.block, 0.1)
    fetching.want([Block(CONTENT, CHUNK, CHUNK)], 500.0)
    assert fetching.hopeless(500.0) == ""
    fetching.asks(500.0)
    assert fetching.hopeless(500.0 + GIVE_UP_S) == f"nothing came within {GIVE_UP_S:.0f} s"


def test_who_sends_a_wrong_block_is_out_and_another_is_asked_for_it() -> None:
    fetching = begun(chunks(2), A, B)
    mine = [ask for ask in fetching.asks(0.0) if ask.peer == A]
    told = [fetching.heard(A, CONTENT, ask.offset, 1, bytes(ask.length), 0.1) for ask in mine]
    whole = told[-1]
    assert isinstance(whole, Whole)
    assert fetching.wrong(whole.block, "wrong") == Lied(A, "wrong")
    for ask in fetching.asks(0.1):
        answer(fetching, ask, 0.1)
    fetching.sources([A, B])
    later = fetching.asks(0.2)
    assert all(ask.peer == B for ask in later)


def test_a_piece_of_another_length_is_a_lie() -> None:
    fetching = begun(chunks(1), A)
    ask = fetching.asks(0.0)[0]
    assert isinstance(fetching.heard(A, CONTENT, ask.offset, 1, b"short", 0.1), Lied)
    assert f"{A[:12]}: sent 5 bytes" in fetching.hopeless(0.1)


def test_what_nobody_asked_for_is_ignored_and_counted() -> None:
    fetching = begun(chunks(1), A)
    fetching.asks(0.0)
    assert fetching.heard(B, CONTENT, 0, 1, truth(0, PIECE_BYTES), 0.1) is None
    assert fetching.heard(A, CONTENT, 7, 1, b"x", 0.1) is None
    assert fetching.heard(A, ImagePiece.LEAVES, 0, 1, b"x", 0.1) is None
    assert fetching.twice_bytes == PIECE_BYTES + 2


def test_what_was_asked_of_a_peer_that_goes_is_asked_of_another_at_once() -> None:
    fetching = begun(chunks(2), A, B)
    fetching.asks(0.0)
    fetching.sources([B])
    for ask in [ask for ask in fetching.asks(0.0) if ask.peer == B]:
        answer(fetching, ask, 0.1)
    assert fetching.peers == 1
    assert not fetching.hopeless(0.1)


def test_a_silent_peer_rests_and_its_blocks_go_to_others() -> None:
    fetching = begun(chunks(2), A, B)
    first = fetching.asks(0.0)
    for ask in first:
        if ask.peer == B and isinstance(whole := answer(fetching, ask, 9.0), Whole):
            fetching.good(whole.block, 9.0)
    later = fetching.asks(PIECE_WITHIN_S)
    assert {ask.peer for ask in later} == {B}
    assert {ask.offset // CHUNK for ask in later} == {0}


def test_a_piece_that_is_late_is_asked_again_of_a_peer_that_speaks() -> None:
    fetching = begun(chunks(1), A)
    asks = fetching.asks(0.0)
    for ask in asks[1:]:
        answer(fetching, ask, 9.0)
    again = fetching.asks(PIECE_WITHIN_S)
    assert again == [asks[0]]
    assert isinstance(answer(fetching, again[0], 11.0), Whole)


def test_one_that_does_not_have_it_is_no_liar_and_is_asked_again_later() -> None:
    fetching = begun(chunks(1), A)
    ask = fetching.asks(0.0)[0]
    assert fetching.heard(A, CONTENT, ask.offset, -1, b"", 0.1) is None
    assert fetching.hopeless(0.1) == f"{A[:12]}: does not have it"
    assert fetching.asks(0.2) == []
    assert fetching.asks(0.2 + ABSENT_S) != []


def test_the_last_blocks_of_a_slow_peer_are_asked_of_a_fast_one_too() -> None:
    fetching = begun(chunks(3), A, B)
    fly, now, overtaken = fetching.asks(0.0), 0.0, []
    while not fetching.done:
        now += 0.1
        for ask in [ask for ask in fly if ask.peer == B]:
            if isinstance(whole := answer(fetching, ask, now), Whole):
                fetching.good(whole.block, now)
        fly = [*[ask for ask in fly if ask.peer == A], *fetching.asks(now)]
        overtaken += [ask for ask in fly if ask.peer == B and ask.offset < CHUNK]
        fetching.check()
        assert now < PIECE_WITHIN_S
    assert overtaken


def test_only_the_nearest_are_asked() -> None:
    peers = [PeerId(f"{number:064x}") for number in range(2 * PEERS_AT_ONCE)]
    fetching = begun(chunks(100), *peers)
    assert {ask.peer for ask in fetching.asks(0.0)} == set(peers[:PEERS_AT_ONCE])


def test_nobody_has_it() -> None:
    assert begun(chunks(1)).hopeless(0.0) == NOBODY


Behaviour = Callable[[Ask], list[tuple[ImagePiece, int, int, bytes]]]


def honest(ask: Ask) -> list[tuple[ImagePiece, int, int, bytes]]:
    return [(ask.piece, ask.offset, 1, truth(ask.offset, ask.length))]


BEHAVIOURS: dict[str, Behaviour] = {
    "honest": honest,
    "twice": lambda ask: honest(ask) * 2,
    "silent": lambda ask: [],
    "zeros": lambda ask: [(ask.piece, ask.offset, 1, bytes(ask.length))],
    "short": lambda ask: [(ask.piece, ask.offset, 1, bytes(ask.length - 1))],
    "long": lambda ask: [(ask.piece, ask.offset, 1, bytes(ask.length + 1))],
    "absent": lambda ask: [(ask.piece, ask.offset, -1, b"")],
    "elsewhere": lambda ask: [(ask.piece, ask.offset + 1, 1, truth(ask.offset, ask.length))],
    "unasked": lambda ask: [(ask.piece, 1 << 60, 1, b"x"), (ImagePiece.SUMMARY, 0, 1, b"y")],
}


@given(
    count=st.integers(1, 9),
    behaviours=st.lists(st.sampled_from(sorted(BEHAVIOURS)), min_size=0, max_size=7),
    turns=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([0.01, 0.3, 4.0, 11.0])), max_size=60
    ),
    goes=st.dictionaries(st.integers(0, 60), st.lists(st.integers(0, 6)), max_size=3),
    restarts=st.sets(st.integers(0, 60), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_it_ends_with_all_blocks_or_says_why(
    count: int,
    behaviours: list[str],
    turns: list[tuple[int, float]],
    goes: dict[int, list[int]],
    restarts: set[int],
) -> None:
    """Whatever peers do, in whatever order it comes, over restarts: each block is kept once, and is right."""
    peers = {PeerId(f"{number:064x}"): BEHAVIOURS[b] for number, b in enumerate(behaviours)}
    blocks, kept = chunks(count, last=PIECE_BYTES + 1), dict[Block, bytes]()
    fetching, fly, now = begun(blocks, *peers), list[Ask](), 0.0
    for step in range(4000):
        if step in restarts:
            fetching, fly = Fetching(now), []
            fetching.want((block for block in blocks if block not in kept), now)
        gone = {peer for number, peer in enumerate(peers) if number in goes.get(step, [])}
        fetching.sources([peer for peer in peers if peer not in gone])
        if fetching.done:
            break
        fly += fetching.asks(now)
        fetching.check()
        place, later = turns[step] if step < len(turns) else (0, 0.02)
        if fly:
            ask = fly.pop(place % len(fly))
            for piece, offset, total, data in peers[ask.peer](ask):
                told = fetching.heard(ask.peer, piece, offset, total, data, now)
                if isinstance(told, Whole) and right(told):
                    assert told.block not in kept
                    kept[told.block] = told.data
                    fetching.good(told.block, now)
                elif isinstance(told, Whole):
                    assert peers[told.peer] is not honest
                    fetching.wrong(told.block, "wrong")
                elif isinstance(told, Lied):
                    assert peers[told.peer] is not honest
                fetching.check()
        elif why := fetching.hopeless(now):
            assert why
            return
        else:
            later = max(later, fetching.next_deadline(now) - now)
        now += later
    assert fetching.done
    assert set(kept) == set(blocks)


@given(
    count=st.integers(1, 9),
    others=st.lists(st.sampled_from(sorted(BEHAVIOURS)), max_size=PEERS_AT_ONCE - 1),
    place=st.integers(0, PEERS_AT_ONCE - 1),
    order=st.lists(st.integers(0, 40), max_size=80),
)
@settings(max_examples=200, deadline=None)
def test_one_honest_peer_is_enough(
    count: int, others: list[str], place: int, order: list[int]
) -> None:
    """Whatever the others do, and in whatever order answers come; each is blamed at most once."""
    behaviours = [*others[:place], "honest", *others[place:]]
    peers = {PeerId(f"{number:064x}"): BEHAVIOURS[b] for number, b in enumerate(behaviours)}
    fetching, fly, now = begun(chunks(count), *peers), list[Ask](), 0.0
    blamed: list[PeerId] = []
    for step in range(4000):
        if fetching.done:
            break
        fly += fetching.asks(now)
        fetching.check()
        if not fly:
            assert fetching.hopeless(now) == ""
            now = max(now + 0.01, fetching.next_deadline(now))
            continue
        ask = fly.pop(order[step] % len(fly) if step < len(order) else 0)
        for piece, offset, total, data in peers[ask.peer](ask):
            told = fetching.heard(ask.peer, piece, offset, total, data, now)
            if isinstance(told, Whole) and right(told):
                fetching.good(told.block, now)
            elif isinstance(told, Whole):
                told = fetching.wrong(told.block, "wrong")
            blamed += [told.peer] if isinstance(told, Lied) else []
        now += 0.01
    assert fetching.done
    assert len(blamed) == len(set(blamed))
    assert all(peers[peer] is not honest for peer in blamed)
