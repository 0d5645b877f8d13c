"""Rearranges an attempt: members of the same grid move so that one more finds a place, or sits better.

`squeeze` is an augmenting path as in matching: a workspace without a place takes another's, which takes a
third's. `improve` is hill climbing on the cost of preferences. One workspace moves; or it takes the seat of
another that loses less by moving on; or, if members are to be compact, a whole host or site is emptied into
others. A number of tries bounds both, and what was held already stays where it is.
"""

from protocol.placement.packing import SAME, Kind, Packing


class _Tries:
    """How many tries are left."""

    def __init__(self, most: int) -> None:
        self.left = most

    def spent(self, many: int = 1) -> bool:
        """Counts tries; True when none are left."""
        self.left -= many
        return self.left < 0


def squeeze(seating: Packing, name: str, tries: int, depth: int = 2) -> bool:
    """Seats a workspace that has no place, by moving members of other clusters; False if it cannot."""
    return _squeeze(seating, name, _Tries(tries), depth, {})


def _squeeze(
    seating: Packing, name: str, tries: _Tries, depth: int, passed: dict[str, None]
) -> bool:
    table = seating.table
    kind = table.kind_of[name]
    for host in kind.hosts:
        if seating.possible(kind, host):
            seating.sit(name, host)
            return True
    if depth == 0:
        return False
    passed = {**passed, name: None}
    sitting: dict[int, dict[Kind, str]] = {}
    for other, host in seating.seats.items():
        theirs = table.kind_of[other]
        if other not in table.kept and other not in passed and theirs is not kind:
            # Those of one kind are equal: it does not matter which of them moves.
            sitting.setdefault(host, {}).setdefault(theirs, other)
    for host in kind.hosts:
        for other in list(sitting.get(host, {}).values()):
            if tries.spent():
                return False
            seating.stand(other)
            if seating.possible(kind, host):
                seating.sit(name, host)
                if _squeeze(seating, other, tries, depth - 1, passed):
                    return True
                seating.stand(name)
            seating.sit(other, host)
    return False


def improve(seating: Packing, most: int) -> None:
    """Rearranges as long as that meets the preferences better, with at most `most` tries."""
    tries = _Tries(most)
    for _ in range(3):
        better = seating.table.compact != "none" and _gather(seating, tries)
        for name in _movable(seating):
            if tries.spent(len(seating.table.kind_of[name].hosts)):
                return
            better = _move(seating, name) or better
        better = _displace_all(seating, tries) or better
        if not better:
            return


def _movable(seating: Packing) -> list[str]:
    return [name for name in seating.seats if name not in seating.table.kept]


def _move(seating: Packing, name: str) -> bool:
    """Moves it to the host where it costs least."""
    kind = seating.table.kind_of[name]
    near = seating.near(kind)
    old = seating.stand(name)

    def cost(host: int) -> float:
        site = seating.group_cost(kind, seating.table.offers[host].site, [], 1)[0]
        return kind.dislike[host] + near.get(host, 0.0) + seating.crowding(host) + site

    now = cost(old) - SAME
    fitting = [(cost(host), host) for host in kind.hosts if seating.possible(kind, host)]
    best = min((entry for entry in fitting if entry[0] < now), default=(now, old))
    seating.sit(name, best[1])
    return best[1] != old


def _displace_all(seating: Packing, tries: _Tries) -> bool:
    """A member that would sit better where there is no room takes another's seat, which moves at less cost."""
    table = seating.table
    if not any(any(kind.dislike.values()) for kind in table.kinds):
        return False
    better = False
    for name in _movable(seating):
        kind, here = table.kind_of[name], seating.seats[name]
        for other in _movable(seating):
            theirs, there = table.kind_of[other], seating.seats[other]
            if theirs is kind or kind.dislike.get(there, 1.0) >= kind.dislike[here] - SAME:
                continue
            if tries.spent(len(theirs.hosts)):
                return better
            if _displaced(seating, name, other):
                better = True
                break
    return better


def _displaced(seating: Packing, name: str, other: str) -> bool:
    kind, theirs = seating.table.kind_of[name], seating.table.kind_of[other]
    here, there = seating.stand(name), seating.stand(other)
    gain = kind.dislike[here] - kind.dislike[there] + theirs.dislike[there]
    if seating.possible(kind, there):
        seating.sit(name, there)
        fitting = [host for host in theirs.hosts if seating.possible(theirs, host)]
        best = min(fitting, key=lambda host: (theirs.dislike[host], host), default=None)
        if best is not None and gain - theirs.dislike[best] > SAME:
            seating.sit(other, best)
            return True
        seating.stand(name)
    seating.sit(name, here)
    seating.sit(other, there)
    return False


def _gather(seating: Packing, tries: _Tries) -> bool:
    """Empties the hosts or sites that carry fewest members, if others that carry some can take them."""
    groups: dict[str, list[str]] = {}
    for name, host in seating.seats.items():
        groups.setdefault(_group(seating, host), []).append(name)
    better = False
    for group, names in sorted(groups.items(), key=lambda item: (len(item[1]), item[0])):
        left = [other for other in groups if other != group]
        if not left or tries.spent(len(names) * len(seating.table.offers)):
            break
        if _emptied(seating, names, left):
            del groups[group]
            better = True
    return better


def _group(seating: Packing, host: int) -> str:
    offer = seating.table.offers[host]
    return offer.site if seating.table.compact == "site" else offer.peer


def _emptied(seating: Packing, names: list[str], into: list[str]) -> bool:
    """Moves all of `names` to hosts of these groups, or none of them."""
    if any(name in seating.table.kept for name in names):
        return False
    old = {name: seating.stand(name) for name in names}
    for name in names:
        host = _snuggest(seating, seating.table.kind_of[name], into)
        if host is None:
            for back, seat in old.items():
                if back in seating.seats:
                    seating.stand(back)
                seating.sit(back, seat)
            return False
        seating.sit(name, host)
    return True


def _snuggest(seating: Packing, kind: Kind, groups: list[str]) -> int | None:
    """The host of these groups where one more spoils least; None if it fits nowhere."""
    fitting = [
        (seating.spoiled(kind, host), host)
        for host in kind.hosts
        if seating.possible(kind, host) and _group(seating, host) in groups
    ]
    return min(fitting)[1] if fitting else None
