"""A relay's duty: to pass on what is not for it, within limits, and no more than that.

Every neighbour has an account. It limits messages a second, beyond which they are dropped, and bytes a second,
beyond which they wait in a bounded queue until their time to live is up. What waits for all hosts of a site is
bounded as well. All accounts together have a limit of bytes a second; sites are served in turn, and the hosts
of a site in turn among themselves. So a neighbour that floods a relay waits for itself, and so does a site with
many of them; others do not wait for it. A message counts for the neighbour that hands it over, since that peer
is authenticated; what a second relay passes on counts for the first.

A relay may pass on to the destination, to a neighbour of the destination if two hops are left, or else dial a
destination that can be dialled. It never uses a path of its own for that: what is relayed goes by connections
only.
"""

from collections import Counter, deque

import msgspec

from protocol.relay.bucket import Bucket
from protocol.relay.choice import dialable
from protocol.relay.messages import Relayed, Unrelayed
from protocol.relay.outcomes import Around, Outcome, Spoilt
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CALLS,
    RELAYED_BURST,
    RELAYED_BYTES_PER_S,
    RELAYED_BYTES_PER_S_ALL,
    RELAYED_PER_S,
    RELAYED_QUEUE_BYTES,
    RELAYED_QUEUE_BYTES_ALL,
)
from protocol.terms.site_limits import (
    CALLS_OF_SITE,
    RELAYED_QUEUE_BYTES_OF_SITE,
)

_HEADER_BYTES = 256
"""What a message takes beside its box, with room to spare."""

Answer = tuple[list[Effect], list[Outcome]]


class _Item(msgspec.Struct, frozen=True):
    message: Relayed
    came_s: float

    @property
    def size_bytes(self) -> int:
        return len(self.message.box) + _HEADER_BYTES

    @property
    def ends_s(self) -> float:
        return self.came_s + self.message.ttl_ms / 1000


class _Site:
    """What all neighbours of one site have together."""

    def __init__(self) -> None:
        self.turns: deque[PeerId] = deque()
        """Neighbours with something in their queue, in turn."""
        self.queued_bytes = 0
        self.calls = 0
        self.neighbours = 0
        """How many of its hosts have an account."""


class _Account:
    """One neighbour's account."""

    def __init__(self, site: _Site, now: float) -> None:
        self.site = site
        self.messages = Bucket(RELAYED_PER_S, RELAYED_BURST, now)
        self.bytes = Bucket(RELAYED_BYTES_PER_S, RELAYED_BYTES_PER_S, now)
        self.queue: deque[_Item] = deque()
        self.queued_bytes = 0
        """Bytes in the queue, and among what waits for a call."""
        self.ready_s = now
        """When the first message of the queue may go, or is too late."""


