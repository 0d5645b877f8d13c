"""Architectures are written as `uname -m` says them."""

import platform

from protocol.terms.architecture import Architecture


def test_words_are_those_of_uname() -> None:
    assert Architecture("x86_64") is Architecture.X86_64
    assert platform.machine() in tuple(Architecture)
