"""What sealing costs in bytes, held against the boxes that peers really make."""

from nacl.public import Box, PrivateKey

from protocol.trust.sealing import OVERHEAD_BYTES


def test_the_overhead_is_that_of_a_box() -> None:
    box = Box(PrivateKey.generate(), PrivateKey.generate().public_key)
    for plain in (b"", b"x" * 1000):
        assert len(box.encrypt(plain)) == len(plain) + OVERHEAD_BYTES
