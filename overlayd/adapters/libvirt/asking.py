"""How a guest is asked to shut down: by its agent if that answers, else by its power button.

libvirt's own way by the agent waits until the guest is down, a minute at most, in a thread that others need. So
the agent is asked directly: it answers a ping, and nothing more once it has begun to shut down.
"""

import contextlib
import json
import os
import signal
from typing import Final

import libvirt
import libvirt_qemu

from overlayd.adapters.libvirt.confinement import init_of
from overlayd.adapters.libvirt.driver import DomainType

AGENT_WITHIN_S: Final = 2
"""How long a guest's agent has to answer."""
_PING: Final = json.dumps({"execute": "guest-ping"})
_POWER_DOWN: Final = json.dumps({"execute": "guest-shutdown", "arguments": {"mode": "powerdown"}})
_INITS: Final = (signal.SIGRTMIN + 3, signal.SIGUSR2)
"""What systemd and what busybox's init take as "power off". Each of them does nothing at the other's."""


def shut_down(domain: libvirt.virDomain, type_: DomainType) -> bool:
    """Asks a guest. One that a person paused goes on first, since it hears nothing while it stands still.

    False if it does not run, or cannot. Raises libvirtError if it cannot be asked.
    """
    state, reason = domain.state()
    if (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER):
        domain.resume()
    elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
        domain.pMWakeup(0)
    elif state not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
        return bool(state == libvirt.VIR_DOMAIN_SHUTDOWN)
    if type_ is DomainType.LXC:
        return _signal(domain)
    if type_ is DomainType.TEST:
        domain.shutdown()
    elif not _by_agent(domain):
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    return True


def _by_agent(domain: libvirt.virDomain) -> bool:
    """Whether the guest's agent answers, and so was asked."""
    try:
        domain.agentSetResponseTimeout(AGENT_WITHIN_S)
        libvirt_qemu.qemuAgentCommand(domain, _PING, AGENT_WITHIN_S, 0)
    except libvirt.libvirtError:
        return False
    try:
        libvirt_qemu.qemuAgentCommand(domain, _POWER_DOWN, 1, 0)
    except libvirt.libvirtError as error:
        # It does not answer when it does as it is told. It says so if it cannot.
        return bool(error.get_error_code() == libvirt.VIR_ERR_AGENT_UNRESPONSIVE)
    return True


def _signal(domain: libvirt.virDomain) -> bool:
    """Tells a container's init by the pipe that some have, and by signals. False if it has none.

    libvirt says that it was told also where there is no pipe. It does not send the signals: it hears from
    the container's keeper who the init is, and one that missed that never asks again.
    """
    with contextlib.suppress(libvirt.libvirtError):
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_INITCTL)
    keeper = domain.ID()
    init = init_of(keeper)
    try:
        held = os.pidfd_open(init)
    except OSError:
        return False
    try:
        if told := init_of(keeper) == init:  # else its number may be another's by now
            for number in _INITS:
                signal.pidfd_send_signal(held, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(held)
    return told
