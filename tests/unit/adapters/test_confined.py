"""A tool in a cage that starts others without an end."""

import pytest

from overlayd.adapters.imports import confined
from overlayd.adapters.imports.confined import Cage
from overlayd.ports.images import ImageError, ImportWatch

FORKS = "i=0; while [ $i -lt 40 ]; do sleep 60 & i=$((i+1)); done"


def test_a_tool_cannot_take_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "PROCESSES_MOST", 20)
    with pytest.raises(ImageError, match="annot fork"):
        confined.run(["sh", "-c", FORKS], Cage(), ImportWatch())
