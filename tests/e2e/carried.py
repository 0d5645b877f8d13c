"""One workspace of a grid, as its owner sees it: through the daemon of the host that carries it."""

import re
import time

import msgspec
from federation import orders
from federation.launch import Federation, Host, wait_for

from overlayd.api.views import ConsoleRequest, ConsoleView
from overlayd.ports.peer import EventLine
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

WITHIN_S = 120


class Workspace:
    """One workspace, and the host that carries it."""

    def __init__(self, federation: Federation, grid: str, name: str) -> None:
        self.federation, self.admin = federation, federation.identity("ams")
        self.grid, self.name = grid, name
        (row,) = self._rows(federation.hosts["a"])
        self.host = federation.hosts[row.host]
        self.state = self.host.folder / "state"

    def _rows(self, host: Host) -> list:
        view = orders.grid(host, self.grid)
        rows = view.workspaces if view is not None else ()
        return [row for row in rows if row.workspace == self.name]

    def phase(self) -> tuple[str, str]:
        (row,) = self._rows(self.host)
        return row.phase, row.detail

    def is_told(self, phase: str, detail: str = "") -> None:
        wait_for(
            lambda: self.phase()[0] == phase and detail in self.phase()[1],
            WITHIN_S,
            f"{phase} {detail}",
        )

    def events(self, kind: str) -> list[EventLine]:
        """Those of its host's daemon, of that kind."""
        lines = self.host.ask("GET", "events").content.splitlines()
        events = [msgspec.json.decode(line, type=EventLine) for line in lines]
        return [e for e in events if (e.kind, e.subject) == (kind, f"{self.grid}/{self.name}")]

    def happened(self, kind: str, detail: str) -> None:
        def told() -> bool:
            return any(detail in e.detail and e.cause for e in self.events(kind))

        wait_for(told, WITHIN_S, f"an event {kind}: {detail}")

    def console(self, keys: bytes = b"") -> str:
        order = orders.signed(self.admin, Action.CONSOLE, self.grid, self.name, via=self.host)
        body = msgspec.json.encode(ConsoleRequest(order, 0, keys))
        said = self.host.ask("POST", "console", body).content
        return msgspec.json.decode(said, type=ConsoleView).data.decode(errors="replace")

    def prompts(self, count: int) -> None:
        """Its shell has been there so many times."""
        wait_for(lambda: self.console().count("Enter 'help'") >= count, WITHIN_S, "it has a shell")

    def obey(self, action: Action) -> None:
        request = orders.signed(self.admin, action, self.grid, self.name)
        done = orders.obeyed(self.host, request, WITHIN_S)
        assert done.state is RequestState.DONE, done.answer

    def has_the_time(self) -> None:
        """Its clock is the host's, to the few seconds that typing takes."""

        def right() -> bool:
            before = time.time()
            self.console(b"echo time-$(date +%s)\n")
            told = re.findall(r"^time-(\d+)\r?$", self.console(), re.MULTILINE)
            return bool(told) and int(told[-1]) >= before - 3

        wait_for(right, 30, "its clock is right")

    def pid(self) -> int:
        (file,) = (self.state / "libvirt" / "run" / "qemu").glob("ovl-*.pid")
        return int(file.read_text())
