"""What names of hosts stand for: asked of the system when somebody is to be dialled, and forgotten at once.

DNS is slow, or silent, or says what its owner likes. So each question has a thread of its own, which nobody
waits for longer than LOOK_S and which does not keep the process; those on others' word are so many and no more.
What comes back is dialled as an address, and under the same rules: of one host, of this machine itself only if
the configuration wrote that name, and each so often (protocol/membership/dialling.py knows the name only).
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

from protocol.terms.address import Address, Ip, address_of, ip_of, is_one_host
from protocol.terms.dial_share import DialShare
from protocol.terms.problem import Trouble

LOOK_S = 5.0
LOOKS_MOST = 16
"""Questions on others' word at once: a slow server of one name's owner holds up so many threads."""
ADDRESSES_MOST = 8
"""Of one name. The best are first (RFC 6724)."""

_UNKNOWN = {socket.EAI_NONAME, socket.EAI_NODATA}
Ask = Callable[[str], list[str]]


class Unresolved(Exception):
    """A name leads nowhere. The text says which, and why."""

    def __init__(self, host: str, trouble: Trouble) -> None:
        super().__init__(f"{host}: {_WHY[trouble]}")
        self.trouble = trouble


_WHY = {
    Trouble.NO_NAME: "there is no such name",
    Trouble.NO_DNS: f"the name was not answered within {LOOK_S:.0f} s, or not at all",
    Trouble.NAME_ASTRAY: "the name stands for no address that may be dialled",
}


def ask_system(host: str) -> list[str]:
    """Addresses of a name, the best first. It blocks. Raises socket.gaierror."""
    return [found[4][0] for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]  # type: ignore[misc]


class Names:
    """Looks names up."""

    def __init__(self, told: Iterable[str] = (), ask: Ask = ask_system) -> None:
        """`told` are the addresses of the configuration."""
        self._told = frozenset(map(address_of, told))
        self._ask = ask
        self._share = DialShare()
        self._looking: dict[str, asyncio.Future[list[str] | Trouble]] = {}

    async def one_of(self, address: Address, turn: int) -> Ip:
        """An address to dial: the best at turn 0, then the others in turn. Raises Unresolved."""
        if address.ip is not None:
            return address.ip
        told = address in self._told
        found = await self.all_of(address.host, told)
        ip = found[turn % len(found)]
        if not told and not self._share.take(ip, asyncio.get_running_loop().time()):
            raise Unresolved(address.host, Trouble.NAME_ASTRAY)
        return ip

    async def all_of(self, host: str, told: bool = True) -> list[Ip]:
        """Every address that a name stands for and that may be meant, one at least. Raises Unresolved.

        `told`: the configuration has the name.
        """
        looking = self._looking.get(host)
        if looking is None:
            if not told and len(self._looking) >= LOOKS_MOST:
                raise Unresolved(host, Trouble.NO_DNS)
            loop = asyncio.get_running_loop()
            looking = self._looking[host] = loop.create_future()
            threading.Thread(target=self._look, args=(host, loop), daemon=True).start()
        try:
            async with asyncio.timeout(LOOK_S):
                said = await asyncio.shield(looking)
        except TimeoutError:
            said = Trouble.NO_DNS
        if isinstance(said, Trouble):
            raise Unresolved(host, said)
        ips = [ip for ip in map(ip_of, dict.fromkeys(said)) if ip is not None and is_one_host(ip)]
        meant = [ip for ip in ips if told or not ip.is_loopback][:ADDRESSES_MOST]
        if not meant:
            raise Unresolved(host, Trouble.NAME_ASTRAY)
        return meant

    def _look(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        """A thread's work."""
        said: list[str] | Trouble
        try:
            said = self._ask(host)
        except socket.gaierror as error:
            said = Trouble.NO_NAME if error.errno in _UNKNOWN else Trouble.NO_DNS
        except (OSError, UnicodeError):
            said = Trouble.NO_DNS
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._answered, host, said)

    def _answered(self, host: str, said: list[str] | Trouble) -> None:
        self._looking.pop(host).set_result(said)
