"""The program that plays histories of allotments."""

import sys

import pytest
from benches import allotments


def test_it_plays_so_many_histories_and_says_what_went_wrong_in_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--seeds", "2", "--first", "7"])
    allotments.main()
    said = capsys.readouterr().out
    assert "2 histories held" in said
    assert "faults: " in said
