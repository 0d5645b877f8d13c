"""The demo's story: three sites, six hosts, one virtual cluster, every step shown and checked."""

import argparse
import signal
import subprocess
import sys
import time
from typing import Any

from rich.text import Text

from federation import traces
from federation.eavesdrop import Capture
from federation.launch import BIN, PORT, cpu_s, wait_for
from federation.stage import DEBIAN, FOLDER, IMAGE, TOP, TOPOLOGY, Stage, Unmet
from netns.model import tap_name

BROUGHT = """\
grid: brought
lease: {for: 1h}
networks:
  lan: {cidr: 10.48.0.0/24}
clusters:
  box: {image: debian-12, cpus: 1, memory: 512M, disk: 3G, networks: [lan], user-data: first-boot.sh}
"""
FIRST_BOOT = """\
#!/bin/sh
curl --silent --fail http://169.254.169.254/overlayd/v1/hosts >/root/hosts
"""
SAID = "what-only-the-two-guests-are-to-read"
SPIN_S = 6.0
PINGS = 60


class Demo(Stage):
    """The story."""

    def run(self) -> None:
        """Tells all of it."""
        self.lab_of_hosts()
        self.daemons()
        self.overlay()
        self.plan()
        self.grid_up()
        self.workspaces_are_real()
        if DEBIAN.exists():
            self.a_distribution_boots()
        self.network_is_real()
        self.volume_is_real()
        self.life_goes_on()
        self.it_changes()
        self.it_mends_itself()
        if DEBIAN.exists():
            self.a_distribution_is_ready()
        else:
            self.console.print("\n[dim]No Debian guest: scripts/build-image debian makes it.[/dim]")

    def lab_of_hosts(self) -> None:
        """Step 1: the lab."""
        self.step("A lab of hosts: 3 sites x 2 hosts, a network namespace each")
        self.console.print(f"[cyan]$ python -m netns lab up {TOPOLOGY.relative_to(TOP)}[/cyan]")
        self.lab.up()
        self.check(f"{len(self.lab.hosts)} hosts: {', '.join(self.lab.hosts)}", self.lab.is_up())

    def daemons(self) -> None:
        """Step 2: a daemon for each host."""
        self.step("Six daemons, each with its own namespace, state, keys and libvirt root")
        self._identities()
        self.federation.enrol_lab(self.lab)
        self.federation.start_all()
        self.check("six daemons answer on their sockets", True)

    def _identities(self) -> None:
        folder = FOLDER / "federation"
        self._made("federation", "init", str(folder))
        for site in dict.fromkeys(self.lab.site(host) for host in self.lab.hosts):
            self._made("site", "add", site, "--federation", str(folder))
        for host in self.lab.hosts:
            self._made("host", "enrol", self.lab.site(host), host, "--federation", str(folder))

    def _made(self, *arguments: str) -> None:
        self.console.print(f"[cyan]$ overlayctl {' '.join(arguments)}[/cyan]")
        argv = [str(BIN / "overlayctl"), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unmet(f"overlayctl {' '.join(arguments)}: {done.stderr}")

    def overlay(self) -> None:
        """Step 3: every peer knows all."""
        self.step("An overlay: each knew one address to join by; now every peer knows all")

        def all_list_all() -> bool:
            for host in self.federation.hosts.values():
                rows = host.get("peers")
                assert isinstance(rows, list)
                if len([row for row in rows if row["age_s"] >= 0]) < len(self.lab.hosts):
                    return False
            return True

        wait_for(all_list_all, 30, "every peer lists every peer")
        self.typed("bnl-2", "peers")
        self.check("every peer lists six peers with their adverts", True)
        self.typed("uc-1", "image", "add", str(IMAGE))
        wait_for(lambda: self.host("bnl-2").get("images"), 15, "the image is known at bnl-2")

    def plan(self) -> None:
        """Step 4: a plan holds nothing."""
        self.step("A plan: a real round of quotes, nothing held")
        self._make_key()
        self.typed("uc-1", "plan", "examples/star.yaml")
        held = [self.host(name).get("self")["holds"] for name in self.lab.hosts]  # type: ignore[index, call-overload]
        self.check("no host holds anything", not any(held), held)

    def grid_up(self) -> None:
        """Step 5: a grid over all sites."""
        self.step("A grid: one head, four workers, spread over the sites")
        self.typed("uc-1", "up", "examples/star.yaml", "--ssh-key", f"{self.key}.pub")
        self.typed("bnl-2", "ps")
        rows = self.grid("star", "bnl-2")["workspaces"]
        self.check("five workspaces are ready", _phases(rows) == ["ready"] * 5, rows)
        sites = sorted({row["site"] for row in rows})
        self.check(f"they are at {len(sites)} sites: {', '.join(sites)}", len(sites) == 3, sites)

    def workspaces_are_real(self) -> None:
        """Step 6: workspaces are held to their quantum."""
        self.step("Workspaces are real, and held to their quantum")
        guests = self.guests()
        self.check(f"{len(guests)} QEMU processes on the hosts", len(guests) == 5, guests)
        memory = self.shell("star", "worker-1", "grep MemTotal /proc/meminfo")
        kib = int(memory.split()[1])
        self.check(f"worker-1 has {kib // 1024} MiB of its 128", 64 << 10 < kib <= 128 << 10, kib)
        self.shell("star", "worker-1", "dd if=/dev/zero of=/dev/null 2>/dev/null & sleep 1")
        row = self.workspace("star", "worker-1")
        pid = self._pid(row)
        before_s, at_s = cpu_s(pid), time.monotonic()
        time.sleep(SPIN_S)
        share = (cpu_s(pid) - before_s) / (time.monotonic() - at_s)
        self.shell("star", "worker-1", "killall dd")
        self.check(
            f"a spinning worker-1 took {share:.2f} of a cpu by the host's accounting; its quantum is 0.25",
            0.15 < share < 0.32,
            share,
        )

    def _pid(self, row: dict[str, Any]) -> int:
        from overlayd.realise.paths import machine_name
        from protocol.terms.ids import GridId

        return self.guests()[machine_name(GridId(row["grid_id"]), row["workspace"])]

    def network_is_real(self) -> None:
        """Step 7: names, addresses, and no other grid's."""
        self.step("The network is real: names, addresses, and nobody else's")
        for worker in ("worker-1", "worker-2", "worker-3", "worker-4"):
            self.shell("star", "head-1", f"ping -c 1 -W 3 {worker}")
        self.check("from the head every worker answers by name", True)
        self.nobody_reads_it()
        # A name means what one's own site calls so. What is known already costs nothing to add.
        self.typed("fnal-1", "image", "add", str(IMAGE))
        self.typed(
            "fnal-1", "up", "examples/twin.yaml", "--ssh-key", f"{self.key}.pub", site="fnal"
        )
        lone = self.workspace("star", "worker-4")["address"]
        self.shell("star", "head-1", f"ping -c 1 -W 3 {lone}")
        answer = self.shell(
            "twin", "node-1", f"ping -c 2 -W 2 {lone} >/dev/null && echo seen || echo silence"
        )
        self.check(
            f"{lone} answers in star and is silence in twin, same CIDR", answer == "silence", answer
        )
        answer = self.shell(
            "twin", "node-1", "nslookup worker-4 >/dev/null 2>&1 && echo known || echo unknown"
        )
        self.check("twin's DNS does not know star's names", answer == "unknown", answer)
        self.shell("twin", "node-1", "ping -c 1 -W 3 node-2")
        self.check("twin's own nodes find each other", True)

    def nobody_reads_it(self) -> None:
        """What crosses the wide area is searched for what the guests say."""
        head = self.workspace("star", "head-1")
        tap = tap_name(f"{head['grid_id']}.lan", "head-1")
        page = f"mkdir -p /run/www; echo {SAID} >/run/www/page; httpd -p 80 -h /run/www"
        self.shell("star", "worker-1", page)
        host = self.lab.namespace(head["host"])
        self.console.print(f"[dim]  frames on {head['host']}'s link to the others are kept[/dim]")
        with Capture(host, "eth0") as wide, Capture(host, tap) as near:
            asked = "printf 'GET /page HTTP/1.0\\r\\n\\r\\n' | nc -w 5 worker-1 80 | tail -n 1"
            said = self.shell("star", "head-1", asked)
        self.check(f"head-1 read {said!r} from worker-1", said == SAID, said)
        self.check("it is readable at head-1's own card", near.has(SAID.encode()))
        count = wide.sent_to(PORT)
        self.check(f"{count} bytes crossed in sealed packets", count > len(SAID), count)
        self.check("nothing of it is readable on the way", not wide.has(SAID.encode()))

    def volume_is_real(self) -> None:
        """Step 8: a file outlives pause, resume and restart."""
        self.step("The volume is real: a file survives pause, resume and restart")
        self.shell("star", "head-1", "echo kept > /srv/note && sync")
        self.typed(
            "uc-2",
            "pause",
            "star/head-1",
        )
        self.typed("uc-2", "resume", "star/head-1")
        found = self.shell("star", "head-1", "cat /srv/note")
        self.check("after pause and resume the file is there", found == "kept", found)
        self.typed("uc-2", "restart", "star/head-1")
        found = self.shell("star", "head-1", "cat /srv/note; mount | grep -c ' /srv '")
        self.check("after a restart too, on the same volume", found == "kept\n1", found)

    def life_goes_on(self) -> None:
        """Step 9: one workspace is terminated, one daemon killed, the last peer asked."""
        self.step("Life goes on: terminate one, kill a daemon, ask the last peer that joined")
        self.typed("uc-1", "terminate", "star/worker-4")
        self.check("four guests of star are left", len(self.grid("star")["workspaces"]) == 4)
        victim = self.workspace("star", "worker-2")["host"]
        before = traces.guests(self.host(victim))
        self.console.print(f"[cyan]$ kill -9 the daemon of {victim}[/cyan]")
        self.federation.kill(victim, signal.SIGKILL)
        self.check(
            "its guests run on", traces.guests(self.host(victim)) == before and before, before
        )
        self.federation.start(victim)
        self.federation.wait_ready(self.host(victim))
        asked = next(name for name in reversed(list(self.lab.hosts)) if name != victim)

        def found_again() -> bool:
            rows = self.grid("star", victim)["workspaces"]
            return all(row["phase"] == "ready" for row in rows if row["host"] == victim)

        wait_for(found_again, 60, f"{victim} has found its guests again")
        after = traces.guests(self.host(victim))
        self.check(
            "it found them again: the same processes, nothing made twice", after == before, after
        )
        self.typed(asked, "ps")
        self.check(
            f"{asked}, asked last, knows the grid",
            self.grid("star", asked)["grid"]["state"] == "up",
        )

    def it_changes(self) -> None:
        """Step 10: the file is applied again, workers get another share; nobody else notices."""
        self.step(
            "It changes: the file again brings worker-4 back, and workers get a smaller share"
        )
        before = self.guests()
        self.typed("bnl-2", "plan", "examples/star.yaml", "--ssh-key", f"{self.key}.pub", site="uc")
        self.typed(
            "bnl-2", "up", "examples/star.yaml", "--ssh-key", f"{self.key}.pub", "-y", site="uc"
        )
        rows = self.grid("star")["workspaces"]
        self.check("five workspaces are ready again", _phases(rows) == ["ready"] * 5, rows)
        self.typed("uc-2", "resize", "star/worker", "--cpus", "0.2", "-y")
        after = self.guests()
        same = all(after.get(name) == pid for name, pid in before.items())
        self.check("none of the others was started again", same, (before, after))
        self.typed("fnal-2", "history", "star", site="fnal")

    def it_mends_itself(self) -> None:
        """Step 11: an administrator's slips on one host, while guests ping each other."""
        self.step("It mends itself: rules flushed, a tunnel and a tap deleted, while guests ping")
        early = [line for name in self.lab.hosts for line in self.mends(name)]
        self.check("so far nothing had to be mended on any host", not early, early)
        row = self.workspace("star", "worker-1")
        victim, vni = row["host"], f"{self.vni('star'):06x}"
        self.shell("star", "worker-1", f"ping -c {PINGS} -i 0.2 head-1 >/run/pings 2>&1 & sleep 1")
        self.slips(victim, 1, "nft", "flush", "ruleset")
        self.slips(victim, 2, "ip", "link", "delete", f"ovs-{vni}")
        found = self.shell(
            "star", "worker-1", "while killall -0 ping; do sleep 1; done; cat /run/pings"
        )
        came = int(found.split(" packets received")[0].split()[-1])
        self.check(f"{came} of {PINGS} pings came back over all that", came > PINGS * 2 // 3, found)
        self.slips(victim, 4, "ip", "link", "delete", tap_name(f"{row['grid_id']}.lan", "worker-1"))
        self.shell("star", "head-1", "ping -c 3 -W 3 worker-1")
        found = self.shell("star", "worker-1", "ls /run/pings")
        self.check("worker-1 has its card again, and was not started anew", found == "/run/pings")

    def slips(self, name: str, mends: int, *command: str) -> None:
        """What an administrator types on a host, and what its daemon says of it once it is mended."""
        self.console.print(f"[cyan]root@{name}# {' '.join(command)}[/cyan]")
        began_s = time.monotonic()
        subprocess.run(self.lab.command(name, *command), check=True)
        wait_for(lambda: len(self.mends(name)) >= mends, 20, f"{' '.join(command)} is mended")
        took_s = time.monotonic() - began_s
        self.console.print(Text("\n".join(f"  {line}" for line in self.mends(name)[-1:])))
        self.check(f"mended after {took_s:.1f} s", True)

    def a_distribution_boots(self) -> None:
        """An image as a distribution publishes it, set up by a script. Nobody waits for it."""
        self.console.print("[dim]  a Debian guest is asked for as well, and boots meanwhile[/dim]")
        file = FOLDER / "brought.yaml"
        file.write_text(BROUGHT)
        (FOLDER / "first-boot.sh").write_text(FIRST_BOOT)
        self.typed("uc-1", "image", "add", str(DEBIAN), "--name", "debian-12")
        self.typed("uc-1", "up", str(file), "--ssh-key", f"{self.key}.pub", "--no-wait")

    def a_distribution_is_ready(self) -> None:
        """Step 12: that guest is reached from another site."""
        self.step(
            "Any image: Debian from its disk image, set up at its first boot as its owner says"
        )

        def ready() -> bool:
            return self.workspace("brought", "box-1")["phase"] == "ready"

        wait_for(ready, 600, "box-1 is ready")
        self.check("it says itself that it is ready", True)
        login = ["ssh", "--user", "debian", "--key", str(self.key), "brought/box-1", "--"]
        found = self.typed("bnl-2", *login, "sudo", "cat", "/root/hosts")
        self.check("its script ran and knows its grid", "box-1" in found, found)
        self.typed("bnl-2", "down", "brought", site="uc")

    def down(self) -> None:
        """Step 13: nothing is left."""
        self.step("Down: nothing of the grids is left on any host")
        self.typed("fnal-2", "down", "star", "--delete-volumes", site="fnal", expect=1)
        self.check("another site's admin is refused", self.grid("star")["grid"]["state"] == "up")
        self.typed("bnl-2", "down", "star", "--delete-volumes", site="uc")
        self.typed("bnl-2", "down", "twin", site="fnal")

        def left() -> list[str]:
            tags = [self.tag(host) for host in self.federation.hosts.values()]
            found = [
                f"{h.name}: {x}" for h in self.federation.hosts.values() for x in traces.of_host(h)
            ]
            return found + traces.of_machine(tags)

        try:
            wait_for(lambda: not left(), 20, "nothing is left")
        except RuntimeError:
            raise Unmet("left behind: " + "; ".join(left())) from None
        self.check("no process, link, namespace, rule, mount or file of a grid on any host", True)

    # -- before and after

    def _make_key(self) -> None:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)]
        subprocess.run(argv, check=True)

    def goodbye(self) -> None:
        """Prints how to go on with what was kept."""
        host = self.host("uc-1")
        self.console.print(
            "\nLeft running. Talk to any of the six, for example:\n"
            f"  export OVERLAYD_SOCKET={host.socket} OVERLAYD_IDENTITY={self.federation.identity('uc')}\n"
            f"  {BIN / 'overlayctl'} ps\n"
            "Take it down with: ./scripts/demo --down"
        )


def _phases(rows: list[dict[str, Any]]) -> list[str]:
    return [row["phase"] for row in rows]


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--keep", action="store_true", help="leave it running afterwards")
    parser.add_argument("--down", action="store_true", help="take down what --keep left")
    options = parser.parse_args()
    demo = Demo()
    demo.clear()
    if options.down:
        return 0
    FOLDER.mkdir(mode=0o700)
    try:
        demo.run()
        if options.keep:
            demo.goodbye()
            return 0
        demo.down()
        demo.federation.stop_all()
        demo.lab.down()
        demo.check("and the lab is gone: no namespace of it", not demo.lab.is_up())
        took_s = time.monotonic() - demo.began_s
        demo.console.print(f"\n[bold green]The demo holds.[/bold green] {took_s:.0f} s")
    except (Unmet, RuntimeError, subprocess.TimeoutExpired) as problem:
        demo.console.print(f"\n[bold red]The demo does not hold:[/bold red] {problem}", markup=True)
        for host in demo.federation.hosts.values():
            if host.log.exists():
                demo.console.print(
                    f"-- {host.name}",
                    *host.log.read_text().splitlines()[-3:],
                    sep="\n   ",
                    markup=False,
                )
        return 1
    finally:
        if not options.keep:
            demo.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
