"""Which of libvirt's drivers a URI means, and what differs between them."""

from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

import msgspec

from overlayd.adapters.libvirt.plans import EMULATOR
from overlayd.config.places import LIBVIRT_ROOT_MAX
from overlayd.ports.compute import Accelerator, ComputeError


class DomainType(StrEnum):
    """libvirt's name for how a domain executes: the `type` of a `<domain>`."""

    KVM = "kvm"
    QEMU = "qemu"
    LXC = "lxc"
    TEST = "test"

    @property
    def accelerator(self) -> Accelerator:
        """The same in the port's words."""
        return _ACCELERATORS[self]


_ACCELERATORS = {
    DomainType.KVM: Accelerator.KVM,
    DomainType.QEMU: Accelerator.EMULATED,
    DomainType.LXC: Accelerator.CONTAINER,
    DomainType.TEST: Accelerator.TEST,
}


class Driver(msgspec.Struct, frozen=True):
    """What a domain's XML depends on besides the machine."""

    type: DomainType
    owner: str = "overlayd"
    """It is written into each domain. Only domains with the same owner are ours."""
    architecture: str = "x86_64"
    gid: int | None = None
    """The group that guests need for KVM, if they need one."""
    emulator: str = EMULATOR
    """What a container is started with."""


def domain_type(uri: str) -> DomainType:
    """The type before any trial of KVM: emulation for QEMU. Raises ComputeError for an unknown URI."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme == "qemu":
        return DomainType.QEMU
    if scheme in ("lxc", "test"):
        return DomainType(scheme)
    raise ComputeError(
        f"{uri!r} names no driver this adapter knows; use qemu:///embed?root=DIR, qemu:///system, "
        "lxc:/// or test:///default"
    )


def own_root(uri: str) -> str | None:
    """DIR of `lxc:///?root=DIR`, a libvirtd of our own; None for any other URI."""
    parts = urlsplit(uri)
    root = parse_qs(parts.query).get("root", [""])[0] if parts.scheme == "lxc" else ""
    return root or None


def runs_qemu(type_: DomainType) -> bool:
    """Whether guests are processes of QEMU."""
    return type_ in (DomainType.QEMU, DomainType.KVM)


def embed_root(uri: str) -> str | None:
    """DIR of `qemu:///embed?root=DIR`; None for any other URI. Raises ComputeError if it cannot work."""
    parts = urlsplit(uri)
    if parts.scheme != "qemu" or parts.path != "/embed":
        return None
    root = parse_qs(parts.query).get("root", [""])[0]
    if not root.startswith("/"):
        raise ComputeError(f"{uri!r} needs an absolute directory: qemu:///embed?root=/some/where")
    if len(root) > LIBVIRT_ROOT_MAX:
        raise ComputeError(
            f"the libvirt root {root} is {len(root) - LIBVIRT_ROOT_MAX} characters too long: "
            f"libvirt keeps Unix sockets below it, so it may have {LIBVIRT_ROOT_MAX}"
        )
    return root
