"""What a datagram that no peer has sent costs a forwarder: cpu of its process, with the kernel's part."""

import socket
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from federation.launch import cpu_s

from benches.dataplane_carriers import KEYS, SEALED_PORT, sealed
from benches.dataplane_flows import beside
from benches.dataplane_hosts import HOSTS, UNDERLAY, Hosts
from netns.tunnel import client
from netns.tunnel.counters import Count
from netns.tunnel.frame import header

WIRE_BYTES = 1_400
INDEX = 2  # of the second host's session
FLOODS = {
    "garbage": Count.IN_NOT_SEALED,
    "of no session": Count.IN_UNKNOWN_SESSION,
    "that do not open": Count.IN_FORGED,
    "replayed": Count.IN_REPLAYED,
}
"""What is sent, and what it is counted as."""


def costs_us(native: bool, for_s: float) -> dict[str, float]:
    """Microseconds of the second host's forwarder for each datagram, by flood."""
    with (
        tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp") as folder,
        Hosts(Path(folder)) as hosts,
    ):
        sealed(hosts, native)
        run_dir = hosts.folder / "run1"
        return {flood: _cost_us(run_dir, flood, for_s) for flood in FLOODS}


def _cost_us(run_dir: Path, flood: str, for_s: float) -> float:
    reason, before = FLOODS[flood].value, client.state(run_dir)
    began_s = cpu_s(before.pid)
    with beside(HOSTS[0], lambda: _flood(flood)):
        time.sleep(for_s)
    dropped = client.state(run_dir).counters[reason] - before.counters[reason]
    return (cpu_s(before.pid) - began_s) * 1e6 / max(dropped, 1)


def _flood(flood: str) -> None:
    """Sends without end."""
    head, body = header(INDEX, 1 << 20), bytes(WIRE_BYTES)
    datagram = {
        "garbage": bytes([255]) * WIRE_BYTES,
        "of no session": header(INDEX + 97, 0) + body,
        "that do not open": head + body,
        "replayed": header(INDEX, 0)
        + AESGCM(KEYS[0]).encrypt(header(INDEX, 0)[4:], body, header(INDEX, 0)),
    }[flood]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.connect((UNDERLAY[1], SEALED_PORT))
        while True:
            handle.send(datagram)
