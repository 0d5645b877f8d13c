"""Watches this host's certificate file: a replaced one is taken up without a restart.

It looks at the file once a minute, and at once on SIGHUP. A file that is half copied, of another host, or ended
already changes nothing: the log says so, and the file is read again when it changes again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from overlayd.adapters.credentials import load_credentials
from overlayd.ports.keys import KeyFileError
from overlayd.telemetry.logs import logger
from protocol.node.events import Event, Renewed
from protocol.trust.certificate import Chain

LOOK_EVERY_S = 60.0


class CertificateWatch:
    """Tells of a new certificate."""

    def __init__(
        self,
        key: Path,
        certificate: Path,
        federation: Path,
        chain: Chain,
        tell: Callable[[Event], None],
    ) -> None:
        """`chain` is the one the daemon runs with."""
        self._key, self._certificate, self._federation = key, certificate, federation
        self._chain, self._tell = chain, tell
        self._seen = self._stamp()
        self.counts: Counter[str] = Counter()

    async def watch(self) -> None:
        """Looks at the file for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self, *, asked: bool = False) -> None:
        """Reads the file if it is another than before, or if a person `asked`."""
        stamp = self._stamp()
        if stamp == self._seen and not asked:
            return
        self._seen = stamp
        try:
            chain = load_credentials(self._key, self._certificate, self._federation).chain
        except KeyFileError as error:
            self.counts["certificate-not-taken-up"] += 1
            logger().warning("certificate.not-taken-up", why=str(error))
            return
        if chain != self._chain:
            self._chain = chain
            self._tell(Renewed(chain))

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._certificate.stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_size)
