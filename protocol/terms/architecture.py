"""The instructions a cpu takes."""

from enum import StrEnum


class Architecture(StrEnum):
    """The instructions a host's cpus take, in the words of `uname -m`."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"
    PPC64LE = "ppc64le"
    RISCV64 = "riscv64"
    S390X = "s390x"
