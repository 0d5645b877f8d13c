"""What carries a network follows from what the grid says of it, and from what its hosts granted."""

import msgspec
from negotiating import ADMIN, NOW, A, B, C, HostKey, record_of, shop

from protocol.grid.addresses import Card
from protocol.grid.carrier import Carrier, carrier_of, carriers_of, carries
from protocol.grid.grant import read_grant, sign_grant
from protocol.grid.model import Encryption, NetworkSpec
from protocol.grid.record import GridRecord
from protocol.terms.ids import PeerId

LAN, WAN = NetworkSpec("lan", "10.42.0.0/24"), NetworkSpec("wan", "10.43.0.0/24")
CLEAR = NetworkSpec("clear", "10.44.0.0/24", Encryption.NONE)
NETWORKS = (LAN, WAN, CLEAR)
ON = {"web-1": ("lan",), "web-2": ("lan", "wan"), "web-3": ("wan",)}
CARDS = tuple(Card(w, n, "", 24) for w, names in ON.items() for n in (*names, "clear"))
PLACED = {"web-1": A, "web-2": B, "web-3": C}


def record(*able: PeerId) -> GridRecord:
    """A grid over A, B and C, of which those granted that they carry networks by WireGuard."""
    made = record_of(ADMIN.up(shop(3), NOW), PLACED)
    grants = tuple(
        sign_grant(
            msgspec.structs.replace(read_grant(signed), wireguard=signed.host in able),
            HostKey(signed.host),
        )
        for signed in made.grants
    )
    return msgspec.structs.replace(made, grants=grants)


def carriers(of: GridRecord) -> tuple[Carrier, Carrier, Carrier]:
    found = carriers_of(of, NETWORKS, CARDS)
    return found["lan"], found["wan"], found["clear"]


SEALED, INSIDE, PLAIN = Carrier.SEALED, Carrier.WIREGUARD, Carrier.PLAIN


def test_wireguard_carries_what_all_hosts_of_a_network_granted() -> None:
    assert carriers(record(A, B, C)) == (INSIDE, INSIDE, PLAIN)
    assert carriers(record(A, B)) == (INSIDE, SEALED, PLAIN)
    assert carriers(record(A, C)) == (SEALED, SEALED, PLAIN)
    assert carriers(record()) == (SEALED, SEALED, PLAIN)


def test_what_was_decided_by_older_builds_is_sealed() -> None:
    without = msgspec.structs.replace(record(A, B, C), grants=())
    assert carriers(without) == (SEALED, SEALED, PLAIN)
    fewer = msgspec.structs.replace(record(A, B, C), grants=record(A, B, C).grants[:2])
    assert carriers(fewer) == (INSIDE, SEALED, PLAIN), "one granted nothing"


def test_a_network_does_not_change_when_a_workspace_is_removed() -> None:
    whole = record(A, B)
    left = tuple(a for a in whole.assignments if a.workspace != "web-3")
    assert carriers(msgspec.structs.replace(whole, assignments=left)) == (INSIDE, SEALED, PLAIN)


def test_what_says_nothing_of_encryption_is_never_plain() -> None:
    assert carrier_of(LAN, False) is SEALED
    assert carrier_of(LAN, True) is INSIDE
    assert carrier_of(CLEAR, True) is PLAIN


def test_what_is_left_of_each_packet() -> None:
    assert carries(SEALED, 1450, 576) == 1418
    assert carries(INSIDE, 1450, 576) == 1370
    assert carries(PLAIN, 1450, 576) == 1450
    assert carries(SEALED, 580, 576) == 576, "every host takes so much, whoever says otherwise"
