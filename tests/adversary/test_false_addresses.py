"""A member that has peers dial what it names: this machine, a multicast group, one victim at all its ports."""

import pytest
from lying_member import OTHER_SITE, Attacked, peer_id, presence

from protocol.membership.messages import Contact, ForwardJoin
from protocol.relay.messages import DialBack
from protocol.terms.effects import Dial, Effect, Knock


def dialled(effects: list[Effect]) -> list[str]:
    return [effect.address for effect in effects if isinstance(effect, Dial)]


def walks(attacked: Attacked, name: str, address: str) -> list[str]:
    """Mallory says that a newcomer is there, and that its walk ends here."""
    contact = Contact(peer_id(name, OTHER_SITE), OTHER_SITE, address)
    return dialled(attacked.says(ForwardJoin(contact, 0)))


FALSE = [
    "127.0.0.1:22", "224.0.0.1:7946", "169.254.169.254:80", "255.255.255.255:1", "x:0", "[::1]:22", "[::]:7946",
    "[ff02::1]:7946", "[fe80::1%eth0]:7946", "[::ffff:127.0.0.1]:22", "[::ffff:10.0.0.9]:22",
    "[64:ff9b::7f00:1]:22", "127.1:22", "0x7f000001:22",
]  # fmt: skip
"""Of this machine, of many, of none, of one link, or one that hides what it is."""


@pytest.mark.parametrize("address", FALSE)
def test_what_is_no_hosts_address_is_not_dialled(address: str) -> None:
    attacked = Attacked()
    for _ in range(2):
        assert walks(attacked, "newcomer", "10.0.0.9:7946") == ["10.0.0.9:7946"]
        assert walks(attacked, "other", address) == []
        attacked.spreads(presence("third", OTHER_SITE, address=address))
        for _ in range(100):
            attacked.now += 4.0
            told = dialled(attacked.heard_nothing())
            assert address not in told
        attacked.restart()


@pytest.mark.parametrize("address", FALSE)
def test_nobody_is_dialled_back_there(address: str) -> None:
    attacked = Attacked()
    attacked.spreads(presence("mallory", OTHER_SITE, incarnation=2, address=address))
    told = attacked.says(DialBack())
    assert not [effect for effect in told if isinstance(effect, Knock)]
    attacked.spreads(presence("mallory", OTHER_SITE, incarnation=3, address="10.0.0.9:7946"))
    told = attacked.says(DialBack())
    assert [e.address for e in told if isinstance(e, Knock)] == ["10.0.0.9:7946"]


def test_one_victim_is_not_searched_for_open_ports() -> None:
    attacked = Attacked()
    knocked: list[str] = []
    for port in range(1, 400):
        attacked.now += 0.01
        knocked += walks(attacked, f"newcomer-{port}", f"10.0.0.9:{port}")
    assert 0 < len(knocked) < 70
