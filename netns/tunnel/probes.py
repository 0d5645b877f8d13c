"""Probes: sealed frames of no network, that the other forwarder answers. So it is known which paths work.

They go by the keys and counters of the session that sends. On their way nobody can tell them from frames of
guests. Inside, after eight bytes as every sealed frame has them, with VNI 0:

    kind u8 (1 probe, 2 answer) | zero u8 | port u16 | number u64 | address 16 bytes      28 bytes

A probe has zeros for port and address, and more zeros behind, up to its size. An answer has the probe's number,
and where the probe came from: an IPv4 address as IPv6 writes it (::ffff:a.b.c.d). It goes where the probe came
from. No answer is larger than its probe, there is one for each, and one peer gets ECHOES_PER_S, so nobody is
helped to send more than he does.
"""

import struct
from collections import Counter, deque
from ipaddress import IPv6Address
from typing import NamedTuple

from netns.tunnel.counters import Count, Counters
from netns.tunnel.frame import PROBE_BYTES, PROBE_VNI, SEALED_BYTES, inner_header
from netns.tunnel.sessions import Endpoint
from netns.tunnel.tables import Probe, ProbeAnswer

ECHOES_PER_S = 100
"""Probes of one peer that are answered in a second. Who opens a path through two NATs sends ten."""
UNDER_WAY_MAX = 4_096
"""Probes that are waited for, and answers that nobody has fetched yet; of more the oldest are forgotten."""
WAITS_S = 5.0
"""An answer that takes longer is none."""

_PROBE, _ANSWER = 1, 2
_BODY = struct.Struct(">BxHQ16s")
assert _BODY.size == PROBE_BYTES
_PLAIN = inner_header(0, PROBE_VNI, 0, 0)


class Came(NamedTuple):
    """A probe or an answer as it was opened: whose it is, where it came from, its first PROBE_BYTES, and the
    number of its pair if it came through a relay."""

    peer: str
    source: Endpoint
    body: bytes
    pair: int = 0


class Probes:
    """Those under way, and answers that came."""

    def __init__(self, count: Counters) -> None:
        self._count = count
        self._sent_s: dict[tuple[str, int], float] = {}
        self._answers: deque[ProbeAnswer] = deque(maxlen=UNDER_WAY_MAX)
        self._second, self._echoes = 0, Counter[str]()

    def probe(self, probe: Probe, now_s: float) -> bytes:
        """What is to be sealed. It is waited for from now on."""
        self._sent_s.pop((probe.peer, probe.number), None)
        self._sent_s[probe.peer, probe.number] = now_s
        while len(self._sent_s) > UNDER_WAY_MAX:
            del self._sent_s[next(iter(self._sent_s))]
        body = _BODY.pack(_PROBE, 0, probe.number, bytes(16))
        return _PLAIN + body.ljust(probe.size_bytes - SEALED_BYTES, b"\0")

    def came(self, came: Came, now_s: float) -> bytes | None:
        """What is to be sealed and sent to where that came from; None if nothing is."""
        kind, port, number, address = _BODY.unpack(came.body)
        if kind == _PROBE:
            if not self._may_echo(came.peer, now_s):
                self._count[Count.IN_PROBES_TOO_MANY] += 1
                return None
            source = came.source[0]
            seen = IPv6Address(source if ":" in source else f"::ffff:{source}").packed
            return _PLAIN + _BODY.pack(_ANSWER, came.source[1], number, seen)
        sent_s = self._sent_s.pop((came.peer, number), None) if kind == _ANSWER else None
        if sent_s is None or now_s > sent_s + WAITS_S:
            self._count[Count.IN_UNASKED] += 1
            return None
        told = IPv6Address(address)
        text = str(told.ipv4_mapped or told)
        self._answers.append(
            ProbeAnswer(came.peer, number, now_s - sent_s, *came.source, text, port, came.pair)
        )
        return None

    def pop_answers(self) -> tuple[ProbeAnswer, ...]:
        """Those that came since, oldest first."""
        answers = tuple(self._answers)
        self._answers.clear()
        return answers

    def _may_echo(self, peer: str, now_s: float) -> bool:
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._echoes.clear()
        self._echoes[peer] += 1
        return self._echoes[peer] <= ECHOES_PER_S
