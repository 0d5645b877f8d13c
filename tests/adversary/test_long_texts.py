"""Texts of strangers: bounded where they are read, and in few, short, printable lines where they are told."""

import io
import sys
from typing import Any, get_args

import msgspec
import pytest
from golden import examples
from golden.vectors import tag_of
from hostile_values import CAUSE, _at, _paths, _with, arrived

from overlayd.config.daemonfile import LogFormat, LogTable
from overlayd.fakes.clock import FakeClock
from overlayd.fakes.store import FakeStore
from overlayd.fakes.transport import FakeHub, FakeTransport
from overlayd.loop.doorway import Doorway
from overlayd.loop.driver import Driver
from overlayd.loop.inbox import Inbox
from overlayd.loop.interpreter import Interpreter
from overlayd.telemetry import logs
from overlayd.telemetry.events import EventRing
from overlayd.telemetry.lines import LINE_CHARACTERS, LINES, NAME_CHARACTERS
from protocol.contract.messages import Decided, DecidedAck, HoldAsk
from protocol.node.events import Arrived, Garbled
from protocol.node.messages import Message
from protocol.terms.ids import GridId, PeerId
from protocol.wire.codec import pack_plain, to_plain

SENDER = PeerId("e" * 64)
LONG = "\x1b[2J\n" + "x" * 65531
KINDS = {tag_of(kind): kind for kind in get_args(Message)}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_text_of_64_kib_is_read_in_any_field_of_a_message(name: str) -> None:
    plain = to_plain(examples.example(KINDS[name]))
    taken = [
        path
        for path in _paths(plain)
        if isinstance(_at(plain, path), str)
        and not isinstance(
            arrived(SENDER, pack_plain([1, CAUSE, _with(plain, path, LONG)])), Garbled
        )
    ]
    assert taken == []
