"""Messages with something changed: frames that a peer reads or refuses, and hardly ever what they were."""

from random import Random

from golden.vectors import all_vectors

from protocol.node.messages import Message
from protocol.sim.bending import bent
from protocol.wire.codec import Malformed
from protocol.wire.envelope import pack, unpack
from protocol.wire.limits import MAX_FRAME_BYTES

FRAMES = [vector.data for vector in all_vectors() if vector.folder == "messages"]


def test_each_is_a_frame_that_is_read_or_refused() -> None:
    dice, read, same = Random(5), 0, 0
    for frame in FRAMES * 3:
        _, message = unpack(frame, Message)
        changed = bent(message, dice)
        assert 0 < len(changed) <= MAX_FRAME_BYTES
        same += changed == pack(message, "")
        try:
            unpack(changed, Message)
        except Malformed:
            continue
        read += 1
    assert read > len(FRAMES), "what nobody reads tries nothing"
    assert same < len(FRAMES) / 4


def test_the_same_dice_bend_alike() -> None:
    _, message = unpack(FRAMES[0], Message)
    assert bent(message, Random(9)) == bent(message, Random(9))
