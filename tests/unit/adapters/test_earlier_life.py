"""What tells that a daemon lived here before, though its store is gone."""

from pathlib import Path

import pytest

from overlayd.adapters.earlier_life import traces_of
from overlayd.config.places import LIBVIRT_ROOT


def test_a_new_directory_has_no_traces(tmp_path: Path) -> None:
    assert traces_of(tmp_path) == []
    for folder in (LIBVIRT_ROOT, "volumes", "networks", "console", "images"):
        (tmp_path / folder).mkdir()
    assert traces_of(tmp_path) == [], "empty folders are made before anything is kept"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (f"{LIBVIRT_ROOT}/etc", "a hypervisor's directory"),
        ("console/1.log", "consoles"),
        ("volumes/g.0.data.raw", "volumes"),
        ("networks/g.0.lan", "networks"),
    ],
)
def test_what_is_left_is_named(tmp_path: Path, left: str, said: str) -> None:
    path = tmp_path / left
    path.parent.mkdir()
    path.write_text("")
    assert traces_of(tmp_path) == [said]
