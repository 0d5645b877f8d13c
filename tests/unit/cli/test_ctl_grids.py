"""overlayctl's way from a grid file to a grid and back, against a real node."""

import asyncio
import json
import re
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest
import yaml
from asked_daemon import Daemon
from one_host import FACTS, image_file

from overlayd.api.views import GridView
from protocol.capacity.advert import GivenPorts
from protocol.node.events import Probed
from protocol.node.rows import GridRow
from protocol.requesting.request import RequestView
from protocol.terms.refusal import PORTS

PLAN = """\
demo, 6 h from when it is up
  lan       10.42.0.0/24, 1 site, plain, mtu 1450
  scratch   1 GiB on h1
  head-1    h1  0.5 cpus   256 MiB              image cached
  worker-1  h1  0.25 cpus  128 MiB, 2 GiB disk  image cached
  worker-2  h1  0.25 cpus  128 MiB, 2 GiB disk  image cached
  logs of consoles: 36 MiB of disk, 12 MiB each
3 workspaces, 1 network, 1 volume on 1 host at 1 site. Nothing is held.
"""

EXPOSING = "networks: [lan]\n    expose: [{port: 53/udp, as: 30003}, 443]"
TOO_BIG = """\
error: cannot place 2 of 2 worker: each needs 0.25 cpus, 8 GiB, 2 GiB disk
  1 host holds 1 of the 3 workspaces
  1 host lacks memory; the nearest, h1, by 4.2 GiB
  would work: memory 1920M for worker, now
"""


ONCE = """\
error: cannot place 1 of 2 worker: each needs 0.25 cpus, 128 MiB, 2 GiB disk, 1 exposed port
  1 host holds 2 of the 3 workspaces
  1 host: port: the exposed port 30002 has another workspace there, and a host gives each to one (h1)
  would work: count 1 of worker, now
  would work: without ports under `as`: hosts choose them, now
"""


def test_plan_prints_where_everything_would_go_and_says_so_by_its_code(daemon: Daemon) -> None:
    assert daemon.ask("plan", daemon.grid_file).stdout == PLAN
    assert daemon.ask("ps").stdout == "no grids\n"
    daemon.up()
    again = daemon.ask("plan", daemon.grid_file)
    assert again.stdout == "demo is up already: 3 workspaces on 1 host at 1 site\n"


