"""Streams: a request whose body and answer run at once, relayed to the host that carries a workspace.

HTTP has all of it: the answer may begin before the request has ended, a refusal is an answer like any other,
and what is not read is not sent. api/frames.py says what is inside.
"""

import asyncio

import msgspec
from litestar import Router, asgi
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from overlayd.api import frames
from overlayd.api.grids import BODY_MAX_BYTES, ordered_action, ordered_workspace
from overlayd.api.problems import ApiProblem, ClientGone
from overlayd.api.service import Service
from overlayd.api.views import BrokenView, ConnectRequest
from overlayd.ports.peer import Pipe, StreamOver
from protocol.stream.messages import Why
from protocol.trust.order import Action, SignedOrder

_STATUS = {Why.REFUSED: 403, Why.BUSY: 503}
_HELPS = {
    Why.UNREACHABLE: "`overlayctl show GRID` says how far it is; `overlayctl console` what it does",
    Why.SILENT: "try again; `overlayctl peers` says which hosts are heard",
    Why.BUSY: "end some of them, or try again later",
}


@asgi("/streams", copy_scope=False)
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """A stream to a port of a workspace."""
    service: Service = scope["litestar_app"].state.service
    if scope["type"] != ScopeType.HTTP or scope["method"] != "POST":
        raise ApiProblem(405, "a stream is asked for with POST")
    body = Body(receive)
    order = await _order(body)
    row = ordered_workspace(service, ordered_action(order, Action.CONNECT, "a stream"))
    try:
        pipe = await service.peer.connect(row.peer, order)
    except StreamOver as error:
        what = f"{row.grid}/{row.workspace} is not reached: {error}"
        raise ApiProblem(_STATUS.get(error.why, 502), what, _HELPS.get(error.why, "")) from None
    kind = [(b"content-type", b"application/vnd.overlayd.frames")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    last = await _joined(service, body, pipe, send)
    await send({"type": "http.response.body", "body": last, "more_body": False})


class Body:
    """The frames of a request's body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._got, self._more = bytearray(), True

    async def next(self, most_bytes: int) -> tuple[bytes, bytes] | None:
        """The next frame; None once there are no more. Raises ClientGone, or ApiProblem for what is none."""
        while (found := self._whole(most_bytes)) is None:
            if not self._more:
                if self._got:
                    raise ApiProblem(400, "the body ends within a frame")
                return None
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            self._got += message["body"]
            self._more = message["more_body"]
        return found

    async def gone(self) -> None:
        """Returns when the client has gone."""
        while (await self._receive())["type"] == "http.request":
            pass

    def _whole(self, most_bytes: int) -> tuple[bytes, bytes] | None:
        if len(self._got) < frames.HEAD_BYTES:
            return None
        kind, length = frames.head(bytes(self._got[: frames.HEAD_BYTES]))
        if length > most_bytes:
            raise ApiProblem(413, f"a frame of {length} bytes; at most {most_bytes} are accepted")
        whole = frames.HEAD_BYTES + length
        if len(self._got) < whole:
            return None
        data = bytes(self._got[frames.HEAD_BYTES : whole])
        del self._got[:whole]
        return kind, data


async def _order(body: Body) -> SignedOrder:
    first = await body.next(BODY_MAX_BYTES)
    if first is None or first[0] != frames.ORDER:
        raise ApiProblem(400, "a stream begins with a frame that has its order")
    try:
        return msgspec.json.decode(first[1], type=ConnectRequest).order
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiProblem(400, f"order: {error}") from None


async def _joined(service: Service, body: Body, pipe: Pipe, send: Send) -> bytes:
    """Carries both directions to their ends. Answers the last frame, if one is to say how it ended."""
    there = asyncio.create_task(_there(body, pipe))
    back = asyncio.create_task(_back(pipe, send))
    stop = asyncio.create_task(service.stopping.wait())
    tasks = (there, back, stop)
    try:
        await asyncio.wait((there, back, stop), return_when=asyncio.FIRST_COMPLETED)
        if not back.done():
            said = "this peer's daemon is being stopped" if stop.done() else "its client went away"
            pipe.close(Why.RESET, said)
        await back
    except StreamOver as error:
        broken = BrokenView(str(error.why), str(error))
        return frames.frame(frames.BROKEN, msgspec.json.encode(broken))
    finally:
        pipe.close(Why.RESET, "its client went away")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return b""


async def _there(body: Body, pipe: Pipe) -> None:
    """Returns when the client has gone, or says what makes no sense."""
    try:
        while (found := await body.next(frames.DATA_MAX_BYTES)) is not None:
            kind, data = found
            if kind == frames.END:
                break
            if kind != frames.DATA:
                return
            await pipe.write(data)
        pipe.end()
        await body.gone()
    except (ClientGone, ApiProblem, StreamOver):
        return


async def _back(pipe: Pipe, send: Send) -> None:
    while data := await pipe.read():
        for begins in range(0, len(data), frames.DATA_MAX_BYTES):
            part = data[begins : begins + frames.DATA_MAX_BYTES]
            body = frames.frame(frames.DATA, part)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        pipe.freed(len(data))
    end = frames.frame(frames.END)
    await send({"type": "http.response.body", "body": end, "more_body": True})
    await pipe.wait_over()


router = Router("/", route_handlers=[stream], tags=["streams"])
