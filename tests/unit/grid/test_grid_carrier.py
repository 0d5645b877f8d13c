"""What carries a network follows from what the grid says of it."""

import msgspec

from protocol.grid.carrier import Carrier, carrier_of, carries
from protocol.grid.model import Encryption, NetworkSpec

LAN = NetworkSpec("lan", "10.42.0.0/24")
CLEAR = msgspec.structs.replace(LAN, encryption=Encryption.NONE)


def test_what_says_nothing_of_encryption_is_sealed() -> None:
    assert carrier_of(LAN) is Carrier.SEALED
    assert carrier_of(CLEAR) is Carrier.PLAIN


def test_sealing_takes_of_each_packet() -> None:
    assert carries(LAN, 1450, 576) == 1418
    assert carries(CLEAR, 1450, 576) == 1450
    assert carries(LAN, 580, 576) == 576, "every host takes so much, whoever says otherwise"
