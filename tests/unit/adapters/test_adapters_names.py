"""What names stand for, as the system says it, and what of that is dialled."""

import asyncio
import socket
import threading

import pytest

from overlayd.adapters import names
from overlayd.adapters.names import ADDRESSES_MOST, LOOKS_MOST, Names, Unresolved
from protocol.terms.address import Address
from protocol.terms.limits import DIALS_BURST
from protocol.terms.problem import Trouble


def at(name: str = "h.example") -> Address:
    return Address(name, 7700)


async def trouble(asked: Names, address: Address) -> Trouble:
    with pytest.raises(Unresolved, match=address.host) as said:
        await asked.one_of(address, 0)
    return said.value.trouble


async def test_addresses_stand_for_themselves() -> None:
    def never(name: str) -> list[str]:
        raise AssertionError(name)

    assert str(await Names(ask=never).one_of(at("2001:db8::7"), 3)) == "2001:db8::7"


async def test_each_address_of_a_name_has_its_turn() -> None:
    asked = Names(ask=lambda _: ["2001:db8::7", "192.0.2.7", "192.0.2.7"])
    turns = [str(await asked.one_of(at(), turn)) for turn in range(3)]
    assert turns == ["2001:db8::7", "192.0.2.7", "2001:db8::7"]


async def test_it_is_asked_anew_each_time() -> None:
    said = [["192.0.2.7"], ["2001:db8::8"]]
    asked = Names(ask=lambda _: said.pop(0))
    assert str(await asked.one_of(at(), 0)) == "192.0.2.7"
    assert str(await asked.one_of(at(), 0)) == "2001:db8::8"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (socket.EAI_NONAME, Trouble.NO_NAME),
        (socket.EAI_NODATA, Trouble.NO_NAME),
        (socket.EAI_AGAIN, Trouble.NO_DNS),
        (socket.EAI_FAIL, Trouble.NO_DNS),
    ],
)
async def test_what_the_system_does_not_know(code: int, expected: Trouble) -> None:
    def ask(_: str) -> list[str]:
        raise socket.gaierror(code, "no")

    assert await trouble(Names(ask=ask), at()) is expected


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "169.254.169.254", "fe80::1%2",
     "::ffff:10.0.0.1", "255.255.255.255"],
)  # fmt: skip
async def test_a_name_on_anothers_word_leads_to_one_host_that_is_not_this(ip: str) -> None:
    assert await trouble(Names(ask=lambda _: [ip]), at()) is Trouble.NAME_ASTRAY
    mixed = Names(ask=lambda _: [ip, "192.0.2.7"])
    assert str(await mixed.one_of(at(), 1)) == "192.0.2.7"


async def test_a_name_of_the_configuration_may_lead_to_this_host() -> None:
    asked = Names(["h.example:7700"], lambda _: ["127.0.0.1"])
    assert str(await asked.one_of(at(), 0)) == "127.0.0.1"
    other_port = Address("h.example", 22)
    assert await trouble(asked, other_port) is Trouble.NAME_ASTRAY


async def test_a_thousand_names_of_one_host_share_what_that_host_may_be_dialled() -> None:
    asked = Names(ask=lambda _: ["192.0.2.7"])
    dialled = 0
    for number in range(100):
        try:
            await asked.one_of(at(f"h{number}.example"), 0)
        except Unresolved:
            continue
        dialled += 1
    assert dialled == DIALS_BURST


async def test_a_name_has_so_many_addresses() -> None:
    asked = Names(ask=lambda _: [f"192.0.2.{n}" for n in range(1, 100)])
    assert len(await asked.all_of("h.example")) == ADDRESSES_MOST


async def test_servers_that_say_nothing_hold_up_so_many_and_none_of_the_configurations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "LOOK_S", 0.01)
    let_go = threading.Event()

    def ask(name: str) -> list[str]:
        if name != "told.example":
            let_go.wait()
        return ["192.0.2.7"]

    asked = Names(["told.example:7700"], ask)
    before = threading.active_count()
    try:
        silent = [trouble(asked, at(f"h{n}.example")) for n in range(2 * LOOKS_MOST)]
        assert set(await asyncio.gather(*silent)) == {Trouble.NO_DNS}
        assert threading.active_count() - before == LOOKS_MOST
        assert await trouble(asked, at("h0.example")) is Trouble.NO_DNS, "it shares the question"
        monkeypatch.setattr(names, "LOOK_S", 10.0)
        assert str(await asked.one_of(at("told.example"), 0)) == "192.0.2.7"
    finally:
        let_go.set()
    assert str(await asked.one_of(at("h0.example"), 0)) == "192.0.2.7", "and later it is answered"


async def test_the_system_is_asked() -> None:
    assert {str(ip) for ip in await Names().all_of("localhost")} <= {"127.0.0.1", "::1"}
