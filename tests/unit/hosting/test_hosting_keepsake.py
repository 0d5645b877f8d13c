"""What a machine keeps of its lease, and that it is never too much."""

import msgspec
from hosting_world import ORDER, One
from negotiating import A, B, C, grants_of, record_of

from protocol.grid.record import Assignment, HostRef, name_key
from protocol.hosting.keepsake import Keepsake, keepsake_of, read_keepsake
from protocol.terms.ids import PeerId
from protocol.terms.limits import KEEPSAKE_BYTES


def test_a_machine_keeps_whom_to_ask_and_what_was_promised() -> None:
    one = One()
    record = one.leases()
    (row,) = one.host.leases.rows()
    key = name_key(record.owner, "shop")
    assert read_keepsake(keepsake_of(row)) == Keepsake(key, "shop", record.stewards, row)


def test_a_record_of_448_workspaces_on_56_hosts_is_kept_and_a_larger_one_is_left_out() -> None:
    one = One()
    one.leases()
    (row,) = one.host.leases.rows()
    hosts = [PeerId(f"{number:064x}") for number in range(56)]
    placed = tuple(Assignment(f"worker-{n}", hosts[n % 56]) for n in range(448))
    refs = tuple(HostRef(host, "a-host-name", "a-site-name") for host in hosts)
    record = record_of(ORDER, {"web-1": A})
    where = {a.workspace: a.host for a in placed}
    grants = tuple(
        msgspec.structs.replace(grant, signature=b"s" * 64)
        for grant in grants_of(record.id, where, record.vnis)
    )
    record = msgspec.structs.replace(
        record, assignments=placed, hosts=refs, stewards=(A, B, C), grants=grants
    )
    large = msgspec.structs.replace(row, record=record)
    kept = read_keepsake(keepsake_of(large))
    assert kept is not None
    assert kept.lease == large
    twice = msgspec.structs.replace(
        large, record=msgspec.structs.replace(record, assignments=placed * 2)
    )
    assert len(keepsake_of(twice)) < KEEPSAKE_BYTES
    kept = read_keepsake(keepsake_of(twice))
    assert kept is not None
    assert (kept.stewards, kept.lease) == ((A, B, C), None)


def test_what_cannot_be_read_is_nothing() -> None:
    assert read_keepsake(None) is None
    assert read_keepsake(b"\xc1 of another build") is None
