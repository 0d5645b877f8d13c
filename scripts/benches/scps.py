"""A file through scp, on loopback: an sshd of our own, with keys of its own, for as long as the copy takes."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

_PATH = f"{os.environ['PATH']}:/usr/sbin"
_BEGINS_WITHIN_S = 10.0


def installed() -> bool:
    """Whether there is an sshd on this machine (apt-get install openssh-server)."""
    return shutil.which("sshd", path=_PATH) is not None


def copied(source: Path, target: Path, folder: Path) -> float:
    """Seconds until the file is at `target` and on disk. Keys and settings go to `folder`. Raises
    CalledProcessError if scp fails."""
    sshd = _tool("sshd")
    for key in ("host", "user"):
        subprocess.run(
            [_tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True
        )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = folder / "sshd_config"
    settings.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder / 'host'}\nStrictModes no\n"
        f"AuthorizedKeysFile {folder / 'user.pub'}\nPidFile none\nUsePAM no\n"
        "Subsystem sftp internal-sftp\n"
    )
    # It wants this folder to be there, and only its service makes it.
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([sshd, "-D", "-f", settings], stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        began_s = time.monotonic()
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        flags = [argument for option in options for argument in ("-o", option)]
        where = f"root@127.0.0.1:{target}"
        subprocess.run(
            [_tool("scp"), "-q", "-P", str(port), "-i", folder / "user", *flags, source, where],
            check=True,
        )
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return time.monotonic() - began_s
    finally:
        server.terminate()
        server.wait()


def _tool(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None, "ask installed() first"
    return found


def _wait(port: int) -> None:
    until_s = time.monotonic() + _BEGINS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)