class Forwarding:
    """What this peer passes on for others."""

    def __init__(self, me: PeerId, site: str, around: Around) -> None:
        self._me, self._site, self._around = me, site, around
        self._all: Bucket | None = None
        self._queued_bytes = 0
        self._accounts: dict[PeerId, _Account] = {}
        self._sites: dict[str, _Site] = {}
        self._turns: deque[_Site] = deque()
        """Sites whose hosts have something in their queues, in turn."""
        self._calls: deque[tuple[PeerId, _Item]] = deque()
        """Messages that wait until their destination is dialled, and the neighbour each counts for."""
        self.counts: Counter[str] = Counter()
        self.dropped: dict[PeerId, int] = {}
        """How many messages were dropped, for each neighbour that has an account."""

    @property
    def queued_bytes(self) -> int:
        """What waits to be passed on."""
        return self._queued_bytes

    def take(self, sender: PeerId, message: Relayed, now: float) -> Answer:
        """Takes a message to be passed on."""
        first = sender == message.origin
        if message.hops == 0 or message.destination in (sender, message.origin):
            return [], [Spoilt(sender, "relayed-nowhere")]
        if message.hops == 2 and not first:
            return [], [Spoilt(sender, "relayed-too-far")]
        account = self._accounts.get(sender)
        if account is None:
            account = self._begun(sender, now)
        item = _Item(message, now)
        if not account.messages.take(1, now):
            self._drop(sender, "too-many")
            return [], []
        size = item.size_bytes
        if (
            account.queued_bytes + size > RELAYED_QUEUE_BYTES
            or account.site.queued_bytes + size > RELAYED_QUEUE_BYTES_OF_SITE
            or self._queued_bytes + size > RELAYED_QUEUE_BYTES_ALL
        ):
            self._drop(sender, "queue-full")
            return [], []
        if self._next(message) is None:
            return self._call(sender, item, now), []
        self._weigh(account, size)
        self._enqueue(sender, account, item)
        return self.serve(now), []

    def introduced(self, peer: PeerId, now: float) -> list[Effect]:
        """A connection stands, so what waited for it goes on."""
        waiting, self._calls = self._calls, deque()
        for sender, item in waiting:
            account = self._accounts[sender]
            if item.message.destination != peer:
                self._calls.append((sender, item))
            else:
                account.site.calls -= 1
                self._enqueue(sender, account, item)
        return self.serve(now)

    def lost(self, peer: PeerId) -> None:
        """A neighbour is gone, and so is what it wanted passed on."""
        account = self._accounts.pop(peer, None)
        if account is None:
            return
        site = account.site
        site.calls -= sum(sender == peer for sender, _ in self._calls)
        site.neighbours -= 1
        self._weigh(account, -account.queued_bytes)
        if not site.neighbours:
            self._sites = {name: other for name, other in self._sites.items() if other is not site}
        self.dropped.pop(peer, None)
        if peer in site.turns:
            site.turns.remove(peer)
            if not site.turns:
                self._turns.remove(site)
        self._calls = deque((sender, item) for sender, item in self._calls if sender != peer)

    def serve(self, now: float) -> list[Effect]:
        """Passes on what may go now, one message of each site in turn, and of its neighbours in turn."""
        effects: list[Effect] = []
        stuck = 0
        while self._turns and stuck < len(self._turns):
            site = self._turns[0]
            sent = self._one_of(site, now)
            if sent is None:
                stuck += 1
            else:
                stuck = 0
                effects += sent
            if site.turns:
                self._turns.rotate(-1)
            else:
                self._turns.popleft()
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Serves, and gives up on messages that have waited too long for a connection."""
        effects: list[Effect] = []
        while self._calls and now >= self._calls[0][1].ends_s:
            sender, item = self._calls.popleft()
            self._accounts[sender].site.calls -= 1
            self._weigh(self._accounts[sender], -item.size_bytes)
            effects += self._refuse(sender, item.message)
        return effects + self.serve(now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        if not (self._calls or self._turns):
            return None
        at_s = [self._calls[0][1].ends_s] if self._calls else []
        at_s += [self._accounts[sender].ready_s for site in self._turns for sender in site.turns]
        return Deadline(min(at_s), "relayed") if at_s else None

    def check(self) -> None:
        """Asserts the bounds, and that a neighbour that has a turn has something to pass on."""
        assert len(self._calls) <= CALLS
        if not (self._calls or self._accounts or self._sites or self._turns):
            assert not self._queued_bytes
            return
        assert self._queued_bytes == sum(a.queued_bytes for a in self._accounts.values())
        for site in self._sites.values():
            theirs = [account for account in self._accounts.values() if account.site is site]
            calls = [1 for sender, _ in self._calls if self._accounts[sender].site is site]
            assert len(theirs) == site.neighbours
            assert len(calls) == site.calls <= CALLS_OF_SITE
            assert sum(account.queued_bytes for account in theirs) == site.queued_bytes
            assert site.queued_bytes <= RELAYED_QUEUE_BYTES_OF_SITE
        for sender, account in self._accounts.items():
            called = sum(item.size_bytes for of, item in self._calls if of == sender)
            queued = sum(item.size_bytes for item in account.queue)
            assert account.queued_bytes == queued + called
            assert account.queued_bytes <= RELAYED_QUEUE_BYTES
            assert bool(account.queue) == (sender in account.site.turns)
            assert bool(account.site.turns) == (account.site in self._turns)

    # -- parts

    def _begun(self, sender: PeerId, now: float) -> _Account:
        """A neighbour's account, with what its site's other hosts have used."""
        told = self._around.told(sender)
        name = told.site if told is not None else ""
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = _Site()
        site.neighbours += 1
        account = self._accounts[sender] = _Account(site, now)
        return account

    def _next(self, message: Relayed) -> PeerId | None:
        """The peer to hand a message to; None if there is no connection for it."""
        if self._around.is_direct(message.destination):
            return message.destination
        told = self._around.told(message.destination)
        if message.hops < 2 or told is None:
            return None
        taken = (self._me, message.origin, message.destination)
        return next((p for p in told.via if p not in taken and self._around.is_direct(p)), None)

    def _one_of(self, site: _Site, now: float) -> list[Effect] | None:
        """What is passed on for one of a site's neighbours; None if all of them have to wait."""
        for _ in range(len(site.turns)):
            sender = site.turns[0]
            account = self._accounts[sender]
            sent = self._first(sender, account, now)
            if account.queue:
                site.turns.rotate(-1)
            else:
                site.turns.popleft()
            if sent is not None:
                return sent
        return None

    def _first(self, sender: PeerId, account: _Account, now: float) -> list[Effect] | None:
        """Sends or drops the first message of one queue; None if it has to wait."""
        item = account.queue[0]
        next_hop = self._next(item.message)
        if now >= item.ends_s or next_hop is None:
            self._dequeue(account)
            if next_hop is not None:
                self._drop(sender, "too-late")
                return []
            return self._refuse(sender, item.message)
        if self._all is None:
            self._all = Bucket(RELAYED_BYTES_PER_S_ALL, RELAYED_BYTES_PER_S_ALL, now)
        size = item.size_bytes
        if not (account.bytes.has(size, now) and self._all.take(size, now)):
            ready_s = max(account.bytes.when(size, now), self._all.when(size, now))
            account.ready_s = min(item.ends_s, ready_s)
            return None
        account.bytes.take(size, now)
        self._dequeue(account)
        self.counts["messages"] += 1
        self.counts["bytes"] += size
        message = item.message
        left_ms = max(0, message.ttl_ms - int(1000 * (now - item.came_s)))
        hops = 0 if next_hop == message.destination else message.hops - 1
        return [Send(next_hop, msgspec.structs.replace(message, hops=hops, ttl_ms=left_ms))]

    def _call(self, sender: PeerId, item: _Item, now: float) -> list[Effect]:
        """Dials the destination, if that is worth a try."""
        destination = item.message.destination
        if not dialable(self._around.told(destination), self._site):
            return self._refuse(sender, item.message)
        account = self._accounts[sender]
        if len(self._calls) >= CALLS or account.site.calls >= CALLS_OF_SITE:
            self._drop(sender, "calls-full")
            return []
        calling = any(other.message.destination == destination for _, other in self._calls)
        self._calls.append((sender, item))
        account.site.calls += 1
        self._weigh(account, item.size_bytes)
        return [] if calling else self._around.call(destination, now)

    def _refuse(self, sender: PeerId, message: Relayed) -> list[Effect]:
        """Tells the peer that asked. A second relay tells nobody: the origin finds out by the silence."""
        self._drop(sender, "no-way")
        if sender != message.origin or not self._around.is_direct(sender):
            return []
        return [Send(sender, Unrelayed(message.destination))]

    def _enqueue(self, sender: PeerId, account: _Account, item: _Item) -> None:
        if not account.queue:
            if not account.site.turns:
                self._turns.append(account.site)
            account.site.turns.append(sender)
        account.queue.append(item)

    def _dequeue(self, account: _Account) -> None:
        self._weigh(account, -account.queue.popleft().size_bytes)

    def _weigh(self, account: _Account, size_bytes: int) -> None:
        account.queued_bytes += size_bytes
        account.site.queued_bytes += size_bytes
        self._queued_bytes += size_bytes

    def _drop(self, sender: PeerId, why: str) -> None:
        self.counts[f"dropped-{why}"] += 1
        if sender in self._accounts:
            self.dropped[sender] = self.dropped.get(sender, 0) + 1
