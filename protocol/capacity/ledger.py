"""The ledger: what a host has promised, by whom it is used. Reserved + used never passes the total."""

from protocol.capacity.quantum import Quantum

EntryKey = tuple[str, str]
"""(grid id, workspace name)."""


class Ledger:
    """One host's promises. Holds and leases are entries alike: a promise is a promise."""

    def __init__(self, capacity: Quantum) -> None:
        self._capacity = capacity
        self._entries: dict[EntryKey, Quantum] = {}
        self._used = Quantum()
        self._shrunk = False

    @property
    def capacity(self) -> Quantum:
        """What there is in all."""
        return self._capacity

    @property
    def free(self) -> Quantum:
        """What is not promised."""
        return self._capacity - self._used

    def resize(self, capacity: Quantum) -> None:
        """The host was probed again; promises stay, even beyond the new total."""
        self._capacity = capacity
        self._shrunk = not self._used.fits(capacity)

    def enter(self, key: EntryKey, quantum: Quantum) -> None:
        """Promises; replaces an entry of the same key. Whether it fits is the caller's to have asked."""
        self.strike(key)
        self._entries[key] = quantum
        self._used = self._used + quantum

    def strike(self, key: EntryKey) -> None:
        """Takes a promise back; none is fine."""
        old = self._entries.pop(key, None)
        if old is not None:
            self._used = self._used - old

    def __contains__(self, key: EntryKey) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def check(self) -> None:
        """Reserved + used <= total (unless the host itself shrank), and the running sum is the sum."""
        used = sum(self._entries.values(), Quantum())
        assert used == self._used
        assert self._shrunk or used.fits(self._capacity), (used, self._capacity)
