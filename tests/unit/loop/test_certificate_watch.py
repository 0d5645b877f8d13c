"""A replaced certificate is taken up. One that will not do is left, and people are told."""

import os
from pathlib import Path

import pytest

from overlayd.adapters.credentials import (
    add_site,
    create_federation,
    enrol_host,
    load_host,
    renew_host,
)
from overlayd.loop.certificate_watch import CertificateWatch
from protocol.node.events import Event, Renewed


class Host:
    """A host's files, and what is told of them."""

    def __init__(self, folder: Path) -> None:
        create_federation(folder / "federation")
        self.site = add_site(folder / "federation", "ams")
        self.keys = enrol_host(self.site, "h1")
        self.told: list[Event] = []
        self.watch = CertificateWatch(
            self.keys / "host.key",
            self.keys / "host.cert",
            self.keys / "federation.pub",
            load_host(self.keys).chain,
            self.told.append,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_an_untouched_file_is_not_told(host: Host) -> None:
    host.watch.look()
    host.watch.look(asked=True)
    assert host.told == []


def test_a_replaced_one_is_told_once(host: Host) -> None:
    renew_host(host.site, "h1")
    host.watch.look()
    host.watch.look()
    host.watch.look(asked=True)
    assert host.told == [Renewed(load_host(host.keys).chain)]


def test_a_damaged_one_is_counted_and_read_again_when_it_changes(host: Host) -> None:
    path = host.keys / "host.cert"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    host.watch.look()
    path.unlink()
    host.watch.look()
    host.watch.look()
    assert host.told == []
    assert host.watch.counts == {"certificate-not-taken-up": 2}
    path.write_bytes(good)
    os.utime(path, (1, 1))
    renew_host(host.site, "h1")
    host.watch.look()
    assert len(host.told) == 1
