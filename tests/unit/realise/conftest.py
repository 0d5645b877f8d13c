"""The host that most tests of this room begin with. Those that need another have a fixture of that name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from host_world import HostWorld

from overlayd.realise import realiser


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    """A host that carries nothing yet, and tries again at once."""
    monkeypatch.setattr(realiser, "_RETRY_S", (0.0,))
    world = HostWorld(tmp_path)
    await world.start()
    yield world
    await world.end()
