"""How a guest's file systems are brought to rest by its agent, and let go on."""

from typing import Final

import libvirt

FREEZE_WITHIN_S: Final = 10
"""How long an agent has to write out what its guest has in memory."""
THAW_WITHIN_S: Final = 5


def freeze(domain: libvirt.virDomain) -> bool:
    """Whether all its file systems were frozen. If not, those that may have been are let go on."""
    try:
        domain.agentSetResponseTimeout(FREEZE_WITHIN_S)
        domain.fsFreeze()
    except libvirt.libvirtError:
        thaw(domain)
        return False
    return True


def thaw(domain: libvirt.virDomain) -> bool:
    """Lets them go on; False if no agent answers. It is no error if none is frozen."""
    try:
        domain.agentSetResponseTimeout(THAW_WITHIN_S)
        domain.fsThaw()
    except libvirt.libvirtError:
        return False
    return True
