"""One forwarder: its tables, its descriptors, what it is asked, and a turn of each.

It decides nothing. Tables come whole, and a newer epoch replaces an older one.
"""

import functools
import hashlib
import os
import select
import socket
import time
from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from netns.tunnel import batches, cipher
from netns.tunnel.control import Watch
from netns.tunnel.counters import Count, counters
from netns.tunnel.frame import RELAY, paired
from netns.tunnel.inward import Inward
from netns.tunnel.native_loops import NativeLoops
from netns.tunnel.orders import (
    Answer,
    AskState,
    HoldTaps,
    Refusal,
    Request,
    SendProbes,
    TakeSocket,
    TellNetworks,
    TellPeers,
)
from netns.tunnel.outward import Outward
from netns.tunnel.probes import Came, Probes
from netns.tunnel.relays import Relays
from netns.tunnel.routes import Route, routes
from netns.tunnel.sessions import Endpoint, LivePeer, Sessions
from netns.tunnel.tables import (
    NETWORKS_MAX,
    NOWHERE,
    Networks,
    Peers,
    Probe,
    State,
    check_probes,
)

FRAMES_A_TURN = 32
"""Reads of one tap before others have their turn."""
FRAME_BYTES_MAX = 65_536 + 128
"""The longest read of a tap: virtio's header, Ethernet's, and IP's longest packet."""


