"""RecordGiven and renewing: files made offline, published at a peer, refused in words."""

import time
from pathlib import Path

import pytest
from asked_daemon import Daemon
from typer.testing import CliRunner

from overlayd.adapters.credentials import (
    add_site,
    create_federation,
    enrol_host,
    load_host,
    load_site,
    read_chain,
    renew_host,
)
from overlayd.adapters.revocation_files import read_revocation_file
from overlayd.cli.main import app
from protocol.trust.certificate import read_certificate
from protocol.trust.record import read_record
from protocol.trust.revocation import Revocation
from protocol.wire.codec import decode

DAY_S = 86400.0


def run(*words: str | Path, ok: bool = True) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert (result.exit_code == 0) is ok, result.output
    return " ".join(result.output.split())


@pytest.fixture
def federation(tmp_path: Path) -> Path:
    folder = tmp_path / "f"
    create_federation(folder)
    for site in ("ams", "uc"):
        enrol_host(add_site(folder, site), "h1")
    return folder


def serial(folder: Path, stem: str) -> str:
    return read_certificate(read_chain(folder / f"{stem}.cert")[0]).serial


def test_a_host_is_renewed_with_the_key_it_has(federation: Path) -> None:
    folder = federation / "sites" / "ams" / "hosts" / "h1"
    before, was = load_host(folder), serial(folder, "host")
    said = run("host", "renew", "ams", "h1", "-f", federation, "--days", "5")
    assert f"wrote {folder / 'host.cert'}" in said
    after = load_host(folder)
    assert after.identity.key == before.identity.key
    assert serial(folder, "host") != was
    assert after.principal.expires_s < before.principal.expires_s - 80 * DAY_S


