"""What hosts decide is in their logs, and what leases had is counted, also on a host that is killed."""

import json

from federation import orders
from federation.launch import wait_for
from loopback import Daemons

from protocol.requesting.request import RequestState
from protocol.trust.order import Action


def lines(daemons: Daemons, name: str) -> list[str]:
    """The log of a host, in words; its own verdict is that it is whole."""
    checked = daemons.ctl(name, "audit", "--verify")
    assert checked.returncode == 0, checked.stderr
    return daemons.ctl(name, "audit", "-n", "1000").stdout.splitlines()


def cpu_milli_s(daemons: Daemons, asked: str) -> int:
    """What site uc has had of the hosts of site ams, as one of them tells."""
    done = daemons.ctl(asked, "usage", "-o", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["of"]: row["total"]["reserved"][0] for row in json.loads(done.stdout)}
    return rows.get("uc", 0)


def test_a_log_and_counts_outlive_a_kill_and_name_who_asked_for_what(daemons: Daemons) -> None:
    host = daemons.hosts["h1"]
    made = orders.obeyed(
        host, orders.up(daemons.identity("uc"), orders.spec("logged", daemons.image, 8), host)
    )
    assert made.state is RequestState.DONE, made.answer
    view = orders.grid(host, "logged")
    assert view is not None
    here = {row.host for row in view.workspaces} & {"h1", "h4"}
    victim, other = ("h1", "h4") if "h1" in here else ("h4", "h1")
    assert victim in here
    about = orders.id_of(host, "logged")
    refused = orders.obeyed(host, orders.signed(daemons.identity("bnl"), Action.PAUSE, about))
    assert refused.state is RequestState.FAILED

    def is_named() -> bool:
        found = lines(daemons, "h1")
        return any("refused order (pause)" in line and "by bnl's" in line for line in found)

    wait_for(is_named, 10, "a refusal is in the log within a second")
    daemons.kill(victim)
    daemons.restart(victim)
    daemons.wait_converged()
    said = lines(daemons, victim)
    assert any("allowed hold (up) logged by uc's" in line for line in said)
    assert any("allowed record (up) logged by uc's" in line for line in said)
    wait_for(lambda: cpu_milli_s(daemons, other) > 0, 30, f"{other} hears what {victim} counted")
    before = cpu_milli_s(daemons, victim)
    down = orders.signed(daemons.identity("uc"), Action.DOWN, about)
    assert orders.obeyed(host, down).state is RequestState.DONE
    daemons.wait_nothing_left()
    assert any("allowed record (down)" in line for line in lines(daemons, victim))
    assert cpu_milli_s(daemons, victim) >= before
