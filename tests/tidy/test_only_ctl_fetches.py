"""No daemon fetches an address: what fetches is in no room that a daemon imports."""

import ast

from test_house import TOP

FETCHERS = {"urllib.request", "http.client", "httpx", "aiohttp", "requests", "ftplib", "wget"}
ROOMS = ("protocol", "netns", "overlayd")


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_only_overlayctl_fetches_addresses() -> None:
    files = [file for room in ROOMS for file in sorted((TOP / room).rglob("*.py"))]
    fetching = {
        str(file.relative_to(TOP))
        for file in files
        if imported(ast.parse(file.read_text())) & FETCHERS
    }
    assert fetching == {"overlayd/cli/client.py", "overlayd/cli/sources.py"}
