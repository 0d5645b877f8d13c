"""What a link in the thread's namespace leaves to hardware (ethtool -K LINK tx on|off).

This is the classic ioctl: a dozen lines, where generic netlink would take a whole family.
"""

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GET_TX_CHECKSUM, _SET_TX_CHECKSUM = 0x16, 0x17


def checksum_offload(link: str) -> bool:
    """Whether the link leaves checksums to hardware. Raises OSError if there is no such link."""
    return ethtool(link, _GET_TX_CHECKSUM, 0) != 0


def set_checksum_offload(link: str, on: bool) -> None:
    ethtool(link, _SET_TX_CHECKSUM, int(on))


def ethtool(link: str, command: int, value: int) -> int:
    """One of its commands (ETHTOOL_*), and the value that it answers. Raises OSError."""
    data = array.array("I", (command, value))
    address, _ = data.buffer_info()
    request = struct.pack("16sQ16x", link.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCETHTOOL, request)
    return data[1]
