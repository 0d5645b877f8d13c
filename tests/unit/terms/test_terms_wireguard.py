"""A host's end of WireGuard is a whole key and a port, or the record that has it is not believed."""

import pytest

from protocol.grid.tunnel import TunnelEnd
from protocol.terms.wireguard import WireguardEnd
from protocol.wire.codec import Malformed, decode, encode

END = TunnelEnd("192.0.2.1", 1450, 7700, WireguardEnd(b"k" * 32, 7701))


def test_it_is_understood() -> None:
    assert decode(encode(END), TunnelEnd) == END
    older = ["192.0.2.1", 1450, 7700]
    assert decode(encode(older), TunnelEnd).wireguard is None


@pytest.mark.parametrize(
    "said",
    [[], [b"k" * 31, 7701], [b"k" * 33, 7701], [b"", 7701], [b"k" * 32, 0], [b"k" * 32, 65536],
     ["k" * 32, 7701], [b"k" * 32]],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(said: list[object]) -> None:
    with pytest.raises(Malformed):
        decode(encode(["192.0.2.1", 1450, 7700, said]), TunnelEnd)
