"""Headers, replay windows, cutting and joining of sealed frames, made of bytes, beside slow ones."""

import struct

from netns.tunnel import cut, frame, glue, vnet
from netns.tunnel.frame import NEEDS_CSUM, Inner
from netns.tunnel.window import WINDOW, Window

MTU = 1418
TEMPLATE = bytes.fromhex(
    "020000000003020000000002080045000028000940004006"  # Ethernet, IPv4 without its checksum
    "26c30a0000020a0000039c4001bb000003e80000000550100200143d0000"
)


def read_sealed(data: bytes) -> None:
    """One run. Raises AssertionError for what is wrong."""
    if data:
        (_read_header, _move_window, _join)[data[0] % 3](data[1:])


def _read_header(data: bytes) -> None:
    found = frame.addressed(data)
    if found is not None:
        assert frame.header(*found) == data[: frame.HEADER_BYTES]
    if len(data) >= frame.INNER_BYTES:
        opened = frame.inner(data)
        if opened is not None:
            assert opened.frame == data[frame.INNER_BYTES :]
            assert opened.csum_start + opened.csum_offset + 2 <= max(len(opened.frame), 2)


def _move_window(data: bytes) -> None:
    window, taken = Window(), set[int]()
    counter = 1 << 31
    for move, steps in struct.iter_unpack(">hB", data[: len(data) // 3 * 3]):
        counter = max(0, counter + move * (1 + steps % 3))
        fresh = counter not in taken and counter > max(taken, default=-1) - WINDOW
        assert window.is_fresh(counter) is fresh
        if fresh:
            window.take(counter)
            taken.add(counter)


def _join(data: bytes) -> None:
    frames = list(_segments(data))
    found = glue.joined(frames)
    parts = [part for joined in found for part in joined.parts]
    for addresses in {one.frame[26:34] for one in frames}:
        for ports in {one.frame[34:38] for one in frames if _is_tcp(one.frame)}:
            before, after = (
                [one for one in some if _may_be_of(one, addresses, ports)]
                for some in ([one.frame for one in frames], parts)
            )
            assert before == after, "a flow keeps its order"
    assert len(parts) == len(frames)
    for joined in found:
        raw = b"".join(joined.pieces())
        header, whole = vnet.vnet(raw), raw[vnet.VNET_BYTES :]
        if header.gso_type:
            again = cut.segments(whole, header.gso_size, 0xFFFF)
            assert [_same(one) for one in again] == [_same(part) for part in joined.parts]
        else:
            assert [whole] == joined.parts


def _segments(data: bytes) -> list[Inner]:
    """Segments of two flows, mostly consecutive, some with a byte changed."""
    made: list[Inner] = []
    sequences = [0, 0xFFFF_FFF0]
    for kind, flags, size, at, value in struct.iter_unpack(">BBBBB", data[: len(data) // 5 * 5]):
        flow = kind & 1
        segment = bytearray(TEMPLATE) + bytes([value]) * (size % 16)
        segment[35] = flow
        length = len(segment) - 14
        struct.pack_into(">H", segment, 16, length)
        struct.pack_into(">H", segment, 24, 0x26C3 - (length - 40))
        struct.pack_into(">I", segment, 38, sequences[flow])
        struct.pack_into(">H", segment, 50, 0x143D + (length - 40))
        segment[47] = flags if kind & 2 else 0x10 | flags & 9
        if not kind & 12:
            segment[at % len(segment)] = value
        if kind & 48:
            sequences[flow] = (sequences[flow] + size % 16) & 0xFFFF_FFFF
        made.append(Inner(NEEDS_CSUM, 7, 34, 16, bytes(segment)))
    return made


def _is_tcp(one: bytes) -> bool:
    return one[12:14] == b"\x08\x00" and one[23] == 6


def _may_be_of(one: bytes, addresses: bytes, ports: bytes) -> bool:
    """Whether it is of that flow, as far as can be told of one with IP options or of a fragment."""
    whole = one[14] == 0x45 and not (one[20] & 0x3F or one[21])
    return _is_tcp(one) and one[26:34] == addresses and (one[34:38] == ports or not whole)


def _same(one: bytes) -> bytes:
    """Without what joining takes from the first segment, or is left to be completed: id, both checksums."""
    return one[:18] + one[20:24] + one[26:50] + one[52:]
