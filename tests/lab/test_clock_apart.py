"""A daemon that starts with its clock 25 hours ahead ends nothing, says so everywhere, and follows NTP."""

import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
from federation import orders
from federation.launch import Host, wait_for
from loopback import Daemons, image_file, make_daemons

from overlayd.ports.peer import EventLine
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.node.status_rows import StatusRow
from protocol.requesting.request import RequestState

AHEAD_S = 25 * 3600.0
SCRIPT = str(Path(__file__).parent / "set_clock_daemon.py")


def start_ahead(daemons: Daemons, name: str, ahead: Path) -> int:
    """Starts a daemon by the clock that a file says, and answers its process id."""
    host = daemons.hosts[name]
    argv = [sys.executable, SCRIPT, str(ahead), "run", "-c", str(host.folder / "overlayd.toml")]
    with host.log.open("ab") as log:
        host.process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    daemons.wait_ready(host)
    return host.process.pid


def status(host: Host) -> StatusRow:
    return msgspec.json.decode(host.ask("GET", "status").content, type=StatusRow)


def told(host: Host) -> list[str]:
    lines = host.ask("GET", "events").content.splitlines()
    return [msgspec.json.decode(line, type=EventLine).kind for line in lines]


def detail(host: Host, workspace: str) -> str:
    view = orders.grid(host, "work")
    return (
        "" if view is None else next(w.detail for w in view.workspaces if w.workspace == workspace)
    )


def test_a_daemon_that_starts_25_hours_ahead_ends_nothing_and_follows_once_mended(
    folder: Path,
) -> None:
    ahead = folder / "ahead"
    ahead.write_text(str(AHEAD_S))
    with make_daemons(folder, ("ams", "bnl", "uc")) as daemons:
        daemons.start_all()
        daemons.wait_converged()
        h1, h3 = daemons.hosts["h1"], daemons.hosts["h3"]
        daemons.image = orders.add_image(h1, image_file(folder / "guest.tar"))
        daemons.wait_image_known()
        terms = LeaseTerms(on_expiry=OnExpiry.DELETE, grace_s=0)
        spec = msgspec.structs.replace(orders.spec("work", daemons.image, 30), lease=terms)
        made = orders.obeyed(h1, orders.up(daemons.identity("ams"), spec, h1))
        assert made.state is RequestState.DONE, made.answer
        view = orders.grid(h1, "work")
        assert view is not None
        mine = next(row.workspace for row in view.workspaces if row.host == "h3")
        daemons.kill("h3")
        pid = start_ahead(daemons, "h3", ahead)

        wait_for(lambda: "ends when clocks agree" in detail(h1, mine), 30, "h1 hears what waits")
        said = "this host's clock is 1 d ahead of the median of 2 neighbours"
        wait_for(lambda: said in status(h3).no_room_why, 30, "h3 has asked both for their time")
        assert "clock" in [problem.kind for problem in status(h3).problems]
        wait_for(lambda: orders.peers(h1)["h3"].clock_ahead_s > AHEAD_S - 60, 40, "h1 shows it")
        assert "clock 1 d ahead" in daemons.ctl("h1", "peers").stdout
        assert {"clock.apart", "lease.waits"} <= set(told(h3))
        view = orders.grid(h1, "work")
        assert view is not None
        assert (view.grid.state, orders.me(h3).carried) == ("up", 1)

        before = orders.me(h3).incarnation
        ahead.write_text("0")

        def mended() -> bool:
            try:
                return orders.me(h3).incarnation > before and "clock.followed" in told(h3)
            except (OSError, httpx.HTTPError):
                return False

        wait_for(mended, 40, "h3 begins anew by its machine's clock")
        assert h3.process is not None
        assert (h3.process.pid, h3.process.poll()) == (pid, None), "it is the same process"
        wait_for(lambda: status(h3).no_room_why == "", 30, "h3 offers room again")
        wait_for(lambda: detail(h1, mine) == "", 30, "nothing waits any more")
        wait_for(lambda: not orders.peers(h1)["h3"].clock_ahead_s, 40, "h1 shows no difference")
