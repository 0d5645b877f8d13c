"""A member that has peers dial what it names: this machine, a multicast group, one victim at all its ports."""

import pytest
from lying_member import OTHER_SITE, Attacked, peer_id, presence

from protocol.membership.messages import Contact, ForwardJoin
from protocol.terms.effects import Dial, Effect


def dialled(effects: list[Effect]) -> list[str]:
    return [effect.address for effect in effects if isinstance(effect, Dial)]


def walks(attacked: Attacked, name: str, address: str) -> list[str]:
    """Mallory says that a newcomer is there, and that its walk ends here."""
    contact = Contact(peer_id(name, OTHER_SITE), OTHER_SITE, address)
    return dialled(attacked.says(ForwardJoin(contact, 0)))


@pytest.mark.parametrize(
    "address", ["127.0.0.1:22", "224.0.0.1:7946", "169.254.169.254:80", "255.255.255.255:1", "x:0"]
)
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


def test_one_victim_is_not_searched_for_open_ports() -> None:
    attacked = Attacked()
    knocked: list[str] = []
    for port in range(1, 400):
        attacked.now += 0.01
        knocked += walks(attacked, f"newcomer-{port}", f"10.0.0.9:{port}")
    assert 0 < len(knocked) < 70
