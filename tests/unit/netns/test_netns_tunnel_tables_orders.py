"""What a forwarder is told makes sense or is refused with everything that is wrong; how it is written."""

import msgspec
import pytest

from netns.tunnel import orders
from netns.tunnel.tables import (
    MEMBERS_MAX,
    Cipher,
    Member,
    Networks,
    Peers,
    SealedNetwork,
    SealedPeer,
    Session,
)

GATEWAY = "02:00:00:00:00:01"
NETWORK = SealedNetwork(
    7,
    "ovs-000007",
    1418,
    ("02:00:00:00:00:02",),
    GATEWAY,
    (Member("02:00:00:00:00:03", "10.0.0.3", "b"),),
)
SESSION = Session(1, 2, b"s" * 32, b"r" * 32, 100.0)
PEER = SealedPeer("b", "192.0.2.2", 7790, (SESSION,))


def wrong_networks(**changes: object) -> str:
    with pytest.raises(ValueError) as found:
        Networks(1, (msgspec.structs.replace(NETWORK, **changes),)).check()
    return str(found.value)


def wrong_session(**changes: object) -> str:
    session = msgspec.structs.replace(SESSION, **changes)
    with pytest.raises(ValueError) as found:
        Peers(1, (msgspec.structs.replace(PEER, sessions=(session,)),)).check()
    return str(found.value)


def test_tables_that_make_sense_pass() -> None:
    Networks(1).check()
    Networks(1, (NETWORK,)).check()
    Peers(1, (PEER, SealedPeer("c", "", 0, ()))).check()


def test_each_thing_that_is_wrong_with_a_network_is_said() -> None:
    assert "vni 0: not in 1.." in wrong_networks(vni=0)
    assert "not the name of a link" in wrong_networks(tap="a/b")
    assert "mtu 100 is not" in wrong_networks(mtu=100)
    assert "unicast MAC" in wrong_networks(local=("ff:ff:ff:ff:ff:ff",))
    assert "is there 2 times" in wrong_networks(local=(GATEWAY,))
    assert "not an IPv4 address" in wrong_networks(members=(Member("02:00:00:00:00:03", "x", "b"),))
    assert "name of a peer" in wrong_networks(
        members=(Member("02:00:00:00:00:03", "10.0.0.3", ""),)
    )


def test_two_members_with_one_mac_are_refused() -> None:
    twins = tuple(
        Member("02:00:00:00:00:03", f"10.0.0.{last}", peer) for last, peer in ((3, "b"), (4, "c"))
    )
    assert "mac 02:00:00:00:00:03 is there 2 times" in wrong_networks(members=twins)


def test_all_networks_together_are_bounded() -> None:
    macs = tuple(f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}" for number in range(4000))
    many = tuple(
        msgspec.structs.replace(NETWORK, vni=vni, tap=f"t{vni}", local=macs, members=())
        for vni in range(1, MEMBERS_MAX // 4000 + 2)
    )
    with pytest.raises(ValueError, match="members of all networks"):
        Networks(1, many).check()


def test_networks_that_share_a_vni_or_a_tap_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"vni 7 is there 2 times; tap ovs-000007 is there 2 times"
    ):
        Networks(1, (NETWORK, NETWORK)).check()


def test_each_thing_that_is_wrong_with_a_peer_is_said() -> None:
    assert "session 0 is not in" in wrong_session(index=0)
    assert "keys have 32 bytes" in wrong_session(send_key=b"short")
    assert "a key is there twice" in wrong_session(send_key=b"r" * 32)
    with pytest.raises(ValueError, match="port 0 is not in"):
        Peers(1, (msgspec.structs.replace(PEER, port=0),)).check()
    with pytest.raises(ValueError, match="peer b is there 2 times; session 1 is there 2 times"):
        Peers(1, (PEER, PEER)).check()
    for mtu in (-1, 575, 70_000):
        with pytest.raises(ValueError, match=f"b: mtu {mtu} is not in"):
            Peers(1, (msgspec.structs.replace(PEER, mtu=mtu),)).check()
    many = tuple(Session(n, n, bytes([n] * 32), bytes([n + 9] * 32), 0.0) for n in range(1, 6))
    with pytest.raises(ValueError, match="5 sessions are more than 4"):
        Peers(1, (msgspec.structs.replace(PEER, sessions=many),)).check()


def test_keys_are_not_shown() -> None:
    assert "ssss" not in repr(PEER)
    assert "rrrr" not in repr(PEER)


@pytest.mark.parametrize(
    "request_", [
        orders.AskState(), orders.TakeSocket(7790), orders.HoldTaps(("a", "b")),
        orders.TellNetworks(Networks(1, (NETWORK,))), orders.TellPeers(5, Peers(2, (PEER,))),
    ],
)  # fmt: skip
def test_a_request_is_read_as_it_was_written(request_: orders.Request) -> None:
    raw = orders.written(request_)
    (length,) = orders.LENGTH.unpack_from(raw)
    assert len(raw) == orders.LENGTH.size + length
    assert orders.request_of(raw[orders.LENGTH.size :]) == request_


def test_what_is_no_request_is_refused() -> None:
    for raw in (b"", b"[]", b'{"type": "other"}', b'{"type": "peers", "instance": "x"}'):
        with pytest.raises(msgspec.DecodeError):
            orders.request_of(raw)


def test_ciphers_go_by_their_names() -> None:
    assert [cipher.value for cipher in Cipher] == ["aes-256-gcm", "chacha20-poly1305"]