def test_plan_names_the_ipv6_that_a_file_gives_a_network(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text()
    six = text.replace("{cidr: 10.42.0.0/24,", "{cidr: 10.42.0.0/24, cidr6: fd42:17::/64,")
    daemon.grid_file.write_text(six)
    lan = "lan       10.42.0.0/24 and fd42:17::/64, 1 site, plain"
    assert lan in daemon.ask("plan", daemon.grid_file).stdout
    daemon.up()
    assert "fd42:17::a2a:a" in daemon.ask("show", "demo").stdout


def test_plan_says_what_is_asked_of_networks(daemon: Daemon) -> None:
    rates = {"network_bits_s": 10**10, "disk_bytes_s": 1 << 30}
    capacity = msgspec.structs.replace(FACTS.capacity, **rates)
    gives = Probed(msgspec.structs.replace(FACTS, capacity=capacity, egress=True))
    daemon.call(lambda: daemon.host.submit(gives))
    lan = "{internet: true, multicast: true, cidr: 10.42.0.0/24,"
    text = daemon.grid_file.read_text().replace("{cidr: 10.42.0.0/24,", lan)
    text = text.replace(
        "networks: [lan]", "networks: [lan]\n    network-rate: 100M\n    disk-rate: 50M", 1
    )
    daemon.grid_file.write_text(text)
    planned = daemon.ask("plan", daemon.grid_file).stdout
    assert "mtu 1450, internet, multicast\n" in planned
    assert "256 MiB, 100 Mbit/s, 50 MiB/s  " in planned


def test_what_does_not_fit_is_explained(daemon: Daemon) -> None:
    plan = daemon.ask("plan", daemon.grid_file, "--profile", "big", code=1)
    assert (plan.stdout, plan.stderr) == ("", TOO_BIG)
    up = daemon.ask("up", daemon.grid_file, "--profile", "big", code=1)
    assert up.stderr == TOO_BIG
    assert up.stdout == "asking 1 host for quotes\n"
    explained = daemon.ask("explain", "demo").stdout
    assert re.match(r"up demo: failed, request [0-9a-f]{20}\n", explained)
    assert explained.endswith(TOO_BIG.removeprefix("error: "))


def test_up_shows_every_change_once_and_then_the_answer(daemon: Daemon) -> None:
    lines = daemon.ask("up", daemon.grid_file).stdout.splitlines()
    assert lines[0] == "asking 1 host for quotes"
    assert "all held; committing with 1 steward" in lines
    assert lines[-1] == "demo is up: 3 workspaces"
    for name in ("head-1  ", "worker-1", "worker-2"):
        assert lines.count(f"{name}  h1 (ams)  ready") == 1
    assert len(lines) == len(set(lines))


CHANGED = """\
demo is up, and this changes it: 2 to add, 2 to change
  + worker-3
  + worker-4
  ~ worker-1, worker-2 memory 128 MiB > 64 MiB (live)
  = 1 unchanged
"""


def change(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text()
    daemon.grid_file.write_text(text.replace("count: 2", "count: 4").replace("128M", "64M"))


def test_up_of_a_file_that_is_up_already_is_done(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("up", daemon.grid_file).stdout.splitlines()
    assert "demo is up already: 3 workspaces on 1 host at 1 site" in said
    assert said[-1] == "demo is up: 3 workspaces"


def test_up_of_a_changed_file_says_what_it_would_change_and_asks(daemon: Daemon) -> None:
    daemon.up()
    change(daemon)
    said = daemon.ask("up", daemon.grid_file, code=2).stderr
    assert said == f"error: {CHANGED}  would work: overlayctl up {daemon.grid_file} -y\n"
    daemon.ask("down", "demo", "--delete-volumes")
    assert daemon.ask("up", daemon.grid_file).stdout.endswith("demo is up: 5 workspaces\n")


def test_up_of_another_profile_than_is_up_says_what_it_would_change(daemon: Daemon) -> None:
    daemon.up()
    error = daemon.ask("up", daemon.grid_file, "--profile", "big", code=2).stderr
    assert "  ~ worker-1, worker-2 memory 128 MiB > 8 GiB (restart)\n" in error
    refused = daemon.ask("up", daemon.grid_file, "--profile", "big", "-y", code=1).stderr
    assert "memory" in refused


def test_an_images_name_that_means_something_else_now_is_a_difference(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.up()
    (had,) = json.loads(daemon.ask("image", "list", "-o", "json").stdout)
    old = had["digest"][:12]

    async def lose_the_old() -> None:
        """What is in use is not removed by command; here its files are lost."""
        await daemon.host.images.remove(had["digest"])
        await daemon.host.images_changed()

    asyncio.run_coroutine_threadsafe(lose_the_old(), daemon.loop).result(10)
    daemon.ask("image", "add", image_file(tmp_path / "b.img", "guest", "quiet"))
    new = daemon.ask("image", "list").stdout.splitlines()[1].split()[1]
    assert daemon.ask("up", daemon.grid_file, code=2).stderr.splitlines()[1] == (
        f"  ~ head-1 image guest {old} > guest {new}; the name has another content now"
        " (new root disk, keeps scratch)"
    )


def test_plan_tells_scripts_by_its_code_whether_something_would_change(daemon: Daemon) -> None:
    def plan(*more: str, code: int) -> str:
        return daemon.ask("plan", daemon.grid_file, "--detailed-exitcode", *more, code=code).output

    assert plan(code=2) == PLAN
    plan("--profile", "big", code=1)
    plan("--profile", "none", code=1)
    plan("--no-such-option", code=1)
    daemon.up()
    assert plan(code=0) == "demo is up already: 3 workspaces on 1 host at 1 site\n"
    view = msgspec.json.decode(plan("-o", "json", code=0), type=RequestView)
    assert (view.state, view.unchanged, view.differs) == ("done", True, ())
    change(daemon)
    assert plan(code=2).splitlines()[-1] == CHANGED.splitlines()[0].rpartition(": ")[2]
    said = daemon.ask("plan", daemon.grid_file, "-o", "json").stdout
    view = msgspec.json.decode(said, type=RequestView)
    assert view.delta is not None
    assert view.delta.added == ("worker-3", "worker-4")


def test_up_with_a_login_key(daemon: Daemon) -> None:
    key = daemon.folder / "id.pub"
    key.write_text(
        "# mine\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKFNiUYmPS7qBZK7tfSu2g2JSLkpf/VYJgZ8bZ0mZzQx me\n"
    )
    daemon.ask("up", daemon.grid_file, "--ssh-key", key)
    row = daemon.host.node.host.leases.rows()[0]
    assert b"AAAAC3NzaC1lZDI1NTE5" in row.record.order.payload


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "error: {0} is a private key, which no grid should carry\n"
            "  would work: {0}.pub, the public one beside it\n",
        ),
        (None, "error: {0} cannot be read: no such file or directory\n"),
    ],
)
def test_a_login_key_that_is_none(daemon: Daemon, text: str | None, said: str) -> None:
    key = daemon.folder / "id"
    if text is not None:
        key.write_text(text)
    error = daemon.ask("up", daemon.grid_file, "--ssh-key", key, code=2).stderr
    assert error == said.format(key)


def test_no_wait_hands_over_and_explain_tells(daemon: Daemon) -> None:
    said = daemon.ask("up", daemon.grid_file, "--no-wait").stdout
    assert re.fullmatch(
        r"request [0-9a-f]{20}: `overlayctl explain demo` tells what becomes of it\n", said
    )
    story = daemon.ask("explain", said.split(":")[0].removeprefix("request ")).stdout
    assert story.startswith("up demo: ")


def test_ps_and_show(daemon: Daemon) -> None:
    daemon.up()
    head, row = daemon.ask("ps").stdout.splitlines()
    assert head.split() == [
        "NAME",
        "STATE",
        "WORKSPACES",
        "PHASES",
        "HOSTS",
        "SITES",
        "OWNER",
        "LEASE",
        "ID",
    ]
    assert row.split()[:8] == ["demo", "up", "3", "3", "ready", "1", "1", "ams"]
    (grid,) = daemon.host.node.notices.grids()
    head, *rows = daemon.ask("ps", "demo").stdout.splitlines()
    assert head.split() == ["WORKSPACE", "HOST", "SITE", "PHASE", "ADDRESS", "AGE", "DETAIL"]
    (notice,) = [heard.notice for heard in daemon.host.node.notices.about(grid).values()]
    addresses = dict(notice.addresses)  # of several, the first comes last
    assert [line.split() for line in rows] == [
        [name, "h1", "ams", "ready", addresses[name], "-"]
        for name in ("head-1", "worker-1", "worker-2")
    ]
    assert len({IPv4Address(address) for address in addresses.values()}) == 3
    shown = daemon.ask("show", "demo").stdout.splitlines()
    assert re.fullmatch(r"demo  up, epoch 1, id [0-9a-f]{20}\.[0-9a-f-]+", shown[0])
    assert shown[1] == "owner       site ams's admin"
    assert shown[3:8] == [
        "stewards    h1",
        "workspaces  3 on 1 host at 1 site: 3 ready",
        "sizes       head    0.5 cpus, 256 MiB",
        "            worker  0.25 cpus, 128 MiB, 2 GiB disk",
        "networks    lan (plain, mtu 1450)",
    ]


def test_where_workspaces_are_reached_from_outside_is_planned_and_shown(daemon: Daemon) -> None:
    capacity = msgspec.structs.replace(FACTS.capacity, devices=((PORTS, 11),))
    ports = GivenPorts(30_000, 30_010, "198.51.100.7")
    gives = Probed(msgspec.structs.replace(FACTS, capacity=capacity, ports=ports))
    daemon.call(lambda: daemon.host.submit(gives))
    text = daemon.grid_file.read_text().replace("networks: [lan]", EXPOSING, 1)
    worker = text.replace("    count: 2\n", "    count: 2\n    expose: [{port: 22, as: 30002}]\n")
    daemon.grid_file.write_text(worker)
    refused = daemon.ask("up", daemon.grid_file, code=1).stderr
    assert refused == ONCE
    daemon.grid_file.write_text(text)
    planned = daemon.ask("plan", daemon.grid_file).stdout
    assert "  exposed: 198.51.100.7, one of 30000-30010 -> head-1:443\n" in planned
    assert "  exposed: 198.51.100.7:30003/udp -> head-1:53\n" in planned
    assert " note: " not in planned
    daemon.up()
    shown = daemon.ask("show", "demo").stdout.splitlines()
    (first,) = [
        line for line in shown if line.startswith("exposed     198.51.100.7:30003/udp -> head-1:53")
    ]
    chosen = shown[shown.index(first) + 1]
    assert re.fullmatch(r" {12}198\.51\.100\.7:300(0\d|10) -> head-1:443", chosen)
    view = msgspec.json.decode(daemon.ask("show", "demo", "-o", "json").stdout, type=GridView)
    assert view.workspaces[0].exposed == (first[12:], chosen[12:])
    assert view.workspaces[1].exposed == ()


def test_all_addresses_of_a_workspace_are_shown(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text().replace("networks: [lan]", "networks: [lan, wan]", 1)
    wan = "networks:\n  wan: {cidr: 10.43.0.0/24, encryption: none}\n"
    daemon.grid_file.write_text(text.replace("networks:\n", wan, 1))
    daemon.up()
    rows = {
        line.split()[0]: line for line in daemon.ask("show", "demo").stdout.splitlines() if line
    }
    six = r"fd[0-9a-f]{2}:\S+:"
    assert re.search(rf"ready  10.43.0.10, 10.42.0.10, {six}a2b:a, {six}a2a:a  -", rows["head-1"])
    assert re.search(rf"ready  10.42.0.11, {six}a2a:b  ", rows["worker-1"])
    view = msgspec.json.decode(daemon.ask("show", "demo", "-o", "json").stdout, type=GridView)
    head = view.workspaces[0]
    assert (head.address, head.addresses[:2]) == ("10.43.0.10", ("10.43.0.10", "10.42.0.10"))
    shown = daemon.ask("ps", "demo").stdout
    assert "ready  10.43.0.10, 10.42.0.10  -" in shown


def test_a_grid_whose_time_has_not_come_is_reserved(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text().replace("{for: 6h}", "{for: 6h, start: in 3h}")
    daemon.grid_file.write_text(text)
    daemon.up()
    row = daemon.ask("ps").stdout.splitlines()[1]
    assert row.split()[:2] == ["demo", "reserved"]
    assert daemon.ask("show", "demo").stdout.startswith("demo  reserved, epoch 1")


def test_json_and_yaml_are_the_apis_structures(daemon: Daemon) -> None:
    daemon.up()
    rows = msgspec.json.decode(daemon.ask("ps", "--output", "json").stdout, type=list[GridRow])
    assert [row.name for row in rows] == ["demo"]
    view = yaml.safe_load(daemon.ask("-o", "yaml", "show", "demo").stdout)
    assert msgspec.convert(view, GridView, strict=False).grid.name == "demo"
    plan = daemon.ask("plan", daemon.grid_file, "--output=json").stdout
    assert json.loads(plan)["grid"] == "demo"


def test_up_in_json_is_the_request_alone(daemon: Daemon) -> None:
    said = daemon.ask("up", daemon.grid_file, "-o", "json").stdout
    view = msgspec.json.decode(said, type=RequestView)
    assert (view.kind, view.state, len(view.placement)) == ("up", "done", 3)
    change(daemon)
    refused = daemon.ask("up", daemon.grid_file, "-o", "json", code=2)
    told = json.loads(refused.stderr)
    assert told["problem"].startswith("demo is up, and this changes it")
    made = daemon.ask("up", daemon.grid_file, "-o", "json", "-y").stdout
    view = msgspec.json.decode(made, type=RequestView)
    assert (view.kind, view.state, view.epoch) == ("apply", "done", 2)


def test_the_life_of_a_workspace(daemon: Daemon) -> None:
    daemon.up()
    for command in ("pause", "resume", "restart"):
        said = daemon.ask(command, "demo/worker-1").stdout
        assert said.endswith(f"demo/worker-1: {command} done\n")
    assert daemon.ask("pause", "demo").stdout.endswith("demo: pause done\n")
    assert [line.split()[3] for line in daemon.ask("ps", "demo").stdout.splitlines()[1:]] == [
        "paused",
        "paused",
        "paused",
    ]
    assert daemon.ask("terminate", "demo/worker-2").stdout.endswith("demo/worker-2 is gone\n")
    assert len(daemon.ask("ps", "demo").stdout.splitlines()) == 3
    asked = daemon.ask("down", "demo", code=2).stderr
    assert asked == (
        "error: demo has volumes, and `down` deletes them: scratch (1 GiB) on h1\n"
        "  would work: overlayctl down demo --delete-volumes\n"
    )
    down = daemon.ask("down", "demo", "--delete-volumes").stdout.splitlines()
    assert down == [
        "down: asking 1 steward",
        "decided, epoch 3; 1 host to clear up",
        "demo is gone",
    ]
    assert daemon.ask("ps").stdout == "no grids\n"
    assert json.loads(daemon.ask("ps", "-o", "json").stdout) == []
    _, row = daemon.ask("ps", "--all").stdout.splitlines()
    assert row.split()[:2] == ["demo", "down"]
    assert row.split()[-2] == "-", "there is no lease any more"
    assert [r["state"] for r in json.loads(daemon.ask("ps", "--all", "-o", "json").stdout)] == [
        "down"
    ]
    error = daemon.ask("down", "demo", code=1).stderr
    assert error == (
        "error: there is no grid named demo\n"
        "  would work: `overlayctl ps` lists the grids there are\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("terminate", "demo"),
            "error: demo is not a workspace; write GRID/WORKSPACE\n"
            "  would work: `overlayctl ps demo` lists a grid's workspaces\n",
        ),
        (
            ("down", "demo/head-1"),
            "error: demo/head-1 is one workspace; down takes a whole grid down\n"
            "  would work: overlayctl terminate demo/head-1\n",
        ),
        (
            ("console", "demo/head-1", "-i"),
            "error: a console is typed into from a terminal, and this is none\n"
            "  would work: overlayctl console demo/head-1 --follow\n",
        ),
    ],
)
def test_what_is_not_a_workspace_or_not_a_grid(
    daemon: Daemon, words: tuple[str, ...], said: str
) -> None:
    assert daemon.ask(*words, code=2).stderr == said


def test_unknown_names(daemon: Daemon) -> None:
    daemon.up()
    ps = "  would work: `overlayctl ps` lists the grids there are\n"
    said = daemon.ask("show", "demos", code=1).stderr
    assert said == f'error: there is no grid "demos"; there is demo\n{ps}'
    assert daemon.ask("show", "demo/head-1", code=2).stderr == (
        "error: demo/head-1 is a workspace, and this is about a whole grid\n"
        "  would work: the same with demo\n"
    )
    said = daemon.ask("show", "demo/head", code=1).stderr
    assert said == f'error: there is no grid "demo/head"; there is ams/demo\n{ps}'
    for name in ("ams/demo/head-1", "..", "", "../x"):
        said = daemon.ask("show", name, code=1).stderr
        assert said == f'error: "{name}" is no grid\'s name\n{ps}'
    assert daemon.ask("explain", "other", code=1).stderr == (
        'error: there is no request or grid "other"; known here: demo\n'
    )
    assert daemon.ask("pause", "demo/worker-9", code=1).stderr == (
        "error: demo has no workspace worker-9; it has head-1, worker-1, worker-2\n"
    )


def test_explain_of_a_grid_by_its_whole_name(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("explain", "ams/demo").stdout
    assert said == daemon.ask("explain", "demo").stdout
    assert said.startswith("up demo: done")


def test_explain_of_a_grid_asked_for_elsewhere(daemon: Daemon) -> None:
    daemon.up()
    requests = daemon.host.node.requester.requests
    daemon.call(requests._all.clear)
    said = daemon.ask("explain", "demo").stdout
    assert said == (
        "demo is up; it was asked for at another peer, or long ago\n"
        "  every workspace is where it should be\n"
    )


def test_request_list(daemon: Daemon) -> None:
    assert daemon.ask("request", "list").stdout == "no requests\n"
    daemon.up()
    _, row = daemon.ask("request", "list").stdout.splitlines()
    assert row.split()[1:] == ["up", "demo", "done", "done", "demo", "is", "up:", "3", "workspaces"]


def test_a_grid_that_may_be_smaller_is_planned_as_large_as_there_is_room(daemon: Daemon) -> None:
    file = daemon.folder / "many.yaml"
    text = daemon.grid_file.read_text().replace("    count: 2\n", "    count: 90\n    min: 2\n")
    file.write_text(text)
    told = daemon.ask("plan", file).stdout.splitlines()
    there = sum(line.startswith("  worker-") for line in told)
    assert 2 < there < 90
    assert f"  {there} of worker fit now; 90 asked, at least 2" in told


def test_what_no_host_has_is_said_with_what_would_be_granted(daemon: Daemon) -> None:
    file = daemon.folder / "special.yaml"
    text = daemon.grid_file.read_text()
    file.write_text(text.replace("    count: 2\n", "    labels: {required: [nvme]}\n"))
    assert daemon.ask("plan", file, code=1).stderr == (
        "error: cannot place 1 of 1 worker: each needs 0.25 cpus, 128 MiB, 2 GiB disk\n"
        "  1 host holds 1 of the 2 workspaces\n"
        "  1 host: label: it has no label nvme (h1)\n"
        "  would work: without labels.required, now\n"
    )
    file.write_text(text.replace("    count: 2\n", "    devices: {gpu: 1}\n"))
    told = daemon.ask("plan", file, code=1).stderr.splitlines()
    assert told[2:] == ["  1 host lacks device gpu; the nearest, h1, by 1"]


def test_what_may_be_a_mistake_is_told_beside_the_plan_and_the_grid(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text()
    daemon.grid_file.write_text(text.replace("profiles:", "placement: {exclude: [h11]}\nprofiles:"))
    note = "  note: placement.exclude: no host is called h11; h1 is one"
    assert note in daemon.ask("plan", daemon.grid_file).stdout.splitlines()
    said = daemon.ask("up", daemon.grid_file).stdout.splitlines()
    assert said[-2:] == ["demo is up: 3 workspaces", note]


def test_request_cancel_ends_what_waits(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text().replace("demo", "big", 1)
    text = text.replace("{for: 6h}", "{for: 6h, best-effort: true}").replace(
        "    count: 2\n", "    count: 90\n"
    )
    file = daemon.folder / "big.yaml"
    file.write_text(text)
    daemon.ask("up", file)
    _, row, *_ = daemon.ask("request", "list").stdout.splitlines()
    request = row.split()[0]
    for _ in range(2):
        said = daemon.ask("request", "cancel", request).stdout
        assert said == "cancelled; it waits no more\n", "said again, it is done once"
    assert "queued" not in daemon.ask("ps").stdout
    assert daemon.host.view.this_peer().holds == 0


def test_request_cancel_of_what_is_none(daemon: Daemon) -> None:
    assert "no request" in daemon.ask("request", "cancel", "nothing", code=1).stderr
    said = daemon.ask("request", "cancel", "../grids", code=1).stderr
    assert said.startswith('error: "../grids" is no request\'s id')