def test_a_site_is_renewed_and_its_hosts_after_it(federation: Path) -> None:
    folder = federation / "sites" / "ams"
    was = serial(folder, "site")
    run("site", "renew", "ams", "-f", federation)
    assert serial(folder, "site") != was
    load_site(folder)
    run("host", "renew", "ams", "h1", "-f", federation, "--output", federation / "h1.cert")
    chain = read_chain(federation / "h1.cert")
    assert read_certificate(chain[1]).serial == serial(folder, "site")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("host", "renew", "ams", "h9"), "cannot be read"),
        (("host", "renew", "nowhere", "h1"), "there is no site"),
        (("site", "renew", "fra"), "cannot be read"),
        (("site", "revoke", "ams", "h9"), "--serial"),
        (("site", "revoke", "ams", "h9", "--serial", "XY"), "hexadecimal digits"),
        (("site", "revoke", "ams", "h1", "--reason", "x" * 300), "at most 200"),
        (("federation", "revoke", "fra"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(federation: Path, words: tuple[str, ...], says: str) -> None:
    assert says in run(*words, "-f", federation, ok=False)


def test_a_certificate_of_another_is_not_taken_for_it(federation: Path) -> None:
    theirs = federation / "sites" / "uc" / "hosts" / "h1" / "host.cert"
    for command in ("renew", "revoke"):
        group = "host" if command == "renew" else "site"
        said = run(group, command, "ams", "h1", "-f", federation, "--certificate", theirs, ok=False)
        assert "cannot be" in said
    said = run(
        "federation", "revoke", "ams/h1", "-f", federation, "--certificate", theirs, ok=False
    )
    assert "is of uc/h1, not ams/h1" in said


def test_a_revocation_is_published_at_a_peer(daemon: Daemon) -> None:
    federation = daemon.folder / "federation"
    enrol_host(daemon.host.site_dir, "h2")
    said = run("site", "revoke", "ams", "h2", "-f", federation, "--reason", "stolen")
    path = next((daemon.host.site_dir / "revocations").iterdir())
    assert f"overlayctl revoke {path}" in said
    assert "host ams/h2, serial" in daemon.ask("revoke", path).output
    assert "this peer knew" in daemon.ask("revoke", path).output
    events = daemon.ask("events").output
    assert "certificate.revoked" in events
    assert "stolen" in events


def test_the_federation_revokes_sites_and_hosts(daemon: Daemon) -> None:
    federation = daemon.folder / "federation"
    enrol_host(daemon.host.other_site_dir, "h7")
    for name in ("uc/h7", "uc"):
        path = daemon.folder / "r" / name.replace("/", "-")
        run("federation", "revoke", name, "-f", federation, "--output", path)
        assert name in daemon.ask("revoke", path).output


def test_a_revocation_of_another_federation_is_refused_in_words(
    daemon: Daemon, federation: Path
) -> None:
    run("site", "revoke", "ams", "h1", "-f", federation, "--output", federation / "r")
    assert "wrong-federation" in daemon.ask("revoke", federation / "r", code=1).output
    (federation / "nothing").write_text("hello")
    assert "holds no revocation" in daemon.ask("revoke", federation / "nothing", code=1).output
    text = (federation / "r").read_text()
    (federation / "cut").write_text(text.replace("\n-----END", "!\n-----END"))
    assert "damaged" in daemon.ask("revoke", federation / "cut", code=1).output


def test_a_serial_is_enough(federation: Path) -> None:
    path = federation / "r"
    words = ("--serial", "0123456789abcdef", "--output", path)
    assert "serial 0123456789abcdef" in run("site", "revoke", "ams", "h5", "-f", federation, *words)
    assert read_revocation_file(path).payload


@pytest.mark.parametrize(
    "how", ["its folder", "elsewhere", "serial", "federation", "renewed since"]
)
def test_a_key_that_was_revoked_is_not_renewed(federation: Path, how: str) -> None:
    cert = federation / "sites" / "ams" / "hosts" / "h1" / "host.cert"
    before = cert.read_text()
    match how:
        case "elsewhere":
            run("site", "revoke", "ams", "h1", "-f", federation, "--output", federation / "r")
        case "serial":
            by = ("--serial", serial(cert.parent, "host"), "--output", federation / "r")
            run("site", "revoke", "ams", "h1", "-f", federation, *by)
        case "federation":
            run("federation", "revoke", "ams/h1", "-f", federation, "--reason", "stolen")
        case _:
            run("site", "revoke", "ams", "h1", "-f", federation, "--reason", "stolen")
    if how == "renewed since":
        # By somebody with the key who did not know: another serial, but the same stolen key.
        renew_host(federation / "sites" / "ams", "h1")
        before = cert.read_text()
    said = run("host", "renew", "ams", "h1", "-f", federation, ok=False)
    assert "of host ams/h1 was revoked on 20" in said
    assert "a revoked key is not renewed; make a new key: overlayctl host enrol" in said
    assert cert.read_text() == before
    run("host", "enrol", "ams", "h1", "-f", federation, "--output", federation / "new")
    run(
        "host",
        "renew",
        "ams",
        "h1",
        "-f",
        federation,
        "--certificate",
        federation / "new/host.cert",
    )


def test_a_site_that_was_revoked_is_not_renewed_either(federation: Path) -> None:
    run("federation", "revoke", "ams", "-f", federation, "--reason", "key lost")
    said = run("site", "renew", "ams", "-f", federation, ok=False)
    assert "(key lost)" in said
    assert "overlayctl site add ams --output" in said
    run("site", "renew", "uc", "-f", federation)


def test_what_is_no_revocation_of_this_federation_keeps_nobody_from_renewing(
    federation: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    create_federation(other)
    enrol_host(add_site(other, "ams"), "h1")
    folder = federation / "sites" / "ams" / "revocations"
    folder.mkdir()
    run("site", "revoke", "ams", "h1", "-f", other, "--output", folder / "theirs.revocation")
    (folder / "nothing.revocation").write_text("hello")
    run("host", "renew", "ams", "h1", "-f", federation)


def test_an_older_certificate_that_ends_later_goes_with_the_one_that_is_revoked(
    federation: Path,
) -> None:
    run("host", "renew", "ams", "h1", "-f", federation, "--days", "5")
    run("site", "revoke", "ams", "h1", "-f", federation, "--output", federation / "r")
    record = read_record(read_revocation_file(federation / "r"))
    revocation = decode(record.body, Revocation)
    assert revocation.until_s > time.time() + 89 * DAY_S
    assert record.ttl_s > 89 * DAY_S
