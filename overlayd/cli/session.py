"""What one run of overlayctl has: a daemon, a form of output, an identity."""

import secrets
import time
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from overlayd.cli.client import Client
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.stewards import stewards
from overlayd.ports.keys import KeyFileError
from protocol.trust.certificate import Chain
from protocol.trust.grants import Grants, read_grant
from protocol.trust.order import Action, Order, SignedOrder, sign_order
from protocol.trust.owner import VO_MARK
from protocol.trust.signing import Signer

if TYPE_CHECKING:
    from overlayd.adapters.credentials import Credentials
    from overlayd.adapters.people import Person

ORDER_VALID_S = 300.0
_OF_ONE_PEER = (Action.UP, Action.HOLD, Action.APPLY, Action.LEASE, Action.ATTACH)
"""What only the peer that is asked may carry out: whoever else sees the order can do nothing with it."""
_NONCE_BYTES = 12


class Output(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    """Only of `usage`, which is a table for spreadsheets."""


class Session:
    """What the root command makes, and other commands find in the context."""

    def __init__(
        self, socket: Path, output: Output, identity: Path | None, acting: str = ""
    ) -> None:
        self.output = output
        self.socket, self.identity = socket, identity
        self.acting = acting
        """A person's identity, by name or folder; empty if none was said."""

    @cached_property
    def client(self) -> Client:
        """The daemon that was named."""
        return Client(self.socket)

    @property
    def plain(self) -> bool:
        """Whether a program reads the answer: then there is no progress, only the API's structures."""
        return self.output is not Output.TABLE

    @cached_property
    def credentials(self) -> "Credentials":
        """The site admin's identity. Raises Failure if none was named or it cannot be used."""
        if self.identity is None:
            raise failure(
                "this has to be signed, and no identity was named",
                "--as NAME (OVERLAYD_AS), of `overlayctl identity create`; or --identity DIR "
                "(OVERLAYD_IDENTITY), the folder `overlayctl site add` wrote",
                USAGE,
            )
        from overlayd.adapters.credentials import load_site  # Only signing needs keys.

        try:
            return load_site(self.identity)
        except KeyFileError as error:
            raise failure(str(error), "the folder `overlayctl site add` wrote", USAGE) from None

    @cached_property
    def person(self) -> "Person":
        """The person whom --as names. Raises Failure if they cannot act."""
        from overlayd.cli.person import person_of

        if self.identity is not None:
            said = f"a site's identity was named, {self.identity}, and a person's, {self.acting}"
            works = "one of --identity (OVERLAYD_IDENTITY) and --as (OVERLAYD_AS)"
            raise failure(said, works, USAGE)
        return person_of(self.acting)

    @cached_property
    def grants(self) -> Grants:
        """What the person acts by; none for a site's admin. Raises Failure."""
        if not self.acting:
            return ()
        try:
            return self.person.chain(time.time())
        except KeyFileError as error:
            raise failure(str(error), code=USAGE) from None

    @property
    def label(self) -> str:
        """What owns that which is ordered: a site's name, `vo:` and a VO's, or empty if nobody is to sign."""
        return f"{VO_MARK}{read_grant(self.grants[0]).name}" if self.acting else self.site

    @property
    def site(self) -> str:
        """The identity's site; empty if none was named."""
        return self.credentials.principal.site if self.identity is not None else ""

    @cached_property
    def peer(self) -> str:
        """The key of the daemon that was named."""
        from protocol.node.rows import SelfRow  # Imported with the first order for one peer.

        return self.client.get("/self", SelfRow).peer

    def sign(
        self,
        action: Action,
        grid: str,
        workspace: str = "",
        body: bytes = b"",
        valid_s: float = ORDER_VALID_S,
        via: str = "",
    ) -> SignedOrder:
        """A fresh order, which only the peer `via` may use if it names one. Raises Failure if none takes it.

        What places a grid or changes a lease is for the peer that is asked.
        One that brings a grid up names its stewards, drawn from the hosts that the peer asked hears.
        """
        signer, chain = self._signer()
        seats = stewards(self.client, self.site) if action is Action.UP else ((), ())
        order = Order(
            action=action,
            grid=grid,
            issued_at_s=time.time(),
            valid_s=valid_s,
            nonce=secrets.token_hex(_NONCE_BYTES),
            workspace=workspace,
            body=body,
            via=via or (self.peer if action in _OF_ONE_PEER else ""),
            stewards=seats[0],
            stores=seats[1],
        )
        try:
            return sign_order(order, signer, chain, self.grants)
        except ValueError as error:
            raise failure(str(error), code=USAGE) from None

    def _signer(self) -> tuple[Signer, Chain]:
        if self.acting:
            return self.person.signer, ()
        return self.credentials.identity, self.credentials.chain


def session_of(context: typer.Context) -> Session:
    """The run's session."""
    session = context.find_object(Session)
    assert session is not None
    return session
