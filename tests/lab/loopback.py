"""Federations of real daemons on loopback, with machines by libvirt's test driver."""

import io
import json
import tarfile
from pathlib import Path

from federation import orders
from federation.launch import Caps, Federation, wait_for

from overlayd.ports.images import ImageInfo

SITES = ("ams", "bnl", "uc", "ams")


class Daemons(Federation):
    """Daemons on loopback, and the image that they all can use."""

    image: ImageInfo

    @property
    def names(self) -> list[str]:
        return list(self.hosts)

    def converged(self, *names: str) -> bool:
        """Whether each of these daemons has heard everything of each other one."""
        for name in names:
            rows = orders.peers(self.hosts[name])
            heard = [row.name for row in rows.values() if row.age_s >= 0]
            if any(other not in heard for other in names):
                return False
            if any(rows[other].health not in ("alive", "self") for other in names):
                return False
        return True

    def wait_converged(self) -> None:
        wait_for(lambda: self.converged(*self.names), 30, "every peer lists every peer")

    def restart(self, name: str) -> None:
        self.start(name)
        self.wait_ready(self.hosts[name])

    def left(self) -> list[str]:
        """What is held or carried anywhere."""
        rows = [(name, orders.me(host)) for name, host in self.hosts.items()]
        return [
            f"{name}: {r.holds} held, {r.carried} carried"
            for name, r in rows
            if r.holds + r.carried
        ]

    def wait_nothing_left(self, within_s: float = 30) -> None:
        try:
            wait_for(lambda: not self.left(), within_s, "nothing is held or carried")
        except RuntimeError:
            raise AssertionError(self.left()) from None

    def wait_image_known(self) -> None:
        def known() -> bool:
            return all(
                any(
                    label.digest == self.image.digest
                    for r in orders.peers(h).values()
                    for label in r.images
                )
                for h in self.hosts.values()
            )

        wait_for(known, 30, "every peer has heard of the image")


def image_file(path: Path, kernel: bytes = b"kernel") -> Path:
    """An image nothing could boot, which libvirt's test driver does not mind."""
    manifest = {
        "name": "guest",
        "architecture": "x86_64",
        "kernel": "vmlinuz",
        "initrd": "initrd.img",
        "cmdline": "",
        "format": 1,
    }
    parts = {"image.json": json.dumps(manifest).encode(), "vmlinuz": kernel, "initrd.img": b"i"}
    with tarfile.open(path, "w") as archive:
        for part, content in parts.items():
            member = tarfile.TarInfo(part)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def make_daemons(folder: Path, sites: tuple[str, ...], uri: str = "test:///default") -> Daemons:
    """Daemons that are enrolled, but not started."""
    daemons = Daemons(folder, uri=uri, caps=Caps(cpus="2", memory="2G", disk="1G"))
    daemons.enrol_loopback(sites)
    return daemons
