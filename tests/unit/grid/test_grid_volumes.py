"""Volumes outlive workspaces: which of a grid's may not be deleted on a host."""

import msgspec
import pytest
from negotiating import ADMIN, NOW, A, record_of, shop

from protocol.grid.model import ClusterSpec, GridSpec, Mount, VolumeSpec
from protocol.grid.record import GridState, KeptVolume
from protocol.grid.volumes import (
    TerminateTerms,
    kept_volumes,
    pinned,
    terminate_terms,
    volumes_at,
)
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.wire.codec import Malformed, encode

DELETE = encode(TerminateTerms(delete_volumes=True))


def spec() -> GridSpec:
    """my-db mounts `data` and `log`; nobody mounts `spare`."""
    plain = shop(2)
    (web,) = plain.clusters
    mounts = (Mount("data", "/srv"), Mount("log", "/var/log"))
    db: ClusterSpec = msgspec.structs.replace(web, name="my-db", count=1, mounts=mounts)
    return msgspec.structs.replace(
        plain,
        clusters=(web, db),
        volumes=tuple(VolumeSpec(name, 1 << 30) for name in ("data", "log", "spare")),
    )


RECORD = record_of(ADMIN.up(spec(), NOW), {"web-1": A, "web-2": A, "my-db-1": A})


def terminated(workspace: str, body: bytes = b"") -> SignedOrder:
    return ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace=workspace, body=body)


def kept(*orders: SignedOrder) -> tuple[str, ...]:
    return kept_volumes(msgspec.structs.replace(RECORD, changes=orders), spec())


def test_everything_is_kept_while_the_grid_is_up_whoever_was_terminated() -> None:
    assert kept() == ("data", "log", "spare")
    assert kept(*map(terminated, ("my-db-1", "web-1", "web-2"))) == ("data", "log", "spare")


def test_nothing_is_kept_of_a_grid_that_was_taken_down() -> None:
    assert kept_volumes(msgspec.structs.replace(RECORD, state=GridState.DOWN), spec()) == ()


def test_what_was_ordered_deleted_goes_and_nothing_else() -> None:
    assert kept(terminated("my-db-1", DELETE)) == ("spare",)
    assert kept(terminated("web-1", DELETE)) == ("data", "log", "spare")


@pytest.mark.parametrize("body", [b"x", b"\x81\xaedelete_volumes\x01"])
def test_an_order_that_says_something_else_of_volumes_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        terminate_terms(read_order(terminated("web-1", body)))


def test_an_order_without_a_body_keeps_them() -> None:
    assert terminate_terms(read_order(terminated("web-1"))) == TerminateTerms(delete_volumes=False)


def test_each_volume_is_where_its_workspace_is_or_was_promised() -> None:
    here = (KeptVolume("data", A, 1 << 30, "my-db-1"), KeptVolume("log", A, 1 << 30, "my-db-1"))
    assert volumes_at(RECORD, spec()) == here
    gone = msgspec.structs.replace(
        RECORD, assignments=RECORD.assignments[:2], changes=(terminated("my-db-1"),)
    )
    assert volumes_at(gone, spec()) == here
    deleted = msgspec.structs.replace(gone, changes=(terminated("my-db-1", DELETE),))
    assert volumes_at(deleted, spec()) == ()
    assert pinned(here, spec()) == {"my-db-1": A}
    assert pinned((), spec()) == {}
