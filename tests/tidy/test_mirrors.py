"""Each source file has a test file of its name, or stands on a list that only shrinks.

A test file has a source's name if that is among its words: `protocol/hosting/lease.py` has
`tests/unit/hosting/test_hosting_lease.py`. It is in the unit folder of the source's room, or beside the
suites that fakes and adapters share.
"""

import re
from pathlib import Path

from test_house import SOURCES, TOP, tracked

UNTESTED = Path(__file__).with_name("untested.txt")
"""Sources without a test file of their name, one a line, sorted. A new source has a test file instead."""

ELSEWHERE = {"sim": "simulation"}
"""Rooms whose tests are not below tests/unit."""

TESTS = [path.relative_to(TOP) for path in tracked(".py") if path.name.startswith("test_")]


def room_of(source: Path) -> str:
    """The folder below a package's top; for netns the top itself, whose tests are all in one folder."""
    package, *rest = source.parts
    return rest[0] if len(rest) > 1 and package != "netns" else package


def is_named_after(test: Path, source: Path) -> bool:
    """Whether that test file has that source's name, and is in a folder for it."""
    room = room_of(source)
    folders = ("tests/contract", f"tests/unit/{room}", f"tests/{ELSEWHERE.get(room, 'unit')}")
    if str(test.parent) not in folders and not (room == "overlayd" and "unit" in test.parts):
        return False
    prefixes = f"{room}_|{source.parts[0]}_|sim_"
    words = re.sub(f"^test_({prefixes})?", "", test.stem)
    return re.search(rf"(^|_){re.escape(source.stem)}(_|$)", words) is not None


def untested() -> list[str]:
    """The sources without a test file. A file that only names a package, or starts it, needs none."""
    sources = [path.relative_to(TOP) for path in SOURCES if not path.name.startswith("__")]
    return sorted(
        str(source) for source in sources if not any(is_named_after(test, source) for test in TESTS)
    )


def listed() -> list[str]:
    return UNTESTED.read_text().splitlines()


def test_a_source_has_a_test_file_of_its_name() -> None:
    found = [source for source in untested() if source not in listed()]
    assert found == [], "write a test file that is named after each"


def test_what_is_listed_is_there_and_has_none() -> None:
    without = untested()
    needless = [source for source in listed() if source not in without]
    assert needless == [], f"gone, or tested by now: take them off {UNTESTED.name}"


def test_the_list_is_in_order() -> None:
    assert listed() == sorted(set(listed()))


def test_what_is_of_a_name_and_what_is_not() -> None:
    def of(test: str, source: str) -> bool:
        return is_named_after(Path(test), Path(source))

    assert of("tests/unit/hosting/test_hosting_lease.py", "protocol/hosting/lease.py")
    assert of("tests/unit/trust/test_order.py", "protocol/trust/order.py")
    assert of("tests/unit/node/test_node_node.py", "protocol/node/node.py")
    assert of("tests/unit/netns/test_netns_traces.py", "netns/traces.py")
    assert of("tests/contract/test_seeds.py", "overlayd/adapters/seeds.py")
    assert of("tests/simulation/test_sim_world.py", "protocol/sim/world.py")
    assert of("tests/unit/daemon/test_daemon_main.py", "overlayd/daemon.py")
    assert not of("tests/unit/hosting/test_hosting_leases.py", "protocol/hosting/lease.py")
    assert not of("tests/unit/node/test_node_relaying.py", "protocol/node/node.py")
    assert not of("tests/unit/hosting/test_hosting_holds.py", "protocol/hosting/host.py")
    assert not of("tests/unit/trust/test_order.py", "protocol/hosting/order.py")
