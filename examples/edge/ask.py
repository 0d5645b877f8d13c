"""Asks a proxy for a page again and again, by some connections at once, and says how many answers came.

python3 ask.py --proxy 203.0.113.1:30000 --at-once 16 --for 10 http://192.0.2.10:8000/page
"""

import argparse
import asyncio
import sys
import time
from urllib.parse import urlsplit

WITHIN_S = 30
"""How long an answer may take."""


class Asked:
    """What came of it."""

    def __init__(self) -> None:
        self.answers = 0
        self.cached = 0


async def ask(proxy: str, url: str, until_s: float, asked: Asked) -> None:
    """Asks by one connection until that monotonic time. Raises OSError or EOFError without an answer."""
    host, port = proxy.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    request = f"GET {url} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode()
    while time.monotonic() < until_s:
        writer.write(request)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        headers = {name.lower(): text for name, _, text in (x.partition(": ") for x in lines)}
        await reader.readexactly(int(headers["content-length"]))
        if status.split()[1] != "200":
            raise ConnectionError(f"the proxy answers {status}")
        asked.answers += 1
        asked.cached += headers.get("x-cache", "").startswith("HIT")
    writer.close()


async def measure(proxy: str, url: str, at_once: int, seconds: float) -> str:
    """Asks for so long, and says what came of it."""
    asked, began_s = Asked(), time.monotonic()
    asks = (ask(proxy, url, began_s + seconds, asked) for _ in range(at_once))
    await asyncio.wait_for(asyncio.gather(*asks), seconds + WITHIN_S)
    took_s = time.monotonic() - began_s
    return f"{asked.answers / took_s:.1f} answers a second; {asked.cached} of {asked.answers} from the cache"


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", required=True, metavar="HOST:PORT")
    parser.add_argument("--at-once", type=int, default=16, metavar="N", help="connections; 16")
    parser.add_argument("--for", type=float, default=10, dest="seconds", metavar="SECONDS")
    parser.add_argument("url")
    given = parser.parse_args()
    try:
        print(asyncio.run(measure(given.proxy, given.url, given.at_once, given.seconds)))
    except (OSError, EOFError, TimeoutError) as error:
        print(f"ask: {given.proxy} does not answer: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
