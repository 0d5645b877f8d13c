"""/proc/sys/net of the calling thread's network namespace."""

from pathlib import Path

_ROOT = Path("/proc/sys/net")
_ALONE = (("addr_gen_mode", "1"), ("accept_ra", "0"), ("accept_dad", "0"), ("autoconf", "0"))
"""No link-local address, no router's word, no wait for doubles."""


def ipv6_enabled(link: str) -> bool:
    """Whether the link speaks IPv6. False, too, on a kernel without it."""
    try:
        return (_ROOT / "ipv6/conf" / link / "disable_ipv6").read_text().strip() != "1"
    except FileNotFoundError:
        return False


def disable_ipv6(link: str) -> None:
    """Leaves no link-local address and no neighbour discovery, so that the link says nothing by itself."""
    if ipv6_enabled(link):
        (_ROOT / "ipv6/conf" / link / "disable_ipv6").write_text("1")


def enable_ipv6(link: str) -> None:
    """Lets the link speak IPv6 though others of the host may not. Raises OSError on a kernel without it."""
    (_ROOT / "ipv6/conf" / link / "disable_ipv6").write_text("0")


def set_ipv6(link: str, on: bool) -> None:
    """Lets the link speak IPv6, with just the addresses that it is given; or not.

    What it is given it has at once: nobody else has it, and nobody could say so. Raises OSError on a kernel
    without IPv6 that is asked for it.
    """
    if not on:
        disable_ipv6(link)
        return
    folder = _ROOT / "ipv6/conf" / link
    if ipv6_enabled(link) and all(
        (folder / one).read_text().strip() == said for one, said in _ALONE
    ):
        return
    disable_ipv6(link)  # the kernel gives it addresses as soon as it may
    for setting, value in _ALONE:
        (folder / setting).write_text(value)
    (folder / "disable_ipv6").write_text("0")


def forwarding() -> bool:
    return (_ROOT / "ipv4/ip_forward").read_text().strip() != "0"


def set_forwarding(on: bool) -> None:
    (_ROOT / "ipv4/ip_forward").write_text("1" if on else "0")


def set_forwarding_ipv6(on: bool) -> None:
    (_ROOT / "ipv6/conf/all/forwarding").write_text("1" if on else "0")
