"""Certificates of real daemons while they run: revoked, ended, renewed."""

import re
import signal
from pathlib import Path

from federation import orders
from federation.launch import Host, free_endpoint, wait_for
from loopback import Daemons, make_daemons
from typer.testing import CliRunner

from overlayd.adapters.credentials import enrol_host
from overlayd.cli.main import app

SOON_DAYS = 12.0 / 86400.0


def offline(*words: str | Path) -> str:
    """overlayctl where the keys are."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def sees(host: Host, name: str) -> bool:
    row = orders.peers(host).get(name)
    return row is not None and row.health in ("alive", "self") and row.age_s >= 0


def serial_of(host: Host, name: str) -> str:
    row = orders.peers(host).get(name)
    return row.serial if row is not None else ""


def faults(host: Host, reason: str) -> int:
    return orders.me(host).faults.get(reason, 0)


def revoked(daemons: Daemons, site: str, name: str, file: Path, peer: str) -> str:
    """A host's certificate, by its site's key, published at some peer."""
    offline("site", "revoke", daemons.identity(site), name, "--reason", "sold", "--output", file)
    said = daemons.ctl(peer, "revoke", str(file))
    assert said.returncode == 0, said.stderr
    return said.stdout


def status(daemons: Daemons, name: str) -> str:
    """The screen of `overlayctl status`."""
    return daemons.ctl(name, "status").stdout


def test_a_revoked_host_is_out_everywhere_and_stays_out(folder: Path) -> None:
    with make_daemons(folder, ("ams", "bnl", "bnl")) as daemons:
        daemons.start_all()
        daemons.wait_converged()
        h1, h2, h3 = daemons.hosts.values()
        said = revoked(daemons, "bnl", "h3", folder / "h3.revocation", "h1")
        assert "published: host bnl/h3" in said
        for host in (h1, h2):
            wait_for(lambda host=host: not sees(host, "h3"), 10, f"{host.name} expels h3")
        wait_for(lambda: not sees(h3, "h1") and not sees(h3, "h2"), 20, "h3 is alone")
        wait_for(lambda: faults(h1, "hello-revoked") > 0, 30, "h3 tries, and is refused")
        revoked_text = "this host's certificate was revoked on "
        wait_for(lambda: revoked_text in status(daemons, "h3"), 30, "h3 hears that it was revoked")
        assert "by its site (sold)" in status(daemons, "h3")
        assert "host enrol" in status(daemons, "h3")
        daemons.kill("h3")
        daemons.restart("h3")
        assert revoked_text in status(daemons, "h3"), "also before it has met anybody again"
        daemons.kill("h2")
        daemons.restart("h2")
        wait_for(lambda: sees(h2, "h1") and sees(h1, "h2"), 20, "h2 is back")
        daemons.kill("h3")
        config, known = h3.folder / "overlayd.toml", orders.me(h2)
        joins = f'join = ["{known.peer}@{known.address}"]'
        config.write_text(re.sub(r"join = .*", joins, config.read_text()))
        daemons.restart("h3")
        wait_for(lambda: faults(h2, "hello-revoked") > 0, 30, "h2 has not forgotten")
        assert not sees(h2, "h3")
        again = daemons.ctl("h2", "revoke", str(folder / "h3.revocation"))
        assert "this peer knew" in again.stdout, again.stderr
        offline("host", "enrol", daemons.identity("bnl"), "h3", "--output", folder / "new")
        daemons.kill("h3")
        keys = f"{daemons.identity('bnl')}/hosts/h3"
        config.write_text(config.read_text().replace(keys, str(folder / "new")))
        daemons.restart("h3")
        wait_for(lambda: sees(h1, "h3") and sees(h2, "h3"), 20, "enrolled again, it belongs again")


def test_a_certificate_that_ends_ends_its_connections_and_is_renewed_while_running(
    folder: Path,
) -> None:
    with make_daemons(folder, ("ams", "bnl")) as daemons:
        daemons.start_all()
        h1, site = daemons.hosts["h1"], daemons.identity("bnl")
        host = daemons.enrol("short", "bnl", free_endpoint("127.77.0.9"))
        short = enrol_host(site, "short", days=SOON_DAYS, output=folder / "short")
        config = host.folder / "overlayd.toml"
        config.write_text(config.read_text().replace(f"{site}/hosts/short", str(short)))
        daemons.start("short")
        wait_for(lambda: sees(h1, "short"), 10, "h1 sees it while its certificate lasts")
        before = serial_of(h1, "short")
        wait_for(lambda: not sees(h1, "short"), 30, "its certificate ends")
        offline("host", "renew", site, "short", "--certificate", short / "host.cert")
        assert host.process is not None
        host.process.send_signal(signal.SIGHUP)
        wait_for(lambda: sees(h1, "short"), 60, "h1 sees it again")
        assert serial_of(h1, "short") not in ("", before)
        assert host.process.poll() is None
