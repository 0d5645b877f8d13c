"""The app: every router under the version's prefix, one form of error, the schema of it all."""

from pathlib import Path
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from overlayd.api import (
    audit,
    commits,
    console,
    events,
    grids,
    image_files,
    image_gc,
    images,
    overlay,
    paths,
    streams,
    usage,
    visits,
)
from overlayd.api.image_files import UPLOAD
from overlayd.api.problems import HANDLERS
from overlayd.api.service import Service
from overlayd.api.views import VERSION
from overlayd.ports.peer import LocalPeer

BODY_MAX_BYTES = 64 << 10
"""The most bytes of a body, unless a handler says otherwise."""

_DESCRIPTION = """What overlayctl asks of the peer on this host.

Errors are `{"problem": ..., "would_work": ...}`. Rows about other hosts say how old they are, in
seconds (`age_s`; -1: never heard)."""


class _App(Litestar):
    """Litestar without its plugins for pydantic, which is here because of typer.

    All our types are msgspec's. Loading pydantic would cost 7 MiB and make the first answer late.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(peer: LocalPeer, uploads: Path) -> Litestar:
    """The API of a running peer, to be served on its event loop.

    `uploads` is a folder on the image store's disk, made if it is not there. What an earlier process left in
    it is removed.
    """
    uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in uploads.glob(f"{UPLOAD}*"):
        left.unlink()
    service = Service(peer, uploads)
    routers = [
        module.router
        for module in (
            *(overlay, grids, events, audit, images, image_files, image_gc),
            *(commits, console, paths, streams, usage, visits),
        )
    ]
    app = _App(
        [Router(f"/{VERSION}", route_handlers=routers)],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_MAX_BYTES,
        openapi_config=OpenAPIConfig(
            title="overlayd",
            version=VERSION,
            description=_DESCRIPTION,
            path="/schema",
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"]), YamlRenderPlugin()],
        ),
        logging_config=None,
        debug=False,
    )
    app.state.service = service
    return app


def service_of(app: Litestar) -> Service:
    """The service that the app's handlers are given."""
    service: Any = app.state.service
    assert isinstance(service, Service)
    return service
