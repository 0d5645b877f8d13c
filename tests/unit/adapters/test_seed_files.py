"""What a guest is told at boot, file by file: what cloud-init 22.4 and netplan want, and what sh can run."""

import email
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
import yaml

from overlayd.adapters.seed_files import files_of
from overlayd.ports.seeds import Seed, SeedNic

LAN = SeedNic("02:00:0a:2a:00:0b", "10.42.0.11/24", "10.42.0.1", 1450, metadata=True)
SEED = Seed(
    instance_id="i-1",
    hostname="head-1",
    ssh_authorized_keys=("ssh-ed25519 AAAA me",),
    mounts=(("home", "/home"), ("data", "/srv/with space")),
    domain="star",
    nics=(LAN,),
)


def network(*nics: SeedNic) -> dict[str, Any]:
    told = yaml.safe_load(files_of(msgspec.structs.replace(SEED, nics=nics))["network-config"])
    assert told["version"] == 2
    ethernets: dict[str, Any] = told["ethernets"]
    return ethernets


def parts(seed: Seed) -> dict[str, str]:
    message = email.message_from_bytes(files_of(seed)["vendor-data"])
    assert message.is_multipart()
    found = {}
    for part in message.walk():
        if not part.is_multipart():
            found[part.get_content_subtype()] = bytes(part.get_payload(decode=True)).decode()
    return found


def test_a_card_is_known_by_its_address_and_told_what_dhcp_would_tell() -> None:
    assert network(LAN) == {
        "eth0": {
            "match": {"macaddress": "02:00:0a:2a:00:0b"},
            "set-name": "eth0",
            "addresses": ["10.42.0.11/24"],
            "mtu": 1450,
            "nameservers": {"addresses": ["10.42.0.1"], "search": ["star"]},
            "routes": [{"to": "169.254.169.254/32", "via": "10.42.0.1"}],
        }
    }


def test_a_card_has_its_ipv6_address_beside_the_other() -> None:
    six = network(msgspec.structs.replace(LAN, address6="fd42::a2a:b/64"))
    assert six["eth0"]["addresses"] == ["10.42.0.11/24", "fd42::a2a:b/64"]


def test_a_network_with_a_way_out_has_the_default_route() -> None:
    out = msgspec.structs.replace(LAN, way_out=True)
    other = SeedNic("02:00:0a:2b:00:0b", "10.43.0.11/24", "10.43.0.1", 1400)
    told = network(other, out)
    assert "routes" not in told["eth0"]
    assert [route["to"] for route in told["eth1"]["routes"]] == ["169.254.169.254/32", "0.0.0.0/0"]


def test_without_a_network_nothing_is_said_of_one() -> None:
    files = files_of(msgspec.structs.replace(SEED, nics=(), domain=""))
    assert "network-config" not in files


