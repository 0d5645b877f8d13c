"""Files that grids name: which this peer must have, which it may give to whom, and which it may forget.

A file is kept by the order that it came with, and a grid's id begins with its order's (`order_part`). That is a
digest of the order with the whole grid in it. So who shows another order that names the same file is another
reader, of another key, and gets nothing.
"""

from typing import Protocol

from protocol.grid.record import GridRecord, GridState, Register, order_part, spec_of
from protocol.hosting.definitions import files_of
from protocol.hosting.host import Host
from protocol.node.rows import GridFiles
from protocol.requesting.requester import Requester
from protocol.terms.ids import Digest, GridId, PeerId
from protocol.trust.order import SignedOrder, order_key, read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed


class Stewarded(Protocol):
    """The registers of which this peer is a steward."""

    def values(self) -> list[tuple[str, Register]]:
        """(key, register) of every one."""


class GridsFiles:
    """All grids with files that a peer carries, keeps the record of, or was asked for.

    It is asked again and again, so what a register says is read once for each of its values.
    """

    def __init__(self, host: Host, acceptor: Stewarded, requester: Requester) -> None:
        self._host, self._acceptor, self._requester = host, acceptor, requester
        self._read: dict[str, tuple[Register, GridFiles | None]] = {}
        self._were: dict[GridId, tuple[GridRecord, tuple[Digest, ...]]] = {}

    def needed(self) -> list[GridFiles]:
        """The grids whose files this peer must have, as a host that carries part of them or as a steward."""
        leases = self._host.leases
        carried = {
            row.record.id: _files(
                row.record,
                (*leases.ordered(row).spec.files, *files_of(row)),
                self._before(row.record),
                row.stewards,
            )
            for row in leases.rows()
        }
        self._were = {grid: was for grid, was in self._were.items() if grid in carried}
        kept = {files.grid: files for files in self._stewarded()}
        return [files for files in (kept | carried).values() if files is not None]

    def given(self) -> list[GridFiles]:
        """The grids whose files this peer was given with an order, once they are decided."""
        return [
            GridFiles(order_part(row.grid), row.grid, row.named, row.readers)
            for row in self._requester.attaching.rows()
            if self._requester.is_made(row.grid)
        ]

    def readers(self, key: str, digest: str) -> tuple[PeerId, ...]:
        """The peers that may have a file that is kept by that key; nobody if no grid here names it."""
        grids = [*self.needed(), *self.given()]
        named = [files for files in grids if files.key == key and digest in files.digests]
        return tuple(dict.fromkeys(peer for files in named for peer in files.readers))

    def of_grid(self, grid: GridId) -> GridFiles | None:
        """The files of a grid; None if it has none, or this peer has nothing to do with it."""
        return next((f for f in (*self.needed(), *self.given()) if f.grid == grid), None)

    def keys(self) -> set[str]:
        """All by which files are to be kept now: of grids, also such as this host has lost its memory of; of
        requests that run, of quotes."""
        grids = {files.key for files in self.needed()}
        grids |= {order_part(row.grid) for row in self._host.foundlings.rows()}
        grids |= {order_part(row.grid) for row in self._requester.attaching.rows()}
        grids |= {order_part(grid) for grid in self._requester.requests.changed()}
        return grids | {str(request) for request in self._requester.unended()}

    def _before(self, record: GridRecord) -> tuple[Digest, ...]:
        was = self._were.get(record.id)
        if was is None or was[0] is not record:
            was = self._were[record.id] = record, _before(record)
        return was[1]

    def _stewarded(self) -> list[GridFiles]:
        read: dict[str, tuple[Register, GridFiles | None]] = {}
        for key, value in self._acceptor.values():
            known = self._read.get(key)
            if known is None or known[0] is not value:
                known = (value, _register_files(value))
            read[key] = known
        self._read = read
        return [files for _, files in read.values() if files is not None]


def _register_files(register: Register) -> GridFiles | None:
    record = register.record
    if record is None or record.state is not GridState.UP:
        return None
    named, before = _named(record.standing), _before(record)
    return _files(record, named, before, register.stewards if named or before else ())


def _files(
    record: GridRecord,
    named: tuple[tuple[str, Digest], ...],
    before: tuple[Digest, ...],
    stewards: tuple[PeerId, ...],
) -> GridFiles | None:
    """The files of a record's grid, `named` in the order that stands and in the one `before`; None if it has
    none, or is no grid of its order."""
    key = order_part(record.id)
    if not (named or before) or order_key(record.order) != key:
        return None
    readers = tuple(dict.fromkeys((*record.carriers(), *stewards)))
    return GridFiles(key, record.id, named, readers, before)


def _before(record: GridRecord) -> tuple[Digest, ...]:
    """The files of what a grid was before its last change: who goes back to it finds them."""
    previous = record.previous
    return tuple(digest for _, digest in _named(previous)) if previous is not None else ()


def _named(signed: SignedOrder) -> tuple[tuple[str, Digest], ...]:
    try:
        return spec_of(read_order(signed)).files
    except (Malformed, Untrusted):
        return ()
