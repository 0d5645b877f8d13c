"""The port `Forwarder` by netns.tunnel: calls in a thread, epochs of tables, and the end of its process."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from netns import tun
from netns.failures import NetnsError
from netns.tunnel.tables import (
    Networks,
    Peers,
    Probe,
    ProbeAnswer,
    SealedNetwork,
    SealedPeer,
    State,
)
from overlayd.ports.forwarder import NOTHING_LENT, ForwarderError, Forwarding, Lent, NewInstance

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")


class TunnelForwarder:
    """The forwarder of one host, in the network namespace of this process.

    `run_dir` is this host's alone, the same as its networks'. `port` is its UDP port.
    """

    def __init__(self, run_dir: Path, port: int) -> None:
        self._run_dir, self._port = run_dir, port
        self._networks = Networks(0)
        self._peers = Peers(0)
        self._instance = 0
        self._faults: dict[str, str] = {}
        """Why cards of the host itself could not be made, by name."""
        self._seen: State | None = None
        """What ran when it was asked last: it tells whether there is anything to tell."""
        self._told: Callable[[], None] = lambda: None
        self._end: tuple[int, int] | None = None
        """The instance whose end is waited for, and a descriptor of it."""

    async def fault(self) -> str:
        return await asyncio.to_thread(self._fault)

    async def ensure(self) -> Forwarding:
        state = await _in_thread(lambda: _client().ensure(self._run_dir, self._port))
        self._await_end(state)
        self._seen = state
        return _forwarding(state)

    async def tell_networks(self, networks: tuple[SealedNetwork, ...]) -> Forwarding:
        state = await _in_thread(lambda: self._tell_networks(networks))
        return msgspec.structs.replace(_forwarding(state), faults=self._faults)

    async def tell_peers(
        self, instance: str, peers: tuple[SealedPeer, ...], lent: Lent = NOTHING_LENT
    ) -> None:
        await _in_thread(lambda: self._tell_peers(int(instance), peers, lent))

    async def probe(self, instance: str, probes: tuple[Probe, ...]) -> tuple[ProbeAnswer, ...]:
        return await _in_thread(lambda: self._probe(int(instance), probes))

    async def state(self) -> State | None:
        def look() -> State | None:
            try:
                state: State = _client().state(self._run_dir)
            except _client().NoForwarder:
                return None
            return state

        return await _in_thread(look)

    async def stop(self) -> None:
        self._await_end(None)
        self._seen = None
        await _in_thread(self._stop)

    def watch(self, told: Callable[[], None]) -> None:
        self._told = told

    async def close(self) -> None:
        self._await_end(None)

    def _fault(self) -> str:
        """Ciphers are tried by the process itself: their library takes 8 MiB, and most hosts seal nothing."""
        from netns.tunnel import opening, process

        try:
            os.close(tun.opened())
            if process.running(self._run_dir) is not None and self._has_port():
                return ""
            with opening.open_socket(self._port):
                return ""
        except (NetnsError, OSError) as error:
            return str(error)

    def _has_port(self) -> bool:
        """Of a forwarder that runs. `ensure` puts another in the place of one that does not answer."""
        try:
            return bool(_client().state(self._run_dir).port == self._port)
        except _client().NoForwarder:
            return True

    def _stop(self) -> None:
        from netns.tunnel import process

        if process.directory_of(self._run_dir).exists():
            self._forget_cards(())
            process.stop(self._run_dir)

    def _tell_networks(self, networks: tuple[SealedNetwork, ...]) -> State:
        there = {name for _, name in socket.if_nameindex()}
        held = self._seen.taps if self._seen is not None else ()
        made = self._make_cards([n for n in networks if n.card and n.tap not in held])
        try:
            carried = tuple(
                n for n in networks if n.tap in (made.keys() | held if n.card else there)
            )
            state = self._tell_carried(carried, made)
        finally:
            for descriptor in made.values():
                os.close(descriptor)
        self._forget_cards(n.tap for n in carried if n.card is not None)
        return state

    def _make_cards(self, networks: list[SealedNetwork]) -> dict[str, int]:
        """Descriptors of cards of the host itself. What cannot be made is told with the answer."""
        from netns.tunnel import process

        made: dict[str, int] = {}
        self._faults = {}
        for network in networks:
            try:
                directory = process.directory_of(self._run_dir)
                made[network.tap] = _own_card().opened(directory, network)
            except NetnsError as error:
                self._faults[network.tap] = str(error)
        return made

    def _forget_cards(self, links: Iterable[str]) -> None:
        from netns.tunnel import process

        directory = process.directory_of(self._run_dir)
        if (directory / process.CARDS).exists():
            _own_card().forget(directory, tuple(links))

    def _tell_carried(self, carried: tuple[SealedNetwork, ...], made: dict[str, int]) -> State:
        table = Networks(self._networks.epoch, carried)
        if (seen := self._seen) is not None:
            held = {network.tap for network in carried} <= set(seen.taps)
            if held and self._networks == table and seen.networks_epoch == table.epoch:
                return seen
        client = _client()
        state: State = client.state(self._run_dir)
        table = msgspec.structs.replace(table, epoch=state.networks_epoch + 1)
        state = client.tell_networks(self._run_dir, table, made)
        self._networks, self._seen = table, state
        return state

    def _tell_peers(self, instance: int, peers: tuple[SealedPeer, ...], lent: Lent) -> None:
        table = Peers(self._peers.epoch, peers, lent.pairs, lent.bytes_per_s)
        if (seen := self._seen) is not None:
            now = seen.instance, seen.peers_epoch, self._instance, self._peers
            if now == (instance, table.epoch, instance, table):
                return
        client = _client()
        state: State = client.state(self._run_dir)
        if state.instance != instance:
            raise NewInstance(f"forwarder {instance} has ended; {state.instance} runs now")
        table = msgspec.structs.replace(table, epoch=state.peers_epoch + 1)
        try:
            self._seen = client.tell_peers(self._run_dir, instance, table)
        except client.OtherInstance as error:
            raise NewInstance(str(error)) from error
        self._instance, self._peers = instance, table

    def _probe(self, instance: int, probes: tuple[Probe, ...]) -> tuple[ProbeAnswer, ...]:
        client = _client()
        try:
            answers: tuple[ProbeAnswer, ...] = client.probe(self._run_dir, instance, probes)
        except client.OtherInstance as error:
            raise NewInstance(str(error)) from error
        return answers

    def _await_end(self, state: State | None) -> None:
        """Waits for the end of the process of that state, and of no other."""
        if self._end is not None and state is not None and self._end[0] == state.instance:
            return
        loop = asyncio.get_running_loop()
        if self._end is not None:
            loop.remove_reader(self._end[1])
            os.close(self._end[1])
            self._end = None
        if state is not None:
            from netns.tunnel import process

            pidfd = process.pidfd(self._run_dir)
            if pidfd is None:
                loop.call_soon(self._told)  # it has ended already
            else:
                self._end = (state.instance, pidfd)
                loop.add_reader(pidfd, self._ended)

    def _ended(self) -> None:
        self._await_end(None)
        self._seen = None
        self._told()


def _forwarding(state: State) -> Forwarding:
    return Forwarding(str(state.instance), state.ciphers, state.taps, state.counters, state.native)


def _client() -> "ModuleType":
    """The module, loaded when the first network is to be sealed."""
    from netns.tunnel import client

    return client


def _own_card() -> "ModuleType":
    """The module, loaded when this host is attached to a network."""
    from netns.tunnel import own_card

    return own_card


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except (NetnsError, ValueError, OSError) as error:
        raise ForwarderError(str(error)) from error
