"""A first look says no only where a thorough one would find nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from netns import model, traces

TAG, VNI = "abc123", 0x00ABCD


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Links and namespaces of a host that has nothing of ours."""
    names = {"links": ["lo", "eth0", "ovs-system", "virbr0"], "namespaces": ["ovl-other1-00abcd"]}
    monkeypatch.setattr("socket.if_nameindex", lambda: list(enumerate(names["links"])))
    monkeypatch.setattr("netns.kernel.namespaces.names", lambda: names["namespaces"])
    return names


@pytest.mark.usefixtures("host")
def test_where_nothing_is_nothing_is_looked_for(tmp_path: Path) -> None:
    assert not traces.any_of(tmp_path, TAG)
    assert not traces.any_of(tmp_path / "not there", TAG)


@pytest.mark.parametrize(
    "name",
    [
        model.bridge_name(VNI),
        model.vxlan_name(VNI),
        model.sealed_name(VNI),
        model.veth_name(VNI),
        model.tap_name("n", "w"),
    ],
)
def test_any_kind_of_link_is_a_trace(host: dict[str, list[str]], tmp_path: Path, name: str) -> None:
    host["links"].append(name)
    assert traces.any_of(tmp_path, TAG)


def test_a_namespace_of_this_owner_is_a_trace(host: dict[str, list[str]], tmp_path: Path) -> None:
    host["namespaces"].append(model.namespace_name(TAG, VNI))
    assert traces.any_of(tmp_path, TAG)


@pytest.mark.usefixtures("host")
def test_a_plan_on_disk_is_a_trace(tmp_path: Path) -> None:
    (tmp_path / "g.lan").mkdir()
    assert traces.any_of(tmp_path, TAG)


def test_looking_loads_no_netlink_library() -> None:
    script = "import sys, netns.traces; print('pyroute2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
