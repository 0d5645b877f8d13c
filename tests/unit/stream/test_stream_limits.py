"""Limits of streams fit each other."""

from protocol.stream.limits import (
    STREAM_BEAT_S,
    STREAM_CONNECT_S,
    STREAM_FIRST_WINDOW_BYTES,
    STREAM_OPEN_EVERY_S,
    STREAM_OPEN_WITHIN_S,
    STREAM_PIECE_BYTES,
    STREAM_RESEND_MOST_S,
    STREAM_SILENT_S,
    STREAM_WINDOW_BYTES,
    STREAMS,
    STREAMS_OF_OWNER,
    STREAMS_OF_PEER,
    STREAMS_OF_WORKSPACE,
    STREAMS_WINDOW_BYTES,
)
from protocol.wire.limits import MAX_FRAME_BYTES


def test_a_piece_fits_in_a_frame_and_a_window_has_several() -> None:
    assert STREAM_PIECE_BYTES < MAX_FRAME_BYTES
    assert 2 * STREAM_PIECE_BYTES <= STREAM_FIRST_WINDOW_BYTES <= STREAM_WINDOW_BYTES
    assert STREAM_WINDOW_BYTES <= STREAMS_WINDOW_BYTES


def test_no_peer_or_owner_takes_all_streams_of_a_host() -> None:
    assert STREAMS_OF_PEER < STREAMS_OF_WORKSPACE < STREAMS_OF_OWNER < STREAMS


def test_who_waits_waits_longer_than_what_it_waits_for() -> None:
    assert STREAM_OPEN_EVERY_S < STREAM_CONNECT_S < STREAM_OPEN_WITHIN_S
    assert max(STREAM_RESEND_MOST_S, 2 * STREAM_BEAT_S) < STREAM_SILENT_S