def test_nothing_of_ours_is_in_what_its_owner_says() -> None:
    mine = b"#cloud-config\nmounts: [[server:/x, /x]]\nssh_authorized_keys: [ssh-rsa X]\n"
    files = files_of(msgspec.structs.replace(SEED, user_data=mine))
    assert files["user-data"] == mine
    meta = yaml.safe_load(files["meta-data"])
    assert meta["public-keys"] == ["ssh-ed25519 AAAA me"]
    ours = yaml.safe_load(parts(SEED)["cloud-config"])
    assert "mounts" not in ours, "cloud-init takes the owner's list in place of ours"
    assert ours["fqdn"] == "head-1.star"
    assert ours["manage_etc_hosts"] is False, "127.0.1.1 would be a name for everybody's self"


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_any_shell_can_read_the_hook(shell: str, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(parts(SEED)["cloud-boothook"])
    argv = ["busybox", "sh"] if shell == "busybox" else [shell]
    if shell == "dash":
        argv = [shutil.which("dash") or "sh"]
    subprocess.run([*argv, "-n", str(hook)], check=True)


def test_the_hook_puts_disks_into_fstab_once_and_leaves_the_owners_lines(tmp_path: Path) -> None:
    """The hook's first half, on files of its own, with `mount` and the rest as functions that tell."""
    text = parts(SEED)["cloud-boothook"].split("\nsaid() {")[0]
    fstab, told = tmp_path / "fstab", tmp_path / "told"
    fstab.write_text("LABEL=root / ext4 defaults 0 1\nserver:/x /x nfs nofail 0 0\n")
    text = text.replace("/etc/fstab", str(fstab)).replace("/run/", f"{tmp_path}/")
    stubs = f'mount() {{ echo "mount $*" >>{told}; }}\nmkdir() {{ echo "$@" >>{told}; }}\n'
    stubs += "systemctl() { :; }\n"
    for _ in range(2):
        subprocess.run(["sh"], input=(stubs + text).encode(), check=True)
    lines = fstab.read_text().splitlines()
    assert lines[:2] == ["LABEL=root / ext4 defaults 0 1", "server:/x /x nfs nofail 0 0"]
    assert [line.split()[:3] for line in lines[2:]] == [
        ["LABEL=home", "/home", "auto"],
        ["LABEL=data", "/srv/with\\040space", "auto"],
    ]
    assert all("nofail" in line and line.endswith(" 0 2") for line in lines[2:])
    once = ["-p /home", "mount /home", "-p /srv/with space", "mount /srv/with space"]
    assert told.read_text().splitlines() == once * 2


def ready(tmp_path: Path, errors: str) -> dict[str, Any]:
    """What the hook would say of itself."""
    text = parts(SEED)["cloud-boothook"]
    said = "said() {" + text.split("\nsaid() {")[1].split("\nask() {")[0]
    (tmp_path / "result.json").write_text(
        f'{{\n "v1": {{\n  "datasource": "DataSourceNoCloud",\n  "errors": [{errors}]\n }}\n}}\n'
    )
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAAC3 root@head-1\n")
    (tmp_path / "ssh_host_rsa_key.pub").write_text("ssh-rsa AAAAB3 root@head-1\n")
    said = said.replace("/run/cloud-init/", f"{tmp_path}/").replace("/etc/ssh/", f"{tmp_path}/")
    done = subprocess.run(["sh"], input=f"{said}\nsaid\n".encode(), check=True, capture_output=True)
    told: dict[str, Any] = msgspec.json.decode(done.stdout)
    return told


def test_a_guest_says_that_all_is_done_and_its_host_keys(tmp_path: Path) -> None:
    assert ready(tmp_path, "") == {"host_keys": ["ssh-ed25519 AAAAC3", "ssh-rsa AAAAB3"]}


def test_a_guest_says_what_failed(tmp_path: Path) -> None:
    failed = '\n   "(\'scripts_user\', RuntimeError(\'1 \\"of\\" 1\'))",\n   "more"\n  '
    told = ready(tmp_path, failed)
    assert told["problem"].startswith("('scripts_user', RuntimeError('1 of 1'))")
    assert len(ready(tmp_path, '"' + "x" * 5000 + '"')["problem"]) <= 200


@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_it_is_said_by_whatever_the_guest_has(tool: str, tmp_path: Path) -> None:
    """`ask` posts a file with one tool, when there is no other."""
    heard: list[tuple[str, bytes]] = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            heard.append((self.path, b""))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    found = sys.executable if tool == "python3" else shutil.which(tool)
    if tool == "wget" and found is None:
        found = shutil.which("busybox")
    assert found is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / tool).symlink_to(found)
    (tmp_path / "said").write_bytes(b'{"host_keys": []}')
    text = parts(SEED)["cloud-boothook"]
    ask = "ask() {" + text.split("\nask() {")[1].split("\n(\n")[0]
    with HTTPServer(("127.0.0.1", 0), Host) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        script = f"PATH={tmp_path}/bin\n{ask}\nask {url}/self && ask {url}/ready {tmp_path}/said\n"
        done = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=False)
        server.shutdown()
    assert (done.returncode, heard) == (0, [("/self", b""), ("/ready", b'{"host_keys": []}')])
