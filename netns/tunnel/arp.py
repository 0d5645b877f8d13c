"""ARP for members at other hosts, answered here: no question ever crosses the wide area (RFC 826)."""

import struct
from collections.abc import Mapping

ETHERTYPE = b"\x08\x06"
_ETHERNET = 14
_KIND = b"\x00\x01\x08\x00\x06\x04"  # Ethernet, IPv4, their lengths
_REQUEST, _REPLY = 1, 2
_PACKET = struct.Struct(">6sH6s4s6s4s")
_LEAST = _ETHERNET + _PACKET.size


def answer(frame: bytes, remote: Mapping[bytes, bytes]) -> bytes | None:
    """The reply to a question for a member elsewhere; None if it is none. `remote` has MACs by address.

    Who asks for its own address gets no reply: that is a probe for somebody else who has it.
    """
    if len(frame) < _LEAST:
        return None
    kind, operation, sender, sender_ip, _, target_ip = _PACKET.unpack_from(frame, _ETHERNET)
    if kind != _KIND or operation != _REQUEST or sender_ip == target_ip or sender != frame[6:12]:
        return None
    found = remote.get(bytes(target_ip))
    if found is None:
        return None
    packet = _PACKET.pack(_KIND, _REPLY, found, target_ip, sender, sender_ip)
    return bytes(sender) + found + ETHERTYPE + packet
