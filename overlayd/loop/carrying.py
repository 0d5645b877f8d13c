"""Between a stream and the workspace it leads to: a connection in the grid network's namespace, carried on."""

import asyncio
import errno
import socket
from types import TracebackType

from overlayd.loop.stream import Stream
from overlayd.ports.network import Network, NetworkError
from overlayd.ports.peer import StreamOver
from overlayd.realise.paths import network_name
from protocol.node.rows import StreamWay
from protocol.stream.limits import STREAM_CONNECT_S, STREAM_PIECE_BYTES
from protocol.stream.messages import Why

_WAITING_BYTES = 2 * STREAM_PIECE_BYTES


class Door:
    """An open connection to a port of a workspace, for as long as it is entered. Entering raises StreamOver."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self, network: Network, way: StreamWay) -> None:
        self._network, self._way = network, way

    async def __aenter__(self) -> "Door":
        name, port = self._way.carried.workspace, self._way.port
        if not self._way.addresses:
            raise StreamOver(
                Why.UNREACHABLE, f"{name} has no network, so no port of it can be reached"
            )
        try:
            async with asyncio.timeout(STREAM_CONNECT_S):
                handle = await self._connect()
        except TimeoutError:
            said = f"{name} port {port}: no answer within {STREAM_CONNECT_S:.0f} s"
            raise StreamOver(Why.UNREACHABLE, said) from None
        self.reader, self.writer = await asyncio.open_connection(sock=handle, limit=_WAITING_BYTES)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes it; with an error as a reset, so that the workspace does not take it for the end."""
        if error is not None:
            self.writer.transport.abort()
        self.writer.close()

    async def _connect(self) -> socket.socket:
        """By the first of its networks on which the port answers: a service may listen on one of them alone."""
        why = ""
        for network, address in self._way.addresses:
            try:
                known = network_name(self._way.carried.grid, network)
                return await self._network.connect(known, address, self._way.port)
            except NetworkError:
                why = (
                    why
                    or f"{self._way.carried.workspace} is not running yet: its network is not made"
                )
            except OSError as error:
                why = why or _refused(self._way.carried.workspace, self._way.port, error)
        raise StreamOver(Why.UNREACHABLE, why)


async def carry(stream: Stream, door: Door) -> None:
    """Carries both directions to their ends. Raises StreamOver if it ends before."""
    # The end of the stream is waited for beside them: a workspace that reads nothing would hold up who writes.
    tasks = [
        asyncio.create_task(_there(stream, door.writer)),
        asyncio.create_task(_back(stream, door.reader)),
        asyncio.create_task(stream.wait_over()),
    ]
    try:
        await asyncio.gather(*tasks)
    except OSError as error:
        said = f"the workspace closed the connection: {(error.strerror or str(error)).lower()}"
        stream.close(Why.RESET, said)
        raise StreamOver(Why.RESET, said) from None
    except asyncio.CancelledError:
        stream.close(Why.ENDED, "the daemon of its host is being stopped")
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _there(stream: Stream, writer: asyncio.StreamWriter) -> None:
    while data := await stream.read():
        writer.write(data)
        await writer.drain()
        stream.freed(len(data))
    writer.write_eof()


async def _back(stream: Stream, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(STREAM_PIECE_BYTES):
        await stream.write(data)
    stream.end()


def _refused(name: str, port: int, error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return f"connection refused by {name} port {port}: nobody listens there"
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return f"{name} port {port}: it does not answer on its network (yet)"
    return f"{name} port {port}: {(error.strerror or str(error)).lower()}"
