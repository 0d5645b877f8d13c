"""A real guest: seed, console, network, quantum, a killed owner, a volume that outlives it.

The tests share one host and one guest, and run in the order of the file. The guest is owned by a process
of its own (`machine_owner.py`) in a network namespace with a tap and dnsmasq, as a daemon would be.
"""

import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.seeds import NoCloudSeeds
from overlayd.adapters.volumes import DirectoryVolumes
from overlayd.ports.compute import Disk, KernelBoot, Machine, MachineSeen, MachineState, Nic
from overlayd.ports.images import ImageFiles
from overlayd.ports.seeds import Seed

TOP = Path(__file__).parents[2]
OWNER = Path(__file__).parent / "machine_owner.py"
DEADLINE_S = 90.0
MTU = 1370
GATEWAY, ADDRESS = "10.77.0.1", "10.77.0.10"
MAC = "52:54:00:77:00:10"
NAME = "ovl-e2e-head"
SPIN = "(while :; do :; done) >/dev/null 2>&1 & echo $! >/run/spinner"
AGENT = """\
for port in /sys/class/virtio-ports/*; do
    read -r name <$port/name
    [ "$name" != org.qemu.guest_agent.0 ] || exec 3<>/dev/${port##*/}
done
while :; do
    read -r line <&3 || { sleep 1; continue; }
    value=${line##*:}
    value=${value%%\\}*}
    case $line in
    *guest-sync*) echo "{\\"return\\": $value}" >&3 ;;
    *guest-set-time*) echo $value >>/run/told; echo '{"return": {}}' >&3 ;;
    esac
done
"""
STOP_SPINNING = "kill $(cat /run/spinner)"


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.02)


