"""Sealed boxes: for one peer and nobody else, and never a wrong content."""

from overlayd.adapters.nacl_keys import NaclIdentity
from overlayd.adapters.sealed_boxes import SealedBoxes
from protocol.terms.ids import PeerId

ONE, TWO = NaclIdentity.generate(), NaclIdentity.generate()


def test_only_the_one_it_is_for_can_open_it() -> None:
    box = SealedBoxes(ONE).seal(TWO.peer, b"secret")
    assert box is not None
    assert b"secret" not in box
    assert len(box) == 48 + len(b"secret")
    assert SealedBoxes(TWO).open(box) == b"secret"
    assert SealedBoxes(ONE).open(box) is None, "not even who sealed it"


def test_what_was_changed_on_the_way_does_not_open() -> None:
    box = SealedBoxes(ONE).seal(TWO.peer, b"secret") or b""
    for wrong in (box[:-1], box + b"x", box[:40] + bytes([box[40] ^ 1]) + box[41:], b"", b"x" * 10):
        assert SealedBoxes(TWO).open(wrong) is None


def test_who_is_no_key_gets_nothing() -> None:
    assert SealedBoxes(ONE).seal(PeerId("0" * 64), b"x") is None
    assert SealedBoxes(ONE).seal(PeerId("nobody"), b"x") is None
