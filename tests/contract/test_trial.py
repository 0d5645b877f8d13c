"""The trial of KVM: what an image's kernel would find itself in. Root tries, and a script stands for QEMU."""

import os
from pathlib import Path

import pytest

from overlayd.adapters.libvirt import trial
from overlayd.adapters.libvirt.trial import group_for_kvm, kvm_verdict, try_kvm
from overlayd.adapters.libvirt.users import User

NOBODY = User(0x70000001, 0x70000001)
EMULATOR = """\
#!/bin/sh
cat {secret} && echo it reads the secret
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\t\n' '  '
while [ $# -gt 1 ]; do
    case $1 in -kernel | -initrd) cat "$2" ;; -sandbox) echo "sandbox $2" ;; esac
    shift
done
{more}
"""


@pytest.fixture
def parts(tmp_path: Path) -> tuple[str, str]:
    """A kernel and an initrd in a folder that is closed to others."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("kernel", "initrd", "secret"):
        (closed / name).write_text(f"the {name}\n")
        (closed / name).chmod(0o400)
    return str(closed / "kernel"), str(closed / "initrd")


def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    script = tmp_path / "emulator"
    script.write_text(EMULATOR.format(secret=tmp_path / "closed" / "secret", more=more))
    script.chmod(0o755)
    monkeypatch.setattr(trial, "EMULATOR", str(script))


def test_a_kernel_of_anybodys_finds_itself_without_powers(
    tmp_path: Path, parts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, monkeypatch, f"tr -d x </dev/null >{tmp_path}/never && echo it writes here")
    said = b""
    listen = trial._listen

    def listened(process: object, deadline: float) -> tuple[bytes, bool]:
        nonlocal said
        said, ended = listen(process, deadline)  # type: ignore[arg-type]
        return said, ended

    monkeypatch.setattr(trial, "_listen", listened)
    works, why = try_kvm(*parts, 10.0, NOBODY)
    assert not works
    assert why.startswith("emulated: a trial guest under KVM died")
    text = said.decode()
    none = "0" * 16
    assert (
        f"Uid: {' '.join([str(NOBODY.uid)] * 4)} CapEff: {none} CapBnd: {none} NoNewPrivs: 1"
        in text
    )
    assert "the kernel\n" in text
    assert "the initrd\n" in text
    assert "sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny" in text
    assert "it reads" not in text
    assert "it writes" not in text


def test_one_that_runs_its_init_is_proof_and_the_verdict_is_kept(
    tmp_path: Path, parts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "DEVICE", os.devnull)
    emulator(tmp_path, monkeypatch, "echo Run /init as init process; exec sleep 60")
    works, why = kvm_verdict(tmp_path / "cache", lambda: parts, 10.0, NOBODY)
    assert works, why
    monkeypatch.setattr(trial, "try_kvm", lambda *_: (False, "tried again"))
    assert kvm_verdict(tmp_path / "cache", lambda: parts, 10.0, NOBODY) == (works, why)
    as_root = kvm_verdict(tmp_path / "cache", lambda: parts, 10.0, User(0, 0))
    assert as_root == (False, "tried again")


def test_guests_have_the_group_that_kvm_needs_and_never_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(trial, "DEVICE", str(device))
    for mode, gid, needed in ((0o660, 108, 108), (0o666, 108, None), (0o660, 0, None)):
        os.chown(device, 0, gid)
        device.chmod(mode)
        assert group_for_kvm() == needed
