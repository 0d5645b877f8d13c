"""A client that goes on sending while it is answered, by hand."""

import asyncio
from pathlib import Path

from overlayd.api import frames

WITHIN_S = 10.0


class Client:
    """A client by hand: it writes chunks, and reads the answer as it comes."""

    def __init__(self, path: Path, asks: str = "streams") -> None:
        self.path, self.asks = path, asks
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def begin(self, *parts: bytes) -> int:
        """Sends the beginning, and answers the status."""
        self.reader, self.writer = await asyncio.open_unix_connection(str(self.path))
        head = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.writer.write(f"POST /v1/{self.asks} {head}".encode())
        for part in parts:
            self.send(part)
        line = await self.reader.readline()
        while (await self.reader.readline()).strip():
            pass
        return int(line.split()[1])

    def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def frame(self) -> tuple[bytes, bytes]:
        """The next frame. Each is sent as one chunk."""
        async with asyncio.timeout(WITHIN_S):
            size = int(await self.reader.readline(), 16)
            whole = await self.reader.readexactly(size)
            await self.reader.readline()
        kind, length = frames.head(whole)
        assert length == len(whole) - frames.HEAD_BYTES
        return kind, whole[frames.HEAD_BYTES :]
