"""The list of what looks unused but is not only shrinks: an entry that nothing needs would hide dead code."""

import tomllib
from fnmatch import fnmatchcase

from test_house import TOP
from vulture import Vulture


def test_each_name_on_the_list_would_be_found_without_it() -> None:
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["vulture"]
    found = Vulture(ignore_decorators=settings["ignore_decorators"])
    found.scavenge([str(TOP / path) for path in settings["paths"]])
    unused = {item.name for item in found.get_unused_code(settings["min_confidence"])}
    needless = [
        entry
        for entry in settings["ignore_names"]
        if not any(fnmatchcase(name, entry) for name in unused)
    ]
    assert needless == []
