"""Anything at all, in any order, from anybody: no exception leaves the codec or the node, invariants hold."""

from archives import unpack_archive
from fuzzed_world import FRAMES, read_frame, run_world
from hypothesis import example, given, settings
from hypothesis import strategies as st

noise = st.binary(max_size=400)
changed = st.builds(
    lambda frame, at, byte: (
        frame[: at % len(frame)] + bytes((byte,)) + frame[at % len(frame) + 1 :]
    ),
    st.sampled_from(FRAMES),
    st.integers(0, 5000),
    st.integers(0, 255),
)


@settings(max_examples=400, deadline=None)
@given(noise | changed)
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    read_frame(data)


@settings(max_examples=150, deadline=None)
@example(b"")
@given(st.binary(min_size=50, max_size=1500))
def test_a_node_bears_anything(data: bytes) -> None:
    run_world(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_an_archive_is_unpacked_or_refused(data: bytes) -> None:
    unpack_archive(data)
