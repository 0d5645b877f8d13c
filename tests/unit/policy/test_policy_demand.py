"""What a grid asks of a site: all of its workspaces together."""

from protocol.capacity.quantum import Quantum
from protocol.grid.expand import workspaces
from protocol.grid.model import (
    ClusterSpec,
    DeviceCount,
    Exposure,
    GridSpec,
    ImageRef,
    NetworkSpec,
)
from protocol.policy.demand import Demand, demand_of
from protocol.terms.ids import Digest


def test_a_grid_asks_for_the_sum_of_its_workspaces_and_each_thing_once() -> None:
    image, other = ImageRef("a", "a" * 64), ImageRef("b", "b" * 64)
    spec = GridSpec(
        "g",
        (
            ClusterSpec(
                "head",
                2,
                image,
                500,
                1 << 20,
                networks=("lan",),
                devices=(DeviceCount("gpu", 1),),
                expose=(Exposure(443, outside=30443), Exposure(22)),
            ),
            ClusterSpec("worker", 3, other, 1000, 2 << 20, scratch_bytes=1 << 30),
        ),
        networks=(NetworkSpec("lan", "10.0.0.0/24", internet=True),),
    )
    members = workspaces(spec)
    disk_bytes = sum(member.disk_bytes for member in members)
    assert demand_of(members, 60) == Demand(
        Quantum(4000, 8 << 20, disk_bytes, (("gpu", 2),)),
        workspaces=5,
        lease_s=60,
        images=(Digest("a" * 64), Digest("b" * 64)),
        ports=(30443, 0),
        egress=True,
    )
    assert disk_bytes >= 3 << 30


def test_an_image_that_nobody_has_looked_up_is_none() -> None:
    spec = GridSpec("g", (ClusterSpec("head", 1, ImageRef("a"), 500, 1 << 20),))
    demand = demand_of(workspaces(spec))
    assert (demand.images, demand.egress, demand.ports) == ((), False, ())