def sh(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, (argv, done.stderr.decode())
    return done.stdout.decode()


class Owner:
    """One life of the process that owns the machines of a state directory."""

    def __init__(self, state_dir: Path, namespace: str = "") -> None:
        self.state_dir = state_dir
        # Not `ip netns exec`: that mounts /sys anew, and libvirt would not find its cgroups.
        enter = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        self.process = subprocess.Popen(
            [*enter, sys.executable, str(OWNER), str(state_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=TOP,
        )
        self._answer()

    def ask(self, do: str, **arguments: object) -> object:
        self.tell(do, **arguments)
        return self._answer()

    def tell(self, do: str, **arguments: object) -> None:
        """Tells the owner something without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode({"do": do, **arguments}) + b"\n")
        self.process.stdin.flush()

    def seen(self) -> tuple[MachineSeen, ...]:
        return msgspec.convert(self.ask("observe"), tuple[MachineSeen, ...])

    def pid_of(self, name: str) -> int:
        """The process id of the guest's QEMU."""
        return int((self.state_dir / "libvirt" / "run" / "qemu" / f"{name}.pid").read_text())

    def end(self) -> None:
        """Stops the owner's machines, and the process too."""
        if self.process.poll() is None:
            for machine in self.seen():
                self.ask("stop", name=machine.name)
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _answer(self) -> object:
        output = self.process.stdout
        assert output is not None
        assert select.select([output], [], [], DEADLINE_S)[0], "the owner does not answer"
        answer = msgspec.json.decode(output.readline(), type=dict[str, object])
        assert "error" not in answer, answer
        return answer["ok"]


class Host:
    """A host with an image, a volume, a seed, a network namespace with a tap, and an owner."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.namespace = f"ovg{os.getpid()}"
        self.key = directory / "key"
        self.console_log = directory / "console" / "head.log"
        self.console_socket = directory / "console" / "head.sock"
        self.dnsmasq: subprocess.Popen[bytes] | None = None
        self.owner: Owner | None = None

    def up(self, files: ImageFiles) -> None:
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(self.key))
        sh("ip", "netns", "add", self.namespace)
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "tuntap", "add", "ovt0", "mode", "tap", "vnet_hdr")
        self.inside("ip", "link", "set", "ovt0", "mtu", str(MTU), "up")
        self.inside("ip", "address", "add", f"{GATEWAY}/24", "dev", "ovt0")
        self.dnsmasq = subprocess.Popen(
            [
                *(
                    "nsenter",
                    f"--net=/run/netns/{self.namespace}",
                    "dnsmasq",
                    "--keep-in-foreground",
                ),
                *("--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"),
                *("--pid-file=", f"--dhcp-leasefile={self.directory}/leases", "--user=root"),
                *("--interface=ovt0", f"--dhcp-range={GATEWAY},static,infinite"),
                *(f"--dhcp-host={MAC},{ADDRESS},head", f"--dhcp-option=26,{MTU}"),
                *("--domain=star.grid", "--dhcp-option=option:domain-search,star.grid"),
                *("--local=/star.grid/", f"--host-record=worker.star.grid,{GATEWAY}"),
            ],
            stderr=subprocess.DEVNULL,
        )
        self.machine = asyncio.run(self.prepare(files))
        self.owner = Owner(self.directory / "a", self.namespace)

    async def prepare(self, files: ImageFiles) -> Machine:
        seed = Seed(
            instance_id="e2e-head-1",
            hostname="head",
            ssh_authorized_keys=(self.key.with_suffix(".pub").read_text().strip(),),
            mounts=(("home", "/home"),),
            user_data=b"#!/bin/sh\necho user-data ran as $(id -un) on $(hostname)\nexit 3\n",
        )
        volume = await DirectoryVolumes(self.directory / "volumes").ensure("v", 64 << 20, "home")
        return Machine(
            name=NAME,
            uuid="6f3f6b1e-0000-4000-8000-00000000e2e0",
            title="end to end",
            grid="e2e",
            epoch=1,
            boot=1,
            vcpus=1,
            cpu_milli=1000,
            memory_bytes=128 << 20,
            boots=KernelBoot(files.kernel, files.initrd, files.cmdline),
            seed=await NoCloudSeeds(self.directory / "seeds").ensure(NAME, seed),
            disks=(Disk(path=volume, serial="home"),),
            nics=(Nic(tap="ovt0", mac=MAC, mtu=MTU),),
            console_log=str(self.console_log),
            console_socket=str(self.console_socket),
            agent_socket=str(self.console_socket.with_suffix(".port")),
        )

    def down(self) -> None:
        if self.owner is not None:
            self.owner.end()
        if self.dnsmasq is not None:
            self.dnsmasq.terminate()
            self.dnsmasq.wait()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)

    def inside(self, *argv: str) -> str:
        return sh("nsenter", f"--net=/run/netns/{self.namespace}", *argv)

    def boots(self) -> int:
        """How often the guest was ready. Only whole lines count: what is read may end in the middle of one."""
        lines = self.said().split("\n")[:-1] if self.console_log.exists() else []
        return sum("guest ready" in line for line in lines)

    def boot(self, machine: Machine) -> None:
        """Starts that machine, and waits for the guest."""
        assert self.owner is not None
        before = self.boots()
        self.owner.ask("start", machine=machine)
        until(lambda: self.boots() > before, "the guest is ready")

    def wake(self) -> None:
        """Makes the machine run as it is wanted, whatever an earlier test left."""
        assert self.owner is not None
        self.machine = msgspec.structs.replace(self.machine, cpu_milli=1000)
        seen = self.owner.seen()
        if [(m.state, m.boot) for m in seen] == [(MachineState.RUNNING, self.machine.boot)]:
            self.owner.ask("start", machine=self.machine)
            return
        self.owner.ask("stop", name=NAME)
        last = max((m.boot for m in seen), default=self.machine.boot)
        self.machine = msgspec.structs.replace(self.machine, boot=last + 1)
        self.boot(self.machine)

    def said(self) -> str:
        return self.console_log.read_text(errors="replace")

    def ssh(self, command: str) -> str:
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        arguments = [word for option in (*options, "ConnectTimeout=20") for word in ("-o", option)]
        return self.inside("ssh", *arguments, "-i", str(self.key), f"root@{ADDRESS}", command)

    def type(self, command: str, answer: str) -> None:
        """Types into the console's socket, until the console's log shows the answer."""
        before = len(self.said())
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.console_socket))
            console.sendall(command.encode() + b"\n")
            until(lambda: answer in self.said()[before:], f"{answer!r} on the console")

    def the_machine(self) -> MachineSeen:
        assert self.owner is not None
        (seen,) = self.owner.seen()
        return seen


@pytest.fixture(scope="module")
def short_dir() -> Iterator[Path]:
    """A folder with a short path, for the Unix sockets below it."""
    directory = Path(tempfile.mkdtemp(prefix="ovg", dir="/tmp"))
    directory.chmod(0o711)  # guests run as users of their own
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def files(short_dir: Path) -> ImageFiles:
    subprocess.run([TOP / "scripts" / "build-image"], check=True, capture_output=True)

    async def add() -> ImageFiles:
        images = DirectoryImages(short_dir / "images")
        info = await images.add(TOP / ".cache" / "images" / "guest.img")
        return await images.files(info.digest)

    return asyncio.run(add())


@pytest.fixture(scope="module")
def booted(short_dir: Path, files: ImageFiles) -> Iterator[Host]:
    made = Host(short_dir)
    try:
        made.up(files)
        made.boot(made.machine)
        yield made
    finally:
        made.down()


@pytest.fixture
def host(booted: Host) -> Host:
    """A host whose guest runs, in whatever order tests come."""
    booted.wake()
    return booted


def test_it_is_who_its_seed_says(host: Host) -> None:
    assert f"guest ready: hostname=head address={ADDRESS}" in host.said()
    host.type("echo $(hostname) on $(grep -c LABEL /run/wishes) mount", "head on 1 mount")


def test_whoever_breaks_out_of_its_hypervisor_is_nobody(host: Host) -> None:
    """The process is what the kernel says it is, whatever was configured. Its user tries what it can reach."""
    assert host.owner is not None
    process = Path("/proc", str(host.owner.pid_of(NAME)))
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    (user,) = set(status["Uid"].split())
    assert user != "0"
    assert "0" not in status["Gid"].split() + status["Groups"].split()
    assert (int(status["CapEff"], 16), status["Seccomp"]) == (0, "2")
    assert os.readlink(process / "ns" / "mnt") != os.readlink("/proc/self/ns/mnt")

    def reads(path: Path, uid: int = int(user)) -> bool:
        who = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        return subprocess.run([*who, "head", "-c1", path], capture_output=True).returncode == 0

    volume = host.directory / "volumes" / "v.raw"
    own = host.directory / "a" / "guests" / NAME / "disk-home"
    assert os.path.samefile(volume, own)
    assert reads(own)
    other = int(user) + 1
    assert not reads(own, other), "another workspace's user does not read it"
    for closed in (volume, host.directory / "seeds" / f"{NAME}.iso", host.console_log):
        assert not reads(closed), "what is not in its folder is not there"


def test_its_user_data_ran_before_it_was_ready(host: Host) -> None:
    said = host.said()
    assert "user-data ran as root on head" in said
    assert "guest warning: user-data ended with 3" in said
    assert said.index("user-data ended") < said.index("guest ready")


def test_it_answers_by_ssh_with_the_seeds_key_only(host: Host) -> None:
    assert host.ssh("cat /root/.ssh/authorized_keys") == host.key.with_suffix(".pub").read_text()
    wrong = host.directory / "wrong"
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong))
    right, host.key = host.key, wrong
    try:
        with pytest.raises(AssertionError, match="Permission denied"):
            host.ssh("true")
    finally:
        host.key = right


def test_its_network_is_as_dhcp_told(host: Host) -> None:
    link = host.ssh("cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address").split()
    assert link == [str(MTU), MAC]
    assert host.ssh("cat /etc/resolv.conf").splitlines() == [
        "search star.grid",
        f"nameserver {GATEWAY}",
    ]
    assert host.ssh("ping -c 1 -W 20 worker >/dev/null && echo reached") == "reached\n"


def test_paused_it_uses_no_cpu_and_resumed_it_goes_on(host: Host) -> None:
    assert host.owner is not None
    host.ssh(SPIN)
    host.owner.ask("pause", name=NAME)
    paused, before = host.the_machine(), time.process_time()
    assert paused.state is MachineState.PAUSED
    # Time passes: we use cpu time of our own, while the spinning guest gets none.
    while time.process_time() - before < 0.3:
        pass
    assert host.the_machine().cpu_time_s - paused.cpu_time_s <= 0.05
    host.owner.ask("resume", name=NAME)
    assert host.the_machine().state is MachineState.RUNNING
    until(lambda: host.the_machine().cpu_time_s - paused.cpu_time_s > 0.3, "it spins again")
    host.ssh(STOP_SPINNING)


def counting(host: Host, file: str) -> int:
    """Begins a counter in the guest's memory. Answers where it is."""
    loop = f"(i=0; while :; do i=$((i+1)); echo $i >{file}; sleep 0.1; done) >/dev/null 2>&1 &"
    host.ssh(loop)
    until(lambda: int(host.ssh(f"cat {file}") or 0) > 3, "it counts")
    return int(host.ssh(f"cat {file}"))


def test_saved_to_disk_its_counter_goes_on_where_it_stopped(host: Host) -> None:
    """It does so even when its owner is killed in between, and by kill -9 in the middle of saving."""
    assert host.owner is not None
    before, pid = counting(host, "/run/count"), host.owner.pid_of(NAME)
    host.owner.ask("save", name=NAME)
    assert host.the_machine().state is MachineState.SAVED
    assert not Path("/proc", str(pid)).exists()
    host.owner.kill()
    host.owner = Owner(host.directory / "a", host.namespace)
    assert host.the_machine().state is MachineState.SAVED
    host.owner.ask("start", machine=host.machine)
    assert host.the_machine().state is MachineState.RUNNING
    after = int(host.ssh("cat /run/count"))
    assert before <= after < before + 200, "it neither began anew nor went on meanwhile"
    until(lambda: int(host.ssh("cat /run/count") or 0) > after, "it counts on")


def test_its_owner_may_die_while_it_is_saved(host: Host) -> None:
    assert host.owner is not None
    before = counting(host, "/run/other")
    host.owner.tell("save", name=NAME)
    saves = host.directory / "a" / "libvirt" / "lib" / "qemu" / "save"
    until(lambda: any(f.stat().st_size > 1 << 20 for f in saves.glob("*")), "it is being saved")
    host.owner.kill()
    host.owner = Owner(host.directory / "a", host.namespace)
    until(lambda: host.the_machine().state is not MachineState.PAUSED, "it is found again")
    host.owner.ask("save", name=NAME)
    assert host.the_machine().state is MachineState.SAVED
    host.owner.ask("start", machine=host.machine)
    assert int(host.ssh("cat /run/other")) >= before, "it has not begun anew"


@pytest.mark.parametrize("cpu_milli", [200, 600])
def test_a_spinning_guest_is_held_to_its_share(host: Host, cpu_milli: int) -> None:
    """The share is cpu time by wall time. Only too much fails: a busy machine may well give it less."""
    assert host.owner is not None
    host.machine = msgspec.structs.replace(host.machine, cpu_milli=cpu_milli)
    host.owner.ask("start", machine=host.machine)
    assert host.the_machine().cpu_milli == cpu_milli
    host.ssh(SPIN)
    begun, before = time.monotonic(), host.the_machine().cpu_time_s
    until(lambda: host.the_machine().cpu_time_s - before > 0.6, "the guest spins")
    share = (host.the_machine().cpu_time_s - before) / (time.monotonic() - begun)
    host.ssh(STOP_SPINNING)
    assert 0.1 * cpu_milli / 1000 < share < 1.3 * cpu_milli / 1000


def test_an_agent_is_told_the_time(host: Host) -> None:
    """Our guest has none, so a small one is brought. It says what it was told."""
    assert host.owner is not None
    assert host.owner.ask("set_clock", name=NAME) is False
    host.ssh(f"cat >/run/agent <<'END'\n{AGENT}END\nsh /run/agent >/dev/null 2>&1 &")
    before = time.time()
    until(lambda: host.owner.ask("set_clock", name=NAME), "the agent answers")
    told_ns = int(host.ssh("tail -n 1 /run/told"))
    assert before <= told_ns / 1e9 <= time.time()


def test_it_outlives_its_owner_and_is_found_again(host: Host) -> None:
    assert host.owner is not None
    before, pid = host.the_machine(), host.owner.pid_of(NAME)
    host.ssh("echo alive >/run/proof")
    host.owner.process.send_signal(signal.SIGKILL)
    host.owner.process.wait()
    assert host.ssh("cat /run/proof") == "alive\n"
    host.owner.kill()
    host.owner = Owner(host.directory / "a", host.namespace)
    after = host.the_machine()
    assert (after.uuid, after.state, after.boot) == (before.uuid, MachineState.RUNNING, before.boot)
    assert after.cpu_milli == 1000
    host.owner.ask("start", machine=host.machine)
    assert host.owner.pid_of(NAME) == pid
    assert host.ssh("cat /run/proof") == "alive\n"
    host.type("echo typed $((6 * 7))", "typed 42")


def test_its_volume_outlives_its_restart(host: Host) -> None:
    assert host.owner is not None
    pid = host.owner.pid_of(NAME)
    host.ssh("echo kept >/home/file && sync && echo lost >/root/file")
    host.machine = msgspec.structs.replace(host.machine, boot=host.machine.boot + 1)
    host.boot(host.machine)
    assert host.owner.pid_of(NAME) != pid
    assert host.the_machine().boot == host.machine.boot
    assert host.ssh("cat /home/file; ls /root") == "kept\n"


def test_the_same_machine_on_two_hosts_does_not_collide(host: Host) -> None:
    """Six daemons share one machine in the lab, each with a root of its own."""
    assert host.owner is not None
    other = Owner(host.directory / "b")
    log = host.directory / "other.log"
    try:
        twin = msgspec.structs.replace(
            host.machine, nics=(), disks=(), console_log=str(log), console_socket=""
        )
        other.ask("start", machine=twin)
        until(lambda: log.exists() and "guest ready" in log.read_text(), "the twin is ready")
        assert other.pid_of(NAME) != host.owner.pid_of(NAME)
        other.ask("stop", name=NAME)
        assert other.seen() == ()
    finally:
        other.end()
    assert host.the_machine().state is MachineState.RUNNING
    assert host.ssh("echo here") == "here\n"


def test_it_can_shut_itself_down(host: Host) -> None:
    host.type(
        "poweroff", "The system is going down"
    )  # The last lines may be lost with the machine.
    until(lambda: host.the_machine().state is MachineState.STOPPED, "the guest is down")
    assert host.the_machine().boot == host.machine.boot


def test_without_a_seed_it_boots_alone(host: Host) -> None:
    assert host.owner is not None
    host.owner.ask("stop", name=NAME)
    alone = msgspec.structs.replace(
        host.machine, boot=host.machine.boot + 1, seed="", disks=(), nics=()
    )
    host.boot(alone)
    assert "guest ready: hostname=guest address=none" in host.said()
