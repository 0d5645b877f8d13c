"""Real daemons that cannot all reach each other: behind NAT, and behind one other site."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import Caps, wait_for
from loopback import Daemons, image_file

from netns import program
from netns.kernel import namespaces
from netns.lab.lab import Lab
from protocol.grid.model import PlacementSpec, Spread
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

EXAMPLE = Path(__file__).parents[2] / "examples" / "nat.toml"
NAME = f"nat-test-{os.getpid():x}"
IMAGE_BYTES = 4 << 20
"""More than a relay passes on at once for one peer."""
NETWORK_GRID = """\
grid: net
networks:
  lan: {{cidr: 10.42.0.0/24, encryption: none}}
clusters:
  n: {{count: {count}, image: "{image}", cpus: 0.1, memory: 64M, networks: [lan]}}
placement: {{spread: host, strict: [spread]}}
"""
REACH = {
    "open-1": "public",
    "open-2": "public",
    "home-1": "nat",
    "cafe-1": "nat",
    "far-1": "relayed",
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab.from_file(EXAMPLE, NAME)
    try:
        made.up()
        yield made
    finally:
        made.down(force=True)
    assert [name for name in namespaces.names() if NAME in name] == []


@pytest.fixture(scope="module")
def daemons(lab: Lab, short_folder: Path) -> Iterator[Daemons]:
    """Five daemons that know each other; the image is behind NAT."""
    caps = Caps(cpus="2", memory="2G", disk="1G")
    with Daemons(short_folder / "n", uri="test:///default", caps=caps) as made:
        made.enrol_lab(lab)
        made.start_all()
        made.wait_converged()
        content = image_file(short_folder / "nat-image", kernel=os.urandom(IMAGE_BYTES))
        made.image = orders.add_image(made.hosts["cafe-1"], content)
        made.wait_image_known()
        yield made


def answers(lab: Lab, host: str, to: str) -> bool:
    """Whether one echo request is answered."""
    argv = lab.command(host, "ping", "-c", "1", "-W", "0.5", lab.address(to))
    return program.attempt(argv)[0] == 0


def reach(daemons: Daemons, at: str) -> dict[str, str]:
    return {row.name: row.reach for row in orders.peers(daemons.hosts[at]).values()}


def through(daemons: Daemons, at: str, to: str) -> str:
    return next(r.through for r in orders.peers(daemons.hosts[at]).values() if r.name == to)


def test_the_lab_lets_through_what_its_file_says(lab: Lab) -> None:
    assert answers(lab, "home-1", "open-1")
    assert answers(lab, "cafe-1", "open-2")
    assert answers(lab, "far-1", "open-1")
    assert answers(lab, "open-2", "far-1")
    for here, there in (
        ("open-1", "home-1"),
        ("cafe-1", "home-1"),
        ("home-1", "cafe-1"),
        ("home-1", "far-1"),
        ("far-1", "cafe-1"),
    ):
        assert not answers(lab, here, there), f"{here} to {there}"
    assert lab.open("home")
    assert not lab.open("home")
    assert answers(lab, "open-1", "home-1")
    assert lab.close("home")
    assert not lab.close("home")
    assert not answers(lab, "open-1", "home-1")
    assert not lab.up(), "it is still whole"


def test_all_list_all_and_say_how_each_is_reached(daemons: Daemons) -> None:
    for name in daemons.names:
        wait_for(
            lambda name=name: reach(daemons, name) == REACH, 90, f"{name} knows who is reached how"
        )
    wait_for(lambda: through(daemons, "home-1", "cafe-1"), 60, "a path from NAT to NAT")
    said = daemons.ctl("home-1", "peers").stdout
    assert re.search(r"cafe-1 +cafe +alive +nat by open-[12]", said), said
    assert re.search(r"open-1 +open +alive +public  ", said), said


def test_a_grid_is_placed_across_all_of_them(daemons: Daemons) -> None:
    """It is asked for behind a NAT, its image is behind another, and only one site reaches a steward."""
    placement = PlacementSpec(spread=Spread.HOST)
    spec = msgspec.structs.replace(orders.spec("wide", daemons.image, 5), placement=placement)
    made = orders.obeyed(
        daemons.hosts["home-1"], orders.up(daemons.identity("home"), spec, daemons.hosts["home-1"])
    )
    assert made.state is RequestState.DONE, made.answer
    assert sorted(planned.host for planned in made.placement) == sorted(REACH)

    def running() -> bool:
        view = orders.grid(daemons.hosts["far-1"], "wide")
        return view is not None and [row.phase for row in view.workspaces] == ["running"] * 5

    wait_for(running, 60, "far-1 hears that all five run")
    passed_on = sum(
        orders.me(daemons.hosts[name]).relayed.get("bytes", 0) for name in ("open-1", "open-2")
    )
    assert passed_on > IMAGE_BYTES, "home-1 or far-1 has it from cafe-1, which it cannot dial"
    down = orders.signed(daemons.identity("home"), Action.DOWN, "wide")
    gone = orders.obeyed(daemons.hosts["far-1"], down)
    assert gone.state is RequestState.DONE, gone.answer
    daemons.wait_nothing_left()


def test_a_network_is_not_stretched_to_where_no_tunnel_gets(
    daemons: Daemons, tmp_path: Path
) -> None:
    """Two workspaces find a place side by side. Three on three hosts find none, and are told why."""
    said = []
    for count in (2, 3):
        file = tmp_path / f"net-{count}.yaml"
        file.write_text(NETWORK_GRID.format(count=count, image=daemons.image.digest))
        said.append(daemons.ctl("home-1", "plan", str(file)))
    two, three = said
    assert re.search(r"n-1 +open-[12]\b", two.stdout), two.stdout + two.stderr
    assert "2 hosts at 1 site" in two.stdout
    why = three.stdout + three.stderr
    assert "cannot place 1 of 3 n" in why, why
    assert re.search(r"3 hosts: underlay: no tunnel leaves site (home|cafe|far)", why), why
    assert "would work: count 2 of n, now" in why, why


def test_a_relay_that_is_killed_is_exchanged(daemons: Daemons) -> None:
    pairs = [("home-1", "cafe-1"), ("cafe-1", "far-1"), ("home-1", "far-1")]
    wait_for(lambda: all(through(daemons, *pair) for pair in pairs), 60, "a path for each pair")
    used = [through(daemons, *pair) for pair in pairs]
    victim = max(("open-1", "open-2"), key=used.count)
    rest = [name for name in daemons.names if name != victim]
    daemons.kill(victim)

    def moved() -> bool:
        now = [through(daemons, *pair) for pair in pairs]
        return victim not in now and daemons.converged(*rest)

    wait_for(moved, 60, "paths through the other relay, and everybody alive")
    daemons.restart(victim)
    daemons.wait_converged()


def test_a_direct_path_is_taken_up_when_the_nat_opens(lab: Lab, daemons: Daemons) -> None:
    wait_for(lambda: through(daemons, "home-1", "cafe-1"), 60, "a path from NAT to NAT")
    lab.open("cafe")
    try:

        def direct() -> bool:
            return not through(daemons, "home-1", "cafe-1") and not through(
                daemons, "cafe-1", "home-1"
            )

        wait_for(direct, 90, "home-1 and cafe-1 talk directly")
        assert daemons.converged(*daemons.names)
    finally:
        lab.close("cafe")
