"""Names in a grid that nobody has are told, with the nearest name that somebody has."""

import pytest
from asking import cluster, grid, host

from protocol.grid.model import DeviceCount, GridSpec
from protocol.placement.suspects import SUSPECTS_MOST, Known, known_of, suspects

HOSTS = (
    host("uc-1", "uc", labels=("gpu-node", "rack=b7"), devices=(("gpu", 2),)),
    host("uc-2", "uc", labels=("gpu-node",)),
    host("fnal-1", "fnal"),
)
KNOWN = known_of(HOSTS, ("star-main",))


def web(**more: object) -> GridSpec:
    return grid(cluster(**more))


TABLE = {
    "label": (
        web(labels=("gpu-nod",)),
        "clusters.web.labels.required: no host has gpu-nod; gpu-node is on 2",
    ),
    "value of a label": (
        web(preferred_labels=("rack=b8",)),
        "clusters.web.labels.preferred: no host has rack=b8; rack=b7 is on 1",
    ),
    "a label like no other": (
        web(labels=("zz",)),
        "clusters.web.labels.required: no host has zz; there are gpu-node and rack=b7",
    ),
    "device": (
        web(devices=(DeviceCount("gpus", 1),)),
        "clusters.web.devices: no host has device gpus; gpu is on 1",
    ),
    "site": (
        grid(cluster(), sites=("fnl",)),
        "placement.sites: no host is at site fnl; fnal has 1",
    ),
    "site that is excluded": (
        grid(cluster(), exclude_sites=("ucc",)),
        "placement.exclude-sites: no host is at site ucc; uc has 2",
    ),
    "site that is preferred": (
        grid(cluster(), prefer=("bnl",)),
        "placement.prefer: no host is at site bnl; there are fnal and uc",
    ),
    "host": (
        grid(cluster(), exclude=("fnal-11",)),
        "placement.exclude: no host is called fnal-11; fnal-1 is one",
    ),
    "grid": (
        grid(cluster(), apart=("star-mian",)),
        "placement.apart: no grid of this owner is called star-mian; star-main is one",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_a_name_that_nobody_has(row: str) -> None:
    spec, line = TABLE[row]
    assert suspects(spec, KNOWN) == (line,)


def test_names_that_somebody_has_are_no_suspects() -> None:
    spec = grid(
        cluster(labels=("gpu-node",), devices=(DeviceCount("gpu", 1),)),
        sites=("uc",),
        exclude=("uc-2",),
        exclude_sites=("fnal",),
        prefer=("uc",),
        apart=("star-main",),
    )
    assert suspects(spec, KNOWN) == ()


def test_a_name_of_several_clusters_is_told_once() -> None:
    spec = grid(cluster("a", labels=("gpu-nod",)), cluster("b", labels=("gpu-nod",)))
    assert suspects(spec, KNOWN) == (
        "clusters.a.labels.required: no host has gpu-nod; gpu-node is on 2",
    )


def test_where_nobody_and_nothing_is_known_nothing_is_told() -> None:
    spec = grid(cluster(labels=("gpu-nod",)), apart=("other",), exclude=("x",))
    assert suspects(spec, Known((), {}, {}, {})) == ()
    assert suspects(grid(cluster(), apart=("other",)), known_of(HOSTS)) == ()


def test_a_refusal_tells_only_what_its_reasons_do_not() -> None:
    bare = known_of((host("h1"),))
    assert suspects(web(labels=("ssd",)), bare) == (
        "clusters.web.labels.required: no host has ssd",
    )
    assert suspects(web(labels=("ssd",)), bare, refused=True) == ()
    assert len(suspects(web(labels=("gpu-nod",)), KNOWN, refused=True)) == 1


def test_many_names_are_counted() -> None:
    names = tuple(f"tag{n}" for n in range(SUSPECTS_MOST + 3))
    lines = suspects(web(labels=names), KNOWN)
    assert len(lines) == SUSPECTS_MOST + 1
    assert lines[-1] == "and 3 more names that nobody has"
