"""What sealing costs in bytes, held against the boxes that peers really make."""

from nacl.public import Box, PrivateKey


def test_a_box_is_forty_bytes_longer_at_most() -> None:
    box = Box(PrivateKey.generate(), PrivateKey.generate().public_key)
    for plain in (b"", b"x" * 1000):
        assert len(box.encrypt(plain)) == len(plain) + 40
