"""Metrics in Prometheus's text format, read from the peer's view when somebody asks."""

from collections import Counter
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from overlayd.ports.transport import Transport
from protocol.node.snapshot import PeerView


def render(
    view: PeerView,
    transport: Transport,
    shell: Counter[str],
    waits_s: dict[str, float],
    now: float,
) -> bytes:
    """All metrics at that time, Unix seconds, as text. `waits_s` is by quantile."""
    registry = CollectorRegistry()

    def gauge(name: str, help_: str, value: float) -> None:
        Gauge(f"overlayd_{name}", help_, registry=registry).set(value)

    me = view.this_peer()
    gauge("peers_known", "Peers this one has heard of", me.known)
    gauge("neighbours", "Peers in the active view", me.neighbours)
    gauge("directory_records", "Records in the directory", me.records)
    gauge("holds", "Grids held for, not yet decided", me.holds)
    gauge("grids_carried", "Grids this host carries part of", me.carried)
    gauge("messages_without_connection", "Messages that found no connection", me.dropped)
    gauge("quarantined", "Peers refused for their faults", me.quarantined)
    found = view.status(now)
    gauge("joined", "1 if it has the overlay it is to join", float(found.is_joined))
    gauge("problems", "What `overlayctl status` says is wrong", len(found.problems))
    free = view.free
    gauge("free_cpus", "Cpus not promised", free.cpus_milli / 1000)
    gauge("free_memory_bytes", "Memory not promised", free.memory_bytes)
    gauge("free_disk_bytes", "Disk not promised", free.disk_bytes)
    gauge("free_network_bits_s", "Rate of networks not promised", free.network_bits_s)
    gauge("free_disk_bytes_s", "Rate of disks not promised", free.disk_bytes_s)
    gauge("free_disk_operations_s", "Operations of disks not promised", free.disk_operations_s)
    _labelled(registry, "faults", "What peers did wrong", "reason", me.faults)
    what = "Passed on for peers that cannot reach each other, and what was dropped"
    _labelled(registry, "relayed", what, "what", me.relayed)
    _labelled(registry, "refused", "What the transport turned away", "reason", transport.refused)
    _labelled(registry, "shell", "What the shell dropped or failed at", "what", shell)
    what = "How long events waited for the node in the last half minute"
    _labelled(registry, "inbox_wait_seconds", what, "quantile", waits_s)
    traffic = list(transport.traffic.values())
    gauge("bytes_in", "Bytes received from peers", sum(t.bytes_in for t in traffic))
    gauge("bytes_out", "Bytes sent to peers", sum(t.bytes_out for t in traffic))
    return generate_latest(registry)


def _labelled(
    registry: CollectorRegistry, name: str, help_: str, label: str, values: Mapping[str, float]
) -> None:
    gauge = Gauge(f"overlayd_{name}", help_, [label], registry=registry)
    for key, value in values.items():
        gauge.labels(key).set(value)
