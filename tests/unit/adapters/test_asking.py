"""A guest is asked to shut down by its agent if that answers, else by its button; a container by its init."""

import signal
import subprocess
import sys
from typing import cast

import libvirt
import libvirt_qemu
import pytest

from overlayd.adapters.libvirt import asking
from overlayd.adapters.libvirt.driver import DomainType

RUNNING = (libvirt.VIR_DOMAIN_RUNNING, 1)
PAUSED = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER)


class Guest:
    """A domain that remembers what is done to it. `agent` says what becomes of each of its agent's commands."""

    def __init__(self, state: tuple[int, int] = RUNNING, agent: str = "none") -> None:
        self.now, self.agent = state, agent
        self.done: list[object] = []
        self.keeper = -1

    def state(self) -> tuple[int, int]:
        return self.now

    def resume(self) -> None:
        self.done.append("resume")

    def agentSetResponseTimeout(self, _: int) -> None:
        return

    def shutdownFlags(self, flags: int) -> None:
        self.done.append(flags)
        if flags == libvirt.VIR_DOMAIN_SHUTDOWN_INITCTL and self.agent == "none":
            raise error(libvirt.VIR_ERR_OPERATION_UNSUPPORTED)

    def ID(self) -> int:
        return self.keeper


def error(code: int) -> libvirt.libvirtError:
    made = libvirt.libvirtError("no")
    made.err = (code, 0, "no", 0, "", None, None, 0, 0)
    return made


@pytest.fixture(autouse=True)
def agents(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(guest: Guest, text: str, _timeout: int, _flags: int) -> str:
        if guest.agent == "none" or (guest.agent == "deaf" and "ping" not in text):
            code = libvirt.VIR_ERR_AGENT_UNRESPONSIVE
            raise error(code if guest.agent == "deaf" else libvirt.VIR_ERR_OPERATION_UNSUPPORTED)
        if guest.agent == "unwilling" and "ping" not in text:
            raise error(libvirt.VIR_ERR_INTERNAL_ERROR)
        guest.done.append(text)
        return ""

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", command)


def asked(guest: Guest, type_: DomainType = DomainType.QEMU) -> bool:
    return asking.shut_down(cast("libvirt.virDomain", guest), type_)


BUTTON = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN


@pytest.mark.parametrize(
    ("agent", "pressed"), [("none", True), ("deaf", False), ("good", False), ("unwilling", True)]
)
def test_the_button_is_pressed_where_no_agent_does_it(agent: str, pressed: bool) -> None:
    """An agent does not answer an order to shut down that it follows."""
    guest = Guest(agent=agent)
    assert asked(guest)
    assert (BUTTON in guest.done) is pressed


def test_one_that_a_person_paused_goes_on_first() -> None:
    guest = Guest(PAUSED)
    assert asked(guest)
    assert guest.done == ["resume", BUTTON]


def test_who_does_not_run_is_not_asked() -> None:
    held = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)
    for state in (held, (libvirt.VIR_DOMAIN_SHUTOFF, 1)):
        guest = Guest(state)
        assert not asked(guest)
        assert guest.done == []


KEEPER = """
import os, signal, sys
heard = [int(number) for number in sys.argv[1:]]
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
if os.fork() == 0:
    print("there", flush=True)
    print(*sorted(signal.sigwait(heard) for _ in heard), flush=True)
    os._exit(0)
os.wait()
"""
"""A process with a child, which says which of two signals it has heard."""


@pytest.mark.parametrize("pipe", ["good", "none"])
def test_a_container_is_told_by_its_pipe_and_by_the_signals_of_two_inits(pipe: str) -> None:
    """libvirt's answer does not say whether there is a pipe."""
    plain = Guest(agent=pipe)
    numbers = sorted((signal.SIGRTMIN + 3, signal.SIGUSR2))
    argv = [sys.executable, "-c", KEEPER, *(str(int(number)) for number in numbers)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as keeper:
        plain.keeper = keeper.pid
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "there\n"
        assert asked(plain, DomainType.LXC)
        assert keeper.stdout.readline().split() == [str(int(number)) for number in numbers]
    assert plain.done == [libvirt.VIR_DOMAIN_SHUTDOWN_INITCTL]


def test_a_container_without_an_init_is_not_asked() -> None:
    assert not asked(Guest(), DomainType.LXC)


def test_libvirts_test_driver_shuts_down_at_once() -> None:
    connection = libvirt.open("test:///default")
    domain = connection.lookupByName("test")
    assert asking.shut_down(domain, DomainType.TEST)
    assert not domain.isActive()
    assert not asking.shut_down(domain, DomainType.TEST)
