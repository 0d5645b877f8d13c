"""What libvirt says of a machine, as figures that can be added up."""

from typing import Any

import libvirt
import pytest

from overlayd.adapters.libvirt.figures import figures_of
from protocol.policy.receipts import Figures

SAID = {
    "cpu.time": 5_000_000_999,
    "balloon.current": 262_144,
    "block.count": 2,
    "block.0.rd.bytes": 10,
    "block.0.wr.bytes": 20,
    "block.1.rd.bytes": 1,
    "net.count": 1,
    "net.0.rx.bytes": 300,
    "net.0.tx.bytes": 400,
}


class Refused(libvirt.libvirtError):
    def __init__(self, code: int) -> None:
        super().__init__("no")
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class Domain:
    def info(self) -> list[int]:
        return [1, 0, 131_072, 1, 7_000_000_000]


class Connection:
    def __init__(self, said: dict[str, int], code: int = 0) -> None:
        self._said, self._code = said, code

    def domainListGetStats(self, domains: list[Any], _: int) -> list[Any]:  # libvirt's name
        if self._code:
            raise Refused(self._code)
        return [(domains[0], self._said)]


def figures(said: dict[str, int], code: int = 0) -> Figures:
    connection: Any = Connection(said, code)
    domain: Any = Domain()
    return figures_of(connection, domain)


def test_all_disks_and_cards_together() -> None:
    assert figures(SAID) == Figures(5000, 256 << 20, 11, 20, 300, 400)


@pytest.mark.parametrize("code", [0, libvirt.VIR_ERR_NO_SUPPORT])
def test_a_driver_that_counts_less_says_cpu_time_and_memory(code: int) -> None:
    assert figures({"state.state": 1}, code) == Figures(7000, 128 << 20)


def test_any_other_refusal_is_one() -> None:
    with pytest.raises(libvirt.libvirtError):
        figures({}, libvirt.VIR_ERR_OPERATION_INVALID)
