"""Two daemons with real hypervisors, each in a namespace of its own, for tests of what real guests do."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from federation import orders
from federation.launch import Caps, Federation, wait_for

from netns.lab.lab import Lab
from netns.lab.topology import Topology


@contextmanager
def two_hosts(
    topology: Topology, caps: Caps, network: str = "", uri: str = "qemu:///embed"
) -> Iterator[Federation]:
    """Two hosts that list each other when the block begins. When it ends, nothing of them stays.

    `network`: lines of [network] in their configurations.
    """
    folder = Path(tempfile.mkdtemp(prefix="ovl", dir="/tmp"))
    lab = Lab(topology)
    made = Federation(folder, uri, caps=caps, network=network)
    try:
        lab.down(force=True)
        lab.up()
        made.enrol_lab(lab)
        with made:
            made.start_all()
            wait_for(lambda: _converged(made), 60, "both peers list each other")
            yield made
    finally:
        lab.down(force=True)
        shutil.rmtree(folder)


def _converged(federation: Federation) -> bool:
    rows = [orders.peers(host) for host in federation.hosts.values()]
    return all(len(r) == 2 and all(row.age_s >= 0 for row in r.values()) for r in rows)
