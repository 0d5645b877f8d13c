"""What is wrong with ports that a cluster exposes."""

import pytest
from msgspec.structs import replace

from protocol.grid.apply import Manner, manner_of
from protocol.grid.check import problems
from protocol.grid.expand import workspaces
from protocol.grid.limits import FIXED_PORTS_MAX
from protocol.grid.model import ClusterSpec, Exposure, GridSpec, ImageRef, NetworkSpec, Transport

UDP = Transport.UDP
WEB = ClusterSpec(
    name="web",
    count=2,
    image=ImageRef("guest"),
    cpus_milli=1000,
    memory_bytes=1 << 30,
    networks=("lan",),
)
GRID = GridSpec("star", (WEB,), networks=(NetworkSpec("lan", "10.42.0.0/24"),))
TWO = (*GRID.networks, NetworkSpec("wan", "10.43.0.0/24"))


def exposing(*ports: Exposure, **changes: object) -> GridSpec:
    return replace(GRID, clusters=(replace(WEB, expose=ports, **changes),))


def said(spec: GridSpec) -> list[str]:
    return [str(problem) for problem in problems(spec)]


def test_what_can_be_asked_for() -> None:
    """One number by both transports, chosen or not, and two guest ports at two numbers."""
    ports = (Exposure(443), Exposure(443, UDP), Exposure(22, outside=2222))
    assert said(exposing(*ports, Exposure(53, UDP, 2222))) == []
    assert workspaces(exposing(*ports))[1].expose == ports


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            exposing(Exposure(0)),
            "clusters[0].expose[0].port: found 0; allowed are 1 to 65535",
        ),
        (
            exposing(Exposure(22, outside=70_000)),
            "clusters[0].expose[0].outside: found 70000; allowed are 1 to 65535",
        ),
        (
            exposing(Exposure(22), Exposure(22, outside=2222)),
            "clusters[0].expose[1].port: found 22/tcp a second time; each port of a guest is exposed once",
        ),
        (
            exposing(Exposure(22, outside=2222), Exposure(80, outside=2222)),
            "clusters[0].expose[1].outside: found 2222/tcp a second time; it leads to port 22 of the guest",
        ),
        (
            exposing(Exposure(22), networks=()),
            "clusters[0].expose: found ports of guests that are on no network; "
            "write networks: [lan], by which they are reached",
        ),
        (
            replace(exposing(Exposure(22), networks=()), networks=TWO),
            "clusters[0].expose: found ports of guests that are on no network; "
            "write networks: [lan, wan], by which they are reached",
        ),
    ],
)
def test_what_cannot(spec: GridSpec, message: str) -> None:
    assert said(spec) == [message]


def test_too_many_are_said_alone() -> None:
    many = exposing(*(Exposure(port) for port in range(1, 34)))
    assert said(many) == ["clusters[0].expose: found 33 entries; at most 32 are allowed"]


def test_a_grid_names_no_more_ports_of_hosts_than_a_host_is_asked_about() -> None:
    clusters = tuple(
        replace(
            WEB, name=f"c{n}", expose=tuple(Exposure(p, outside=1000 * n + p) for p in range(1, 23))
        )
        for n in range(1, 4)
    )
    (message,) = said(replace(GRID, clusters=clusters))
    assert message == f"clusters: found 66 ports under `as`; at most {FIXED_PORTS_MAX} are allowed"


def test_ports_come_and_go_while_a_guest_runs_that_has_a_way_to_answer() -> None:
    """Its guest has a way out, or is exposed already. Else it must be told of a way, at a start."""
    plain, more = exposing(), exposing(Exposure(80))
    most = exposing(Exposure(80), Exposure(443))
    out = replace(GRID.networks[0], internet=True)

    def manner(old: GridSpec, new: GridSpec) -> Manner:
        return manner_of(workspaces(old)[0], workspaces(new)[0])

    assert manner(plain, more) is Manner.RESTART
    assert manner(replace(plain, networks=(out,)), replace(more, networks=(out,))) is Manner.LIVE
    assert manner(more, most) is manner(most, more) is manner(more, plain) is Manner.LIVE
