"""/proc/sys/net of the calling thread's network namespace."""

from pathlib import Path

_ROOT = Path("/proc/sys/net")


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


def forwarding() -> bool:
    return (_ROOT / "ipv4/ip_forward").read_text().strip() != "0"


def set_forwarding(on: bool) -> None:
    (_ROOT / "ipv4/ip_forward").write_text("1" if on else "0")


def set_forwarding_ipv6(on: bool) -> None:
    (_ROOT / "ipv6/conf/all/forwarding").write_text("1" if on else "0")
