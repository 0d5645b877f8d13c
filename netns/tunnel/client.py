"""What the daemon calls: a forwarder that is there, and tables for it.

Everything here blocks for a moment, so call it in a thread. Call it in the host's network namespace: taps and
the UDP socket are opened there. A forwarder that does not answer raises `NoForwarder`; `ensure` starts another.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from netns import saved
from netns.failures import NetnsError, StaleEpoch
from netns.tunnel import opening, process
from netns.tunnel.orders import (
    DESCRIPTORS_MAX,
    LENGTH,
    Answer,
    AskState,
    HoldTaps,
    Refusal,
    Request,
    SendProbes,
    TakeSocket,
    TellNetworks,
    TellPeers,
    answer_of,
    written,
)
from netns.tunnel.tables import Networks, Peers, Probe, ProbeAnswer, State, check_probes

ANSWER_WITHIN_S = 10.0


class NoForwarder(NetnsError):
    """No forwarder answers here. `ensure` starts one."""


class OtherInstance(NetnsError):
    """Another forwarder runs than the one that the sessions were made for. Make new ones."""


def ensure(run_dir: Path, port: int) -> State:
    """A forwarder that answers and has a UDP socket at that port, started if need be. Idempotent.

    It takes 0.3 s to start one. Raises NetnsError if it does not start or the port is taken.
    """
    run_dir = run_dir.resolve()
    directory = process.directory_of(run_dir)
    with saved.locked(directory):
        try:
            seen = state(run_dir)
        except NoForwarder:
            process.start(run_dir)
            seen = state(run_dir)
        if seen.port != port or not port:
            with opening.open_socket(port) as handle:
                taken = handle.getsockname()[1]
                seen = _ask(run_dir, TakeSocket(taken), [handle.fileno()])
    return seen


def stop(run_dir: Path) -> None:
    """Ends the forwarder of that directory, and removes its files. Idempotent."""
    process.stop(run_dir)


def state(run_dir: Path) -> State:
    """What runs there. Raises NoForwarder."""
    return _ask(run_dir, AskState())


def tell_networks(
    run_dir: Path, networks: Networks, made: Mapping[str, int] = MappingProxyType({})
) -> State:
    """Puts that table in force, and opens the taps that the forwarder does not have yet.

    Of those that were just `made` the descriptors are given, by name; they stay the caller's.

    Raises ValueError for a table that makes no sense, StaleEpoch for one that is older than what is in force,
    NetnsError when a tap cannot be opened; then the taps before it are held, and the table is not in force.
    """
    networks.check()
    held = set(state(run_dir).taps)
    missing = [network.tap for network in networks.networks if network.tap not in held]
    for start in range(0, len(missing), DESCRIPTORS_MAX):
        _give_taps(run_dir, missing[start : start + DESCRIPTORS_MAX], made)
    return _ask(run_dir, TellNetworks(networks))


def tell_peers(run_dir: Path, instance: int, peers: Peers) -> State:
    """Puts that table in force. Its sessions were made for that instance of the forwarder, and for no other.

    Raises ValueError for a table that makes no sense, StaleEpoch for one that is older than what is in force,
    OtherInstance if another forwarder runs by now.
    """
    peers.check()
    return _ask(run_dir, TellPeers(instance, peers))


def probe(run_dir: Path, instance: int, probes: Sequence[Probe]) -> tuple[ProbeAnswer, ...]:
    """Sends these, and answers what came since. Without any, it only fetches answers.

    Raises ValueError for a probe that makes no sense, OtherInstance if another forwarder runs by now.
    """
    check_probes(probes)
    return _answered(run_dir, SendProbes(instance, tuple(probes))).answers


def _give_taps(run_dir: Path, names: Sequence[str], made: Mapping[str, int]) -> None:
    descriptors: list[int] = []
    try:
        for name in names:  # what is open must be closed
            descriptors.append(os.dup(made[name]) if name in made else opening.open_tap(name))
        _ask(run_dir, HoldTaps(tuple(names)), descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _ask(run_dir: Path, request: Request, descriptors: Sequence[int] = ()) -> State:
    return _answered(run_dir, request, descriptors).state


def _answered(run_dir: Path, request: Request, descriptors: Sequence[int] = ()) -> Answer:
    directory = process.directory_of(run_dir)
    try:
        with (
            process.reached(directory) as path,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as handle,
        ):
            handle.settimeout(ANSWER_WITHIN_S)
            handle.connect(path)
            message = written(request)
            socket.send_fds(handle, [message[: LENGTH.size]], descriptors)
            handle.sendall(message[LENGTH.size :])
            answer = answer_of(_received(handle))
    except (OSError, msgspec.DecodeError) as error:
        said = process.last_words(run_dir)
        raise NoForwarder(
            f"no forwarder of sealed networks answers in {directory}: {error}"
            + (f"; the last one said: {said}" if said else "")
        ) from error
    return _believed(answer)


def _received(handle: socket.socket) -> bytes:
    with handle.makefile("rb") as stream:
        head = stream.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise ConnectionError("it hung up")
        (length,) = LENGTH.unpack(head)
        return stream.read(length)


def _believed(answer: Answer) -> Answer:
    match answer.refusal:
        case None:
            return answer
        case Refusal.STALE:
            raise StaleEpoch(answer.words)
        case Refusal.OTHER_INSTANCE:
            raise OtherInstance(answer.words)
        case Refusal.WRONG:
            raise ValueError(answer.words)
