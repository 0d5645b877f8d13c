"""A guest that put itself to sleep (ACPI S3) is woken; libvirt refuses to resume it."""

import libvirt
import pytest

from overlayd.adapters.libvirt.domains import Domains
from overlayd.adapters.libvirt.driver import DomainType, Driver
from overlayd.adapters.libvirt.history import History
from overlayd.ports.compute import Cause, MachineState


class Sleeper:
    """As much of a domain as is asked. It sleeps, or is paused."""

    def __init__(self, now: int) -> None:
        self.now, self.done = now, []

    def state(self) -> tuple[int, int]:
        return self.now, 0

    def isActive(self) -> bool:
        return True

    def metadata(self, *_: object) -> str:
        return "<machine owner='overlayd'/>"

    def resume(self) -> None:
        if self.now == libvirt.VIR_DOMAIN_PMSUSPENDED:
            raise libvirt.libvirtError("Requested operation is not valid: domain is pmsuspended")
        self.done.append("resume")

    def pMWakeup(self, flags: int) -> None:
        self.done.append("wake up")


class Connection:
    def __init__(self, domain: Sleeper) -> None:
        self.domain = domain

    def lookupByName(self, name: str) -> Sleeper:
        return self.domain


def domains_with(domain: Sleeper) -> Domains:
    return Domains(Connection(domain), Driver(DomainType.TEST), History(None))


@pytest.mark.parametrize(
    ("now", "does"),
    [(libvirt.VIR_DOMAIN_PMSUSPENDED, "wake up"), (libvirt.VIR_DOMAIN_PAUSED, "resume")],
)
def test_each_pause_is_ended_in_its_own_way(now: int, does: str) -> None:
    domain = Sleeper(now)
    domains_with(domain).resume("m")
    assert domain.done == [does]


def test_what_it_did_is_said() -> None:
    domain = Sleeper(libvirt.VIR_DOMAIN_PMSUSPENDED)
    why = domains_with(domain)._why(domain, MachineState.PAUSED)
    assert why == (Cause.UNKNOWN, "its guest put itself to sleep", ())
