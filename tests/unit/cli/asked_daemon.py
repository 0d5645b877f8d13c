"""A daemon to ask: a real node and the real API on a real socket, in a thread."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from one_host import OneHost, image_file
from typer.testing import CliRunner, Result

from overlayd.api.app import create_app
from overlayd.api.server import serve
from overlayd.cli.main import app

GRID = """\
grid: demo
lease: {for: 6h}
networks:
  lan: {cidr: 10.42.0.0/24, encryption: none}
volumes:
  scratch: {size: 1G}
clusters:
  head:
    image: guest
    cpus: 0.5
    memory: 256M
    networks: [lan]
    volumes: {scratch: /srv}
  worker:
    count: 2
    image: guest
    cpus: 0.25
    memory: 128M
    scratch: 2G
    networks: [lan]
profiles:
  big: {clusters: {worker: {memory: 8G}}}
  strange: {clusters: {worker: {image: gest}}}
"""


class Daemon:
    """A running peer with its API, and how to ask it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "s"
        self.host = OneHost(folder)
        self.grid_file = folder / "demo.yaml"
        self.grid_file.write_text(GRID)
        self.loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Daemon":
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()

    def call(self, what: Callable[[], object]) -> None:
        """Calls something on the daemon's loop."""
        self.loop.call_soon_threadsafe(what)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self.host.images.add(image_file(self.folder / "guest.img"))
        self.app = create_app(self.host, self.folder / "uploads")
        served = await serve(self.app, self.socket)
        running = asyncio.create_task(self.host.run())
        await self.host.images_changed()
        self._ready.set()
        await self._stop.wait()
        await served.stop()
        assert not running.done(), running.exception()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def ask(self, *words: object, code: int = 0) -> Result:
        """overlayctl with these words, as the site admin."""
        options = ["--peer", str(self.socket), "--identity", str(self.host.site_dir)]
        result = CliRunner().invoke(app, [*options, *map(str, words)])
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    def up(self) -> None:
        """Makes the grid of the file."""
        self.ask("up", self.grid_file)
