"""What the kernel says of queues and filters, read by hand; what holds a card to its rate is in tests/lab."""

import struct

import pytest

from netns.kernel import rates, rtnetlink

IFB = 9
EVERYTHING, ONE_ADDRESS = 0, 0xFFFF_FFFF
OK, REDIRECT, MIRROR = "gact", 1, 2


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def bucket(bytes_s: int, of_64_bits: int = 0) -> bytes:
    parms = struct.pack("=BBHhHI", 0, 1, 0, 0, 0, bytes_s) + bytes(24)
    wide = attribute(4, struct.pack("=Q", of_64_bits)) if of_64_bits else b""
    return attribute(1, parms) + wide


def filtering(mask: int = EVERYTHING, kind: str = "mirred", does: int = REDIRECT) -> bytes:
    selector = struct.pack("=BBBxHHhhI", 1, 0, 1, 0, 0, 0, 0, 0) + struct.pack(
        "=IIii", mask, 0, 0, 0
    )
    parms = struct.pack("=IIiiiiI", 1, 0, 4, 1, 1, does, IFB)
    action = attribute(1, kind.encode() + b"\0") + attribute(2, attribute(2, parms))
    return answer("u32", attribute(5, selector) + attribute(7, attribute(1, action)))


def answer(kind: str, options: bytes) -> bytes:
    return bytes(20) + attribute(1, kind.encode() + b"\0") + attribute(2, options)


TABLE_OF_FILTERS = answer("u32", attribute(3, bytes(4)))
"""The kernel lists the table of a filter before the filter."""


@pytest.mark.parametrize(
    ("options", "bits_s"),
    [(bucket(12_500_000), 10**8), (bucket(0xFFFF_FFFF, 125 * 10**9), 10**12), (b"", 0)],
)
def test_a_bucket_of_any_rate(options: bytes, bits_s: int) -> None:
    assert rates._bits_s(options) == bits_s


@pytest.mark.parametrize(
    ("filters", "where"),
    [
        ((TABLE_OF_FILTERS, filtering()), IFB),
        ((), 0),
        ((filtering(ONE_ADDRESS),), 0),
        ((filtering(does=MIRROR),), 0),
        ((filtering(kind=OK),), 0),
        ((filtering(), filtering()), 0),
        ((answer("flower", b""), filtering()), 0),
        ((answer("u32", attribute(5, bytes(32))), filtering()), 0),
        ((answer("u32", attribute(5, bytes(3)) + attribute(7, b"\0")),), 0),
    ],
)
def test_all_goes_by_the_link_only_if_nothing_else_has_a_say(
    monkeypatch: pytest.MonkeyPatch, filters: tuple[bytes, ...], where: int
) -> None:
    monkeypatch.setattr(rtnetlink, "dump", lambda *_: list(filters))
    assert rates.redirections([5]) == {5: where}
