"""TCP over IP over Ethernet, made and judged slowly: every sum from nothing, every field by its name."""

import struct
from dataclasses import dataclass, replace

ACK, PSH, FIN, CWR, ECE, SYN = 0x10, 0x08, 0x01, 0x80, 0x40, 0x02
DF = 0x4000
SIX = {
    "source": b"\xfd" + bytes(11) + bytes([10, 0, 0, 2]),
    "target": b"\xfd" + bytes(11) + bytes([10, 0, 0, 3]),
}
"""The addresses of a segment over IPv6."""
MACS = bytes.fromhex("020000000003020000000002")


def folded(data: bytes, start: int = 0) -> int:
    """The sum of 16-bit words, not complemented (RFC 1071)."""
    total = start + sum(
        struct.unpack(f">{len(data + bytes(len(data) % 2)) // 2}H", data + bytes(len(data) % 2))
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True)
class Tcp:
    """A segment, or a superframe. `frame()` leaves the TCP checksum to be completed, as a tap does.

    Of IPv6, `tos` is the traffic class and `ttl` the hop limit.
    """

    data: bytes
    sequence: int = 1000
    flags: int = ACK
    source: bytes = bytes([10, 0, 0, 2])
    target: bytes = bytes([10, 0, 0, 3])
    ports: tuple[int, int] = (40000, 443)
    ack: int = 5
    window: int = 512
    urgent: int = 0
    options: bytes = b""
    ip_id: int = 9
    fragment: int = DF
    tos: int = 0
    ttl: int = 64

    @property
    def over_six(self) -> bool:
        return len(self.source) == 16

    @property
    def start(self) -> int:
        """Where TCP begins in its frame."""
        return 54 if self.over_six else 34

    def pseudo(self) -> int:
        return folded(
            self.source
            + self.target
            + struct.pack(">HH", 6, 20 + len(self.options) + len(self.data))
        )

    def frame(self) -> bytes:
        tcp = struct.pack(
            ">HHIIBBHHH", *self.ports, self.sequence, self.ack, (5 + len(self.options) // 4) << 4,
            self.flags, self.window, self.pseudo(), self.urgent,
        )  # fmt: skip
        tcp += self.options + self.data
        if self.over_six:
            first = 0x6000_0000 | self.tos << 20
            ip = struct.pack(">IHBB", first, len(tcp), 6, self.ttl)
            return MACS + b"\x86\xdd" + ip + self.source + self.target + tcp
        ip = struct.pack(
            ">BBHHHBBH4s4s", 0x45, self.tos, 20 + len(tcp), self.ip_id, self.fragment, self.ttl, 6, 0,
            self.source, self.target,
        )  # fmt: skip
        ip = ip[:10] + struct.pack(">H", ~folded(ip) & 0xFFFF) + ip[12:]
        return MACS + b"\x08\x00" + ip + tcp

    def cut(self, step: int) -> list["Tcp"]:
        """The segments, one by one."""
        found = []
        for number, start in enumerate(range(0, len(self.data), step)):
            flags = self.flags
            if start:
                flags &= ~CWR
            if start + step < len(self.data):
                flags &= ~(PSH | FIN)
            counts = not self.over_six and not self.fragment & DF
            ip_id = (self.ip_id + number) % 0x10000 if counts else self.ip_id
            found.append(
                replace(
                    self, data=self.data[start : start + step], flags=flags, ip_id=ip_id,
                    sequence=(self.sequence + start) % 0x1_0000_0000,
                )
            )  # fmt: skip
        return found


def same_but_id(frame: bytes) -> bytes:
    """The frame without IP id and IP checksum, which a joined packet has from its first segment."""
    if frame[12:14] == b"\x86\xdd":
        return frame
    return frame[:18] + bytes(2) + frame[20:24] + bytes(2) + frame[26:]
