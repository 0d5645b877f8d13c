"""A virtual organisation of tests."""

from typing import Any

from protocol.sim.keys import SimSigner
from protocol.terms.ids import digest_of
from protocol.trust.ceilings import NO_CEILINGS
from protocol.trust.grants import Grant, Grants, read_grant, sign_grant
from protocol.trust.verbs import EVERY_VERB


class Organisation:
    """A virtual organisation: a key, a name, and what it grants. All keys follow from names."""

    def __init__(self, name: str, *, from_s: float, until_s: float) -> None:
        self.name, self._from_s, self._until_s = name, from_s, until_s
        self.signer = SimSigner(f"vo/{name}")

    def key_of(self, member: str) -> SimSigner:
        """The signer with a member's key."""
        return SimSigner(f"vo/{self.name}/{member}")

    def grant(self, member: str, *, under: Grants = (), by: str = "", **changes: Any) -> Grants:
        """The chain that ends in a grant to that member, by the VO or by a member `under` whose chain it is.

        It allows everything, everywhere, as long as its parent, but for the `changes`: fields of a Grant.
        """
        issuer = self.key_of(by) if by else self.signer
        parent = read_grant(under[-1]) if under else None
        said: dict[str, Any] = {
            "issuer": issuer.key,
            "audience": self.key_of(member).key,
            "vo": self.signer.key,
            "name": self.name,
            "member": member,
            "verbs": parent.verbs if parent else EVERY_VERB,
            "sites": parent.sites if parent else (),
            "ceilings": parent.ceilings if parent else NO_CEILINGS,
            "not_before_s": parent.not_before_s if parent else self._from_s,
            "not_after_s": parent.not_after_s if parent else self._until_s,
            "parent": digest_of(under[-1].payload) if under else "",
            "serial": digest_of(f"{self.name}/{by}/{member}".encode())[:16],
        }
        return (*under, sign_grant(Grant(**(said | changes)), issuer))
