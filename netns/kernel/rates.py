"""The rate that a card is held to, each way: a token bucket on its tap, and one on an ifb beside it.

A queue of the kernel only holds back what leaves by a link. So what leaves by the tap, towards the guest,
waits in a token bucket of the tap; and what the guest sends is redirected, before the bridge sees it, to a
link of a kind of its own (ifb), waits in the bucket of that, and then goes on as if it had just come in by
the tap. Both buckets are changed in place: nothing that waits is lost.

All is done by the programs `ip` and `tc`, so that a host can tell at its start whether it can do this
without loading the netlink library.
"""

import socket
import struct
from collections.abc import Iterable

from netns import program
from netns.failures import NetnsError
from netns.kernel import namespaces, rtnetlink, sysctl
from netns.kernel.rtnetlink import attributes, number, text
from netns.resources import Rate

BURST_BYTES = 1 << 16
"""What may go at once at least: a guest hands over segments of 64 KiB in one piece."""
_BURSTS_A_SECOND = 50
"""A faster bucket holds what passes in so much of a second, since the kernel looks at it by its clock."""
_WAITS_MS = 50
"""So long a frame waits for its turn; what would wait longer is dropped, as a cable of that rate would do."""

_GETQDISC, _GETTFILTER = 38, 46
_HEAD = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_ROOT, _INGRESS = 0xFFFF_FFFF, 0xFFFF_0000
_KIND, _OPTIONS = 1, 2
_TBF_PARMS, _TBF_RATE64 = 1, 4
_TBF_RATE_AT = 8  # of the 32 bits of a rate in tc_ratespec
_RATE32_MOST = (1 << 32) - 1  # a larger one is told in 64 bits
_U32_SEL, _U32_ACT, _MIRRED_PARMS = 5, 7, 2
_SELECTOR = struct.Struct(
    "=BBBxHHhhI"
)  # flags, offset shift, keys, ...; then each key, its mask first
_MIRRED = struct.Struct("=IIiiiiI")  # index, capabilities, action, 2 counts, what to do, link
_REDIRECTS = 1


def bring_about(wanted: Rate) -> None:
    """Holds a card to its rate. The tap is there. Raises NetnsError."""
    if not _index(wanted.link):
        _run(f"ip link add {wanted.link} type ifb")
    sysctl.disable_ipv6(wanted.link)
    _run(f"ip link set {wanted.link} up alias", wanted.alias)
    for link in (wanted.tap, wanted.link):
        _run(f"tc qdisc replace dev {link} root tbf {_bucket(wanted.to_bits_s)}")
    with rtnetlink.open_socket() as handle:
        if _redirected(handle, _index(wanted.tap)) == _index(wanted.link):
            return
    _attempt(f"tc qdisc del dev {wanted.tap} ingress")  # with what else would be asked first
    _run(f"tc qdisc add dev {wanted.tap} ingress")
    every = f"filter add dev {wanted.tap} parent ffff: protocol all u32 match u32 0 0"
    _run(f"tc {every} action mirred egress redirect dev {wanted.link}")


def remove(rate: Rate) -> None:
    """Holds a card to no rate any more. It is no error if its tap, or anything of the rate, is gone."""
    for which in ("ingress", "root"):
        _attempt(f"tc qdisc del dev {rate.tap} {which}")
    if _index(rate.link):
        _run(f"ip link del {rate.link}")


def buckets() -> dict[int, int]:
    """Bits a second of the token bucket of each link of the current namespace that has one, by its index."""
    found = {}
    with rtnetlink.open_socket() as handle:
        for payload in rtnetlink.dump(handle, _GETQDISC, _HEAD.pack(0, 0, 0, 0, 0)):
            _, index, _, parent, _ = _HEAD.unpack_from(payload)
            has = attributes(payload, _HEAD.size)
            if parent == _ROOT and text(has.get(_KIND)) == "tbf":
                found[index] = _bits_s(has.get(_OPTIONS, b""))
    return found


def redirections(taps: Iterable[int]) -> dict[int, int]:
    """By which link all goes on that comes in by each of these links, by index; 0 if it does not."""
    with rtnetlink.open_socket() as handle:
        return {tap: _redirected(handle, tap) for tap in taps}


def fault() -> str:
    """Why this kernel holds nothing to a rate; empty if it does. It is tried in a namespace that vanishes."""
    tried = Rate("rate-tap", "rate-ifb", 10**6, 10**6, "tried")

    def attempt() -> None:
        _run(f"ip link add {tried.tap} type veth peer name rate-peer")
        bring_about(tried)

    try:
        namespaces.inside_fresh(attempt)
    except (NetnsError, OSError) as error:
        return str(error)
    return ""


def _bucket(bits_s: int) -> str:
    burst_bytes = max(BURST_BYTES, bits_s // 8 // _BURSTS_A_SECOND)
    return f"rate {bits_s}bit burst {burst_bytes} latency {_WAITS_MS}ms"


def _run(command: str, *more: str) -> None:
    program.run([*command.split(), *more])


def _attempt(command: str) -> None:
    program.attempt(command.split())


def _index(link: str) -> int:
    """0 of a link that is not there."""
    try:
        return socket.if_nametoindex(link)
    except OSError:
        return 0


def _bits_s(options: bytes) -> int:
    has = attributes(options)
    bytes_s = number(has.get(_TBF_PARMS, b"")[_TBF_RATE_AT : _TBF_RATE_AT + 4]) or 0
    if bytes_s == _RATE32_MOST:
        bytes_s = number(has.get(_TBF_RATE64)) or bytes_s
    return bytes_s * 8


def _redirected(handle: socket.socket, tap: int) -> int:
    """Where all that comes in by a link goes on; 0 if it does not, or somebody else has a say in it."""
    found = []
    for payload in rtnetlink.dump(handle, _GETTFILTER, _HEAD.pack(0, tap, 0, _INGRESS, 0)):
        has = attributes(payload, _HEAD.size)
        options = attributes(has.get(_OPTIONS, b""))
        if text(has.get(_KIND)) != "u32":
            return 0
        if _U32_SEL in options:
            found.append((options[_U32_SEL], options.get(_U32_ACT, b"")))
    return _target(*found[0]) if len(found) == 1 else 0


def _target(selector: bytes, actions: bytes) -> int:
    """To which link one filter sends everything; 0 if it does something else."""
    keys = selector[2:3]
    mask = selector[_SELECTOR.size : _SELECTOR.size + 4]
    every = attributes(actions)
    if keys != b"\1" or any(mask) or list(every) != [1]:
        return 0
    action = attributes(every[1])
    told = attributes(action.get(_OPTIONS, b"")).get(_MIRRED_PARMS, b"")
    if text(action.get(_KIND)) != "mirred" or len(told) < _MIRRED.size:
        return 0
    *_, does, link = _MIRRED.unpack_from(told)
    return int(link) if does == _REDIRECTS else 0