class Forwarder:
    """Everything that runs in one process. `watch` calls back when a descriptor can be read.

    `native`: frames are carried by the loops in C, which were built.
    """

    def __init__(self, instance: int, watch: Watch, native: bool) -> None:
        self._instance, self._watch = instance, watch
        self._ciphers = cipher.try_all()
        self._count = counters()
        self._sessions = Sessions()
        self._outward = Outward(self._sessions, self._count)
        self._relays = Relays()
        self._inward = Inward(self._sessions, self._relays, self._count)
        self._probes = Probes(self._count)
        self._receiver = batches.Receiver()
        self._native = NativeLoops(self._sessions, self._count) if native else None
        self._networks, self._peers_epoch, self._peers_hash = Networks(0), 0, b""
        self._routes: dict[int, Route] = {}
        self._taps: dict[str, int] = {}
        self._socket: socket.socket | None = None

    def answer(self, request: Request, descriptors: list[int]) -> Answer:
        """Does what is asked, whole or not at all. Takes the descriptors that it keeps off the list."""
        try:
            refusal = self._do(request, descriptors)
        except ValueError as error:
            return Answer(self.state(), Refusal.WRONG, str(error))
        if refusal is not None:
            return Answer(self.state(), *refusal)
        answers = self._probes.pop_answers() if isinstance(request, SendProbes) else ()
        return Answer(self.state(), answers=answers)

    def state(self) -> State:
        """What runs."""
        self._note()
        return State(
            instance=self._instance,
            pid=os.getpid(),
            port=self._socket.getsockname()[1] if self._socket else 0,
            networks_epoch=self._networks.epoch,
            peers_epoch=self._peers_epoch,
            native=self._native is not None,
            ciphers=self._ciphers,
            taps=tuple(self._taps),
            counters={reason.value: count for reason, count in self._count.items()},
            peers=tuple(self._sessions.states(time.monotonic())),
        )

    def _do(self, request: Request, descriptors: list[int]) -> tuple[Refusal, str] | None:
        match request:
            case AskState():
                return None
            case TakeSocket():
                return self._take_socket(descriptors)
            case HoldTaps():
                return self._hold_taps(request.names, descriptors)
            case TellNetworks():
                return self._take_networks(request.networks)
            case TellPeers():
                return self._take_peers(request.instance, request.peers)
            case SendProbes():
                return self._send_probes(request.instance, request.probes)
            case _:
                assert_never(request)

    def _take_socket(self, descriptors: list[int]) -> tuple[Refusal, str] | None:
        if len(descriptors) != 1:
            return Refusal.WRONG, f"one socket is wanted, {len(descriptors)} came"
        fresh = socket.socket(fileno=descriptors.pop())
        if self._socket is not None:
            self._watch(self._socket.fileno(), 0, self._from_socket)
            self._socket.close()
        self._socket = fresh
        self._watch(fresh.fileno(), select.EPOLLIN, self._from_socket)
        return None

    def _hold_taps(
        self, names: tuple[str, ...], descriptors: list[int]
    ) -> tuple[Refusal, str] | None:
        if len(names) != len(descriptors):
            return Refusal.WRONG, f"{len(names)} taps are named, {len(descriptors)} came"
        if len(self._taps) + len(names) > 2 * NETWORKS_MAX:
            return Refusal.WRONG, f"more than {2 * NETWORKS_MAX} taps"
        for name in names:
            self._let_go(name)
            self._taps[name] = descriptors.pop(0)
        self._route_taps()
        return None

    def _take_networks(self, told: Networks) -> tuple[Refusal, str] | None:
        told.check()
        before = self._networks
        if told.epoch < before.epoch or (told.epoch == before.epoch and told != before):
            return _stale("networks", told.epoch, before.epoch)
        without = [one.tap for one in told.networks if one.tap not in self._taps]
        if without:
            return Refusal.WRONG, f"the taps {', '.join(without[:8])} were not given"
        self._networks, self._routes = told, routes(told)
        for name in set(self._taps).difference(one.tap for one in told.networks):
            self._let_go(name)
        self._route_taps()
        return None

    def _take_peers(self, instance: int, told: Peers) -> tuple[Refusal, str] | None:
        if instance != self._instance:
            return self._other_instance(instance)
        told.check()
        hashed = hashlib.sha256(msgspec.json.encode(told)).digest()
        if told.epoch < self._peers_epoch or (
            told.epoch == self._peers_epoch and hashed != self._peers_hash
        ):
            return _stale("peers", told.epoch, self._peers_epoch)
        if hashed != self._peers_hash:
            self._note()
            now_s = time.monotonic()
            self._sessions.replace(told, now_s)
            self._relays.replace(told, self._sessions.peers, now_s)
            self._show()
        self._peers_epoch, self._peers_hash = told.epoch, hashed
        return None

    def _send_probes(self, instance: int, probes: tuple[Probe, ...]) -> tuple[Refusal, str] | None:
        if instance != self._instance:
            return self._other_instance(instance)
        check_probes(probes)
        if self._socket is None:
            return Refusal.WRONG, "it has no socket yet"
        self._note()
        # A probe tells that its size gets there whole.
        batches.may_be_cut(self._socket, False)
        for probe in probes:
            self._send_probe(probe, time.monotonic())
        batches.may_be_cut(self._socket, True)
        return None

    def _send_probe(self, probe: Probe, now_s: float) -> None:
        peer = self._sessions.peers.get(probe.peer)
        if peer is None:
            self._count[Count.OUT_NO_SESSION] += 1
            return
        told = (probe.address, probe.port)
        plain = self._probes.probe(probe, now_s)
        if told == NOWHERE:
            self._send_to(peer, peer.endpoint, peer.pair, plain, now_s)
        else:
            self._send_to(peer, told, probe.pair, plain, now_s)

    def _send_to(self, peer: LivePeer, to: Endpoint, pair: int, plain: bytes, now_s: float) -> None:
        """Seals that for the peer and sends it there: to itself, or to a relay if `pair` is not 0."""
        if to == NOWHERE:
            self._count[Count.OUT_NO_ENDPOINT] += 1
            return
        session = peer.sending(now_s)
        sealed = None
        if session is not None:
            sealed = self._native.seal(session, plain) if self._native else session.seal(plain)
        if sealed is None:
            self._count[Count.OUT_NO_SESSION] += 1
            return
        self._send({to: [paired(sealed, RELAY, pair)]})

    def _other_instance(self, instance: int) -> tuple[Refusal, str]:
        return Refusal.OTHER_INSTANCE, f"forwarder {self._instance} runs, not {instance}"

    def _route_taps(self) -> None:
        """Reads those taps that a network has."""
        self._note()
        for route in self._routes.values():
            descriptor = self._taps.get(route.tap)
            if descriptor is not None:
                turn = functools.partial(self._from_tap, route, descriptor)
                self._watch(descriptor, select.EPOLLIN, turn)
        self._show()

    def _note(self) -> None:
        if self._native:
            self._native.note()

    def _show(self) -> None:
        if self._native:
            self._native.show(self._routes, self._taps, self._relays)

    def _let_go(self, name: str) -> None:
        descriptor = self._taps.pop(name, None)
        if descriptor is not None:
            self._watch(descriptor, 0, self._from_socket)
            os.close(descriptor)

    def _from_tap(self, route: Route, descriptor: int) -> None:
        """A turn of a tap: some frames are read, and sent together."""
        now_s = time.monotonic()
        try:
            for raw in self._frames_from(route, descriptor):
                reply = self._outward.take(route, raw, now_s)
                if reply is not None:
                    self._write(descriptor, [reply])
        except BlockingIOError:
            pass
        except OSError:
            self._let_go(route.tap)  # its link was removed; whoever makes another gives it to us
            self._note()
            self._show()
        self._send(self._outward.datagrams)
        self._send_copies(now_s)

    def _frames_from(self, route: Route, descriptor: int) -> Iterable[bytes]:
        """Those of a turn that are for Python. Raises OSError at the end of what is there."""
        if self._native:
            return self._native.from_tap(route.vni, self._socket.fileno() if self._socket else -1)
        return (os.read(descriptor, FRAME_BYTES_MAX) for _ in range(FRAMES_A_TURN))

    def _write(self, descriptor: int, pieces: Sequence[bytes | memoryview]) -> bool:
        try:
            return os.writev(descriptor, pieces) > 0
        except OSError:
            return False  # the link is down, or gone

    def _send(self, going: dict[Endpoint, list[bytes]]) -> None:
        """Sends what goes there, and empties that."""
        for to, datagrams in going.items():
            sent = batches.send(self._socket, to, datagrams) if self._socket else 0
            self._count[Count.SENT] += sent
            self._count[Count.OUT_REFUSED] += len(datagrams) - sent
        going.clear()

    def _send_copies(self, now_s: float) -> None:
        """A group's frames of a turn. There are as many of them a second as the bridge's filter lets by."""
        copies, self._outward.copies = self._outward.copies, []
        if copies:
            self._note()
        for name, plain in copies:
            peer = self._sessions.peers.get(name)
            if peer is None:
                self._count[Count.OUT_NO_SESSION] += 1
            else:
                self._send_to(peer, peer.endpoint, peer.pair, plain, now_s)

    def _from_socket(self) -> None:
        """A turn of the socket: a batch is received, opened, joined and written to the taps."""
        if self._socket is None:
            return
        handle, now_s = self._socket.fileno(), time.monotonic()
        came = self._native.from_socket(handle) if self._native else self._received(handle, now_s)
        for one in came:
            reply = self._probes.came(one, now_s)
            if reply is not None:
                peer = self._sessions.peers[one.peer]
                self._send_to(peer, one.source, one.pair, reply, now_s)

    def _received(self, handle: int, now_s: float) -> list[Came]:
        """The same in Python: what is for the forwarder itself is answered."""
        datagrams = self._receiver.receive(handle)
        for vni, frames in self._inward.take(datagrams, self._routes, now_s).items():
            descriptor = self._taps.get(self._routes[vni].tap, -1)
            for frame in frames:
                if self._write(descriptor, frame.pieces()):
                    self._count[Count.JOINED] += 1
                else:
                    self._count[Count.IN_REFUSED] += len(frame.parts)
        self._send(self._inward.passing)
        came, self._inward.probes = self._inward.probes, []
        return came


def _stale(what: str, told: int, known: int) -> tuple[Refusal, str]:
    if told == known:
        return Refusal.STALE, f"{what} of epoch {told} are in force already, and are others"
    return Refusal.STALE, f"{what} of epoch {told} are older than those in force, of epoch {known}"
