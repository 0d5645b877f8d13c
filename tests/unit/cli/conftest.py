"""A daemon to ask. The peer behind it is the API's tests' own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "api"))

from asked_daemon import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One host with one image, whose machines come up at once."""
    with Daemon(tmp_path) as daemon:
        yield daemon
