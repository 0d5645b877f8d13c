"""Attachments on a disk: whole or not there, private, bounded, and the same after a restart."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from overlayd.adapters import attachments as module
from overlayd.adapters.attachments import DirectoryAttachments
from overlayd.ports.attachments import AttachmentError
from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.terms.ids import digest_of

KEY, OTHER = "0123456789abcdef0123", "quote-0123456789ab"
ONE, TWO = b"#!/bin/sh\n", b"#cloud-config\n"


async def test_what_is_kept_is_there_by_its_digest_and_its_key(tmp_path: Path) -> None:
    kept = DirectoryAttachments(tmp_path / "a")
    await kept.keep(KEY, (ONE, TWO, ONE))
    assert await kept.read(KEY, digest_of(ONE)) == ONE
    assert kept.kept() == {KEY: (digest_of(ONE), digest_of(TWO))}
    assert await kept.read(OTHER, digest_of(ONE)) is None
    assert not kept.has(OTHER, digest_of(ONE)), "another order that names it is another reader"
    assert await kept.read(KEY, digest_of(b"else")) is None


async def test_it_is_there_after_a_restart_and_only_root_can_read_it(tmp_path: Path) -> None:
    await DirectoryAttachments(tmp_path / "a").keep(KEY, (ONE,))
    again = DirectoryAttachments(tmp_path / "a")
    assert await again.read(KEY, digest_of(ONE)) == ONE
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "a", tmp_path / "a" / KEY, tmp_path / "a" / KEY / digest_of(ONE))
    }
    assert list(modes.values()) == [0o700, 0o700, 0o600]


async def test_a_file_cut_short_by_a_death_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = DirectoryAttachments(tmp_path / "a")

    def dies(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", dies)
        with pytest.raises(AttachmentError, match="cannot be kept on this host: Input/output"):
            await kept.keep(KEY, (ONE,))
    assert not kept.has(KEY, digest_of(ONE))
    cut = tmp_path / "a" / KEY / f"{digest_of(TWO)}.new"
    cut.write_bytes(TWO[:3])
    again = DirectoryAttachments(tmp_path / "a")
    assert again.kept().get(KEY, ()) == ()
    assert not cut.exists()
    await again.keep(KEY, (ONE,))
    assert await again.read(KEY, digest_of(ONE)) == ONE


async def test_a_damaged_file_is_not_there_and_can_be_had_again(tmp_path: Path) -> None:
    kept = DirectoryAttachments(tmp_path / "a")
    await kept.keep(KEY, (ONE,))
    (tmp_path / "a" / KEY / digest_of(ONE)).write_bytes(b"something else")
    assert await kept.read(KEY, digest_of(ONE)) is None
    assert not kept.has(KEY, digest_of(ONE))
    await kept.keep(KEY, (ONE,))
    assert await kept.read(KEY, digest_of(ONE)) == ONE


async def test_what_is_removed_is_gone_and_nothing_else(tmp_path: Path) -> None:
    kept = DirectoryAttachments(tmp_path / "a")
    await kept.keep(KEY, (ONE,))
    await kept.keep(OTHER, (ONE,))
    await kept.remove(KEY)
    await kept.remove(KEY)
    assert kept.kept() == {OTHER: (digest_of(ONE),)}
    assert os.listdir(tmp_path / "a") == [OTHER]


async def test_what_is_too_large_or_too_much_is_refused_whole(tmp_path: Path) -> None:
    kept = DirectoryAttachments(tmp_path / "a", most_bytes=100)
    with pytest.raises(AttachmentError, match="at most 1 MiB are kept"):
        await kept.keep(KEY, (ONE, bytes(ATTACHMENT_BYTES_MAX + 1)))
    await kept.keep(KEY, (bytes(90),))
    with pytest.raises(AttachmentError, match="no room for 14 B of files"):
        await kept.keep(OTHER, (TWO,))
    await kept.keep(OTHER, (ONE,))
    assert kept.has(OTHER, digest_of(ONE))
    assert not kept.has(KEY, digest_of(ONE))


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "A", "x" * 65])
async def test_a_key_is_never_a_path(tmp_path: Path, key: str) -> None:
    kept = DirectoryAttachments(tmp_path / "a")
    with pytest.raises(AttachmentError, match="nothing that files are kept by"):
        await kept.keep(key, (ONE,))
    assert await kept.read(key, "../x") is None


async def test_two_at_once_are_both_kept(tmp_path: Path) -> None:
    kept = DirectoryAttachments(tmp_path / "a")
    await asyncio.gather(kept.keep(KEY, (ONE,)), kept.keep(KEY, (TWO,)), kept.keep(OTHER, (TWO,)))
    assert set(kept.kept()[KEY]) == {digest_of(ONE), digest_of(TWO)}
