"""What it takes to bring an image to a host from one peer and from three, and a second version of it.

Daemons on loopback with libvirt's test driver, so both ends and the disk share this machine. Beside it the
same bytes go through one TCP connection and are hashed and written, which is what a copy by hand with a
checksum costs, and through scp, where there is an sshd. What peers feel is how long events wait in their
inboxes (the median and the 99th percentile of the last ones).
"""

import argparse
import hashlib
import io
import json
import os
import re
import socket
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import msgspec
from federation import orders
from federation.launch import Caps, Federation, Host, wait_for
from rich.console import Console
from rich.table import Table

from benches import scps
from overlayd.ports.images import ImageInfo
from protocol.grid.model import PlacementSpec
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

SITES = ("s1", "s2", "s3", "s4")
CHUNK_BYTES = 1 << 20
CHANGED_EVERY = 20


class Bench:
    """Four daemons, each at a site of its own. The first is given every image."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        caps = Caps(cpus="2", memory="2G", disk="8G")
        self.federation = Federation(folder, uri="test:///default", caps=caps)
        self.federation.enrol_loopback(SITES)
        self.kernel = bytearray(os.urandom(megabytes << 20))

    def __enter__(self) -> "Bench":
        self.federation.start_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.federation.stop_all()

    @property
    def first(self) -> Host:
        return self.federation.hosts["h1"]

    def add(self, name: str) -> ImageInfo:
        """Makes an image of the kernel as it is now, and gives it to the first."""
        file = self.folder / "image.tar"
        manifest = {
            "name": name,
            "architecture": "x86_64",
            "kernel": "k",
            "initrd": "i",
            "cmdline": "",
        }
        parts = {
            "image.json": json.dumps({**manifest, "format": 1}).encode(),
            "k": bytes(self.kernel),
            "i": b"i",
        }
        with tarfile.open(file, "w") as archive:
            for part, content in parts.items():
                member = tarfile.TarInfo(part)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return orders.add_image(self.first, file, name)

    def change(self) -> None:
        """A second version: something in each twentieth chunk."""
        for start in range(0, len(self.kernel), CHANGED_EVERY * CHUNK_BYTES):
            self.kernel[start + CHUNK_BYTES // 2] ^= 1

    def fetched(self, image: ImageInfo, number: int, sources: int) -> dict[str, float]:
        """Has a host use the image once so many are known to have it. Answers what its daemon says of it."""
        host, site = self.federation.hosts[f"h{number}"], SITES[number - 1]
        wait_for(lambda: self._known(host, image) >= sources, 30, "the image is known")
        spec = orders.spec(f"f{number}", image, 1)
        spec = msgspec.structs.replace(spec, placement=PlacementSpec(sites=(site,)))
        admin = self.federation.identity("s1")
        for order in (
            orders.up(admin, spec, self.first),
            orders.signed(admin, Action.DOWN, spec.name),
        ):
            ended = orders.answer(self.first, orders.give(self.first, order), within_s=600)
            if ended.state is not RequestState.DONE:
                raise RuntimeError("; ".join(ended.answer))
        lines = [line for line in host.log.read_bytes().splitlines() if b'"image.fetched"' in line]
        said = msgspec.json.decode(lines[-1], type=dict[str, float | str])
        return {key: value for key, value in said.items() if isinstance(value, (int, float))}

    def inbox(self, number: int) -> str:
        """How long events waited at a host lately: the median and the 99th percentile, in milliseconds."""
        text = self.federation.hosts[f"h{number}"].ask("GET", "metrics").text
        found = dict(re.findall(r'overlayd_inbox_wait_seconds\{quantile="([0-9.]+)"\} (\S+)', text))
        return " / ".join(f"{1e3 * float(found[q]):.1f}" for q in ("0.5", "0.99")) + " ms"

    def _known(self, host: Host, image: ImageInfo) -> int:
        rows = orders.peers(host).values()
        return sum(any(label.digest == image.digest for label in row.images) for row in rows)


def copied(source: Path, target: Path) -> float:
    """Seconds for a file through one TCP connection, hashed and written."""
    listener = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        connection, _ = listener.accept()
        with connection, source.open("rb") as file:
            connection.sendfile(file)

    sender = threading.Thread(target=send)
    sender.start()
    began_s, made = time.monotonic(), hashlib.sha256()
    with socket.create_connection(listener.getsockname()) as connection, target.open("wb") as out:
        while data := connection.recv(1 << 20):
            made.update(data)
            out.write(data)
        out.flush()
        os.fsync(out.fileno())
    sender.join()
    listener.close()
    return time.monotonic() - began_s


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench fetch")
    parser.add_argument("--megabytes", type=int, default=512, help="how large the image is")
    options = parser.parse_args()
    title = f"an image of {options.megabytes} MiB"
    table = Table("what", "takes", "rate", "fetched", "copied here", "twice", "inbox", title=title)
    folder = tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp")
    with folder as name, Bench(Path(name), options.megabytes) as bench:

        def row(what: str, image: ImageInfo, number: int, sources: int) -> None:
            said = bench.fetched(image, number, sources)
            rate = image.facts.content_bytes / said["seconds"] / (1 << 20)
            moved = [
                f"{said[key] / (1 << 20):.1f} MiB"
                for key in ("fetched_bytes", "copied_bytes", "twice_bytes")
            ]
            table.add_row(
                what, f"{said['seconds']:.2f} s", f"{rate:.0f} MiB/s", *moved, bench.inbox(number)
            )

        image = bench.add("first")
        row("from one peer", image, 2, 1)
        row("from two", image, 3, 2)
        row("from three", image, 4, 3)
        bench.change()
        row("a second version, 5 % of chunks changed", bench.add("second"), 4, 1)
        source, target = bench.folder / "image.tar", bench.folder / "copy"
        beside = {"one TCP connection, SHA-256": copied(source, target)}
        if scps.installed():
            beside["scp"] = scps.copied(source, target, bench.folder)
        for what, took_s in beside.items():
            table.add_row(what, f"{took_s:.2f} s", f"{options.megabytes / took_s:.0f} MiB/s")
    Console(width=140).print(table)
    if not scps.installed():
        print("scp was not measured: there is no sshd here (apt-get install openssh-server)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
