"""What a grid could leave behind on a host, looked for everywhere."""

import subprocess
from pathlib import Path

from federation.launch import Host

_OURS = ("ovb-", "ovx-", "ovs-", "ovv-", "ovt-", "ovw-")
_OF_THE_HOST = ".wireguard/key"
"""Its own key, whatever grids it carries."""


def of_host(host: Host) -> list[str]:
    """Processes, links, rules, namespaces and files of any grid on one host, each as a line for people."""
    found = [f"process {line}" for line in _processes(host)]
    links = _output(host, "ip", "-o", "link").splitlines()
    found += [
        f"link {line.split(':')[1].strip()}"
        for line in links
        if line.split(":")[1].strip().startswith(_OURS)
    ]
    rules = _output(host, "nft", "list", "tables").splitlines()
    found += [f"rules {line}" for line in rules if " ovl_" in line or " ovw_" in line]
    state = host.folder / "state"
    for folder in ("volumes", "roots", "seeds", "console", "networks", "attachments"):
        found += [f"file {path}" for path in _files(state / folder)]
    return found


def of_machine(tags: list[str]) -> list[str]:
    """Namespaces and mounts of any grid on this machine. `tags` are the hosts' short tags."""
    found = []
    for path in sorted(Path("/run/netns").glob("ovl-*")):
        if path.name.split("-")[1] in tags:
            found.append(f"namespace {path.name}")
    for line in Path("/proc/mounts").read_text().splitlines():
        if any(f"ovl-{tag}-" in line for tag in tags):
            found.append(f"mount {line.split()[1]}")
    return found


def guests(host: Host) -> dict[str, int]:
    """The guests that run on a host, domain name to process id, as the kernel has them."""
    return dict(_guests(host))


def guest_names(host: Host) -> list[str]:
    """The domain name of each guest's process. A guest that was made twice is there twice."""
    return [name for name, _ in _guests(host)]


def _guests(host: Host) -> list[tuple[str, int]]:
    found = []
    for pid, argv in _argvs(host):
        if "qemu-system" in argv[0]:
            for word in argv:
                if word.startswith("guest="):
                    found.append((word.removeprefix("guest=").split(",")[0], pid))
    return found


def _processes(host: Host) -> list[str]:
    words = ("qemu-system", "dnsmasq")
    return [
        f"{pid} {argv[0]}"
        for pid, argv in _argvs(host)
        if any(w in argv[0] for w in words) or "netns.tunnel" in argv
    ]


def _argvs(host: Host) -> list[tuple[int, list[str]]]:
    """Processes that mention this host's folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if argv[0] and any(f"{host.folder}/" in word for word in argv):
            found.append((int(path.parent.name), argv))
    return found


def _files(folder: Path) -> list[Path]:
    found = folder.rglob("*") if folder.exists() else ()
    return sorted(p for p in found if p.is_file() and not str(p).endswith(_OF_THE_HOST))


def _output(host: Host, *argv: str) -> str:
    done = subprocess.run([*host.prefix, *argv], capture_output=True, text=True, check=True)
    return done.stdout
