"""Hears that something of a grid network may have changed, by whomever.

The kernel tells of links, addresses, forwarding entries, neighbours, queues and rules by netlink; of names of
namespaces by inotify. NETLINK_LISTEN_ALL_NSID brings what happens in the networks' own namespaces to the same
socket. It is a hint only: whoever hears it compares. If the kernel had to drop messages, that is a hint, too.
"""

import ctypes
import os
import re
import socket
import struct

from netns.failures import NetnsError
from netns.inside import link_name
from netns.kernel import namespaces, rtnetlink
from netns.kernel.rtnetlink import attributes, text
from netns.model import RATE_PREFIX, TAP_PREFIX
from netns.resources import INNER_LINK, OUTER_LINK

_SOL_NETLINK, _ADD_MEMBERSHIP, _LISTEN_ALL_NSID = 270, 1, 8
_LINK, _NEIGH, _QUEUES, _IPV4_ADDRESS, _IPV6_ADDRESS, _IPV4_CONF, _IPV6_CONF = 1, 3, 4, 5, 9, 24, 25
_NFTABLES = 7  # NFNLGRP_NFTABLES
_NEW_LINK, _DEL_LINK = 16, 17
_NEW_GENERATION = 10 << 8 | 15  # NFT_MSG_NEWGEN
_INDEX_AT = 4  # of the link's index in a message about a link, a neighbour or a queue
_LINK_HEAD_BYTES, _NFT_HEAD_BYTES = 16, 4
_BUFFER_BYTES = 1 << 16
_ANCILLARY_BYTES = 64
_IN_MOVED, _IN_CREATE, _IN_DELETE = 0xC0, 0x100, 0x200
_WATCH_HEAD = struct.Struct("=iIII")

_OURS = re.compile(rf"ov[bxsve]-[0-9a-f]{{6}}|({link_name('')}|{TAP_PREFIX}|{RATE_PREFIX}).+")
_libc = ctypes.CDLL(None, use_errno=True)


class Changes:
    """Sockets to wait for. They belong to the network namespace of the thread that opened them."""

    def __init__(self) -> None:
        """Raises OSError, or NetnsError, if this kernel does not let it listen."""
        self._sockets: dict[int, socket.socket] = {}
        self._ours: set[int] = set()
        try:
            confs = (_IPV4_CONF, _IPV6_CONF)
            groups = (_LINK, _IPV4_ADDRESS, _IPV6_ADDRESS, *confs)
            self._links = self._listen(socket.NETLINK_ROUTE, groups, everywhere=True)
            self._entries = self._listen(socket.NETLINK_ROUTE, (_NEIGH, _QUEUES))
            self._rules = self._listen(rtnetlink.NETLINK_NETFILTER, (_NFTABLES,))
            self._names = _watch_names()
        except BaseException:
            self._close_sockets()
            raise
        # After the sockets: a link that is made meanwhile is heard.
        self._ours |= {index for index, name in socket.if_nameindex() if _OURS.fullmatch(name)}

    def handles(self) -> tuple[int, ...]:
        """Descriptors that can be read when there is something to hear."""
        return (*self._sockets, self._names)

    def hear(self, handle: int) -> bool:
        """Reads what there is. True if it may concern a network of a grid. Does not block."""
        if handle == self._names:
            return self._hear_names()
        heard = False
        while True:
            try:
                data, beside, _, _ = self._sockets[handle].recvmsg(_BUFFER_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return heard
            except OSError:  # ENOBUFS: it came faster than it was read
                return True
            for kind, _, payload in rtnetlink.messages(data):
                heard |= self._concerns(handle, kind, payload, elsewhere=bool(beside))

    def close(self) -> None:
        """Hears nothing any more."""
        self._close_sockets()
        os.close(self._names)

    def _concerns(self, handle: int, kind: int, payload: bytes, *, elsewhere: bool) -> bool:
        if handle == self._entries:
            return int.from_bytes(payload[_INDEX_AT : _INDEX_AT + 4], "little") in self._ours
        if handle == self._rules:
            table = text(attributes(payload, _NFT_HEAD_BYTES).get(1))
            return kind != _NEW_GENERATION and table.startswith(("ovl_", "ovw_"))
        if kind not in (_NEW_LINK, _DEL_LINK):
            return True  # of an address or a setting; there are few
        name = text(attributes(payload, _LINK_HEAD_BYTES).get(rtnetlink.IFLA_IFNAME))
        if elsewhere:
            return name in (INNER_LINK, OUTER_LINK)
        index = int.from_bytes(payload[_INDEX_AT : _INDEX_AT + 4], "little")
        was_ours = index in self._ours
        is_ours = _OURS.fullmatch(name) is not None
        if is_ours and kind == _NEW_LINK:
            self._ours.add(index)
        elif was_ours and not is_ours:
            self._ours.discard(index)  # somebody gave it another name
        return is_ours or was_ours

    def _hear_names(self) -> bool:
        heard = False
        while True:
            try:
                data = os.read(self._names, _BUFFER_BYTES)
            except BlockingIOError:
                return heard
            at = 0
            while at < len(data):
                *_, length = _WATCH_HEAD.unpack_from(data, at)
                at += _WATCH_HEAD.size
                heard |= text(data[at : at + length].split(b"\0")[0]).startswith("ovl-")
                at += length

    def _listen(self, protocol: int, groups: tuple[int, ...], everywhere: bool = False) -> int:
        handle = rtnetlink.open_socket(protocol)
        self._sockets[handle.fileno()] = handle
        if everywhere:
            handle.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
        for group in groups:
            handle.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        handle.setblocking(False)
        return handle.fileno()

    def _close_sockets(self) -> None:
        for handle in self._sockets.values():
            handle.close()
        self._sockets = {}


def _watch_names() -> int:
    namespaces.DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if handle < 0:
        raise NetnsError(f"cannot watch: inotify: {os.strerror(ctypes.get_errno())}")
    mask = _IN_MOVED | _IN_CREATE | _IN_DELETE
    if _libc.inotify_add_watch(handle, os.fsencode(namespaces.DIRECTORY), mask) < 0:
        reason = os.strerror(ctypes.get_errno())
        os.close(handle)
        raise NetnsError(f"cannot watch {namespaces.DIRECTORY}: {reason}")
    return handle
