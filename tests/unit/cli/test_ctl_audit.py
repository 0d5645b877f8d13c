"""`overlayctl audit`: decisions in words, and a log that is whole or not, here and as a copy."""

import asyncio
import json
from pathlib import Path

from asked_daemon import Daemon

from overlayd.cli.audit import text_of
from protocol.policy.audit import Kind, Line
from protocol.terms.effects import Audit
from protocol.terms.ids import KeyId, PeerId

NOW = 1_000_000.0


def file_of(daemon: Daemon) -> Path:
    return next((daemon.folder / "audit").glob("from-*"))


def fill(daemon: Daemon, count: int = 3) -> None:
    """So many refusals by another site, one after another."""
    audits = [
        Audit("act", False, f"wrong-role: {n}", "pause", "demo", order=f"{n:064d}")
        for n in range(count)
    ]

    async def add() -> None:
        for number, audit in enumerate(audits):
            await daemon.host.audit_log.add([(NOW + 3600 * number, audit)])

    asyncio.run_coroutine_threadsafe(add(), daemon.loop).result(10)


def test_what_was_decided_is_shown_in_words(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("audit").stdout
    me = str(daemon.host.node.me)[:12]
    owner = daemon.host.node.host.leases.rows()[0].record.owner[:12]
    assert f"allowed order (up) demo by ams's {owner} through {me} of ams\n" in said
    assert f"allowed hold (up) demo by ams's {owner} through {me} of ams\n" in said
    assert "head" not in said
    lines = [json.loads(line) for line in daemon.ask("audit", "-o", "json").stdout.splitlines()]
    assert {"order", "head", "begun"} == {line["kind"] for line in lines}
    assert "kind: head" in daemon.ask("audit", "-o", "yaml").stdout


def test_only_the_last_or_those_since_a_moment(daemon: Daemon) -> None:
    fill(daemon)
    assert [line[-1] for line in daemon.ask("audit", "-n", 2).stdout.splitlines()] == ["1", "2"]
    since = daemon.ask("audit", "--since", "1970-01-12T15:20:00+00:00").stdout
    assert [line[-1] for line in since.splitlines()] == ["2"]
    said = daemon.ask("audit", "--since", "soon", code=2).stderr
    assert said.startswith('error: --since: "soon" is no time: write for example 2h')


def test_every_part_of_a_line_is_said() -> None:
    audit = Audit(
        "connect", False, "bad-signature: \x1b[31mno", "connect", "g", "w-1",
        owner=KeyId("a" * 64), whose="uc", via=PeerId("b" * 64), via_site="", left_out=7,
    )  # fmt: skip
    assert text_of(Line(12, "", NOW, Kind.ORDER, audit)) == (
        "1970-01-12 13:46:40 UTC     12 refused connect g/w-1 by who says to be uc's aaaaaaaaaaaa "
        "through bbbbbbbbbbbb of no known site: bad-signature: ?[31mno "
        "[7 more of that site's left out before]"
    )
    unknown = text_of(Line(1, "", NOW, Kind.ORDER, Audit("act", False, via=PeerId("b" * 64))))
    assert "refused act  by nobody known through" in unknown
    assert text_of(Line(1, "", NOW, Kind.HEALED, text="cut")).endswith("1 healed: cut")


def test_a_log_that_is_whole_and_one_that_was_changed(daemon: Daemon) -> None:
    fill(daemon)
    said = daemon.ask("audit", "--verify").stdout
    assert said.startswith("8 lines, 1 to 8, each of them as it was written\nsigned by the host up")
    assert f"its end, to keep elsewhere: {daemon.ask('audit', '--end').stdout}" in said
    path = file_of(daemon)
    path.write_bytes(path.read_bytes().replace(b"wrong-role: 1", b"wrong-role: 7"))
    failed = daemon.ask("audit", "--verify", code=1)
    assert failed.stderr == (
        "error: the log is not whole: line 5 was changed: line 6 does not follow from it\n"
    )
    report = json.loads(daemon.ask("audit", "--verify", "-o", "json", code=1).stdout)
    assert report["lines"] == 8


def test_a_copy_is_checked_with_the_hosts_key_and_with_what_was_kept(daemon: Daemon) -> None:
    fill(daemon)
    kept = daemon.ask("audit", "--end").stdout.strip()
    copy = daemon.folder / "copy"
    raw = daemon.ask("audit", "--raw").stdout
    copy.write_text(raw)
    assert raw.encode() == file_of(daemon).read_bytes()
    key = str(daemon.host.node.me)
    for whose in ((), ("--host", key), ("--host", "h1"), ("--host", "ams/h1")):
        daemon.ask("audit", "--verify", copy, *whose, "--expect", kept)
    copy.write_text("".join(raw.splitlines(keepends=True)[:-2]))
    daemon.ask("audit", "--verify", copy)
    said = daemon.ask("audit", "--verify", copy, "--expect", kept, code=1).stderr
    assert "line 8, which is known to have been there, is missing" in said
    said = daemon.ask("audit", "--verify", copy, "--host", "e" * 64, code=1).stderr
    assert "it is the log of another host" in said


def test_what_is_typed_wrongly(daemon: Daemon) -> None:
    fill(daemon)
    said = daemon.ask("audit", "some.log", code=2).stderr
    assert said == ("error: a file is only checked\n  would work: overlayctl audit --verify FILE\n")
    missing = daemon.folder / "none"
    said = daemon.ask("audit", "--verify", missing, code=2).stderr
    assert said == f"error: {missing}: No such file or directory\n"
    said = daemon.ask("audit", "--verify", "--expect", "7", code=2).stderr
    assert said.startswith('error: --expect: "7" is no end of a log\n')
    said = daemon.ask("audit", "--verify", "--host", "h9", code=2).stderr
    assert said.startswith("error: no host is known as h9\n")
