"""A site's policy: which virtual organisations, and which other sites, may use how much of it.

The site's admin writes it as a file (overlayd/config/policyfile.py), gives it the next number and signs it
(policy_record.py). It says who is let in by key; names are for people. Whoever it does not name may use
nothing, except the site itself. Each of its statements comes with the line of the file that it was written in,
so that whoever is refused is told the line.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.capacity.allotments import Amounts, Parts
from protocol.capacity.quantum import Quantum
from protocol.terms.ids import Digest, KeyId, PeerId
from protocol.terms.limits import STEWARDS_MOST
from protocol.terms.ranges import AMOUNT_MOST, Count, Moment, Name, Number, Port
from protocol.terms.ranges import Line as Text
from protocol.trust.ceilings import NO_CEILINGS, Ceilings
from protocol.trust.certificate import Chain
from protocol.trust.order import SignedOrder

VOS_MOST = 128
"""Named in one policy. With a ceiling, an image and their lines each takes 300 bytes."""
NAMED_MOST = 64
"""Images, ranges of ports, or devices of one VO."""
LINE_MOST = 160
"""Characters of a line of the file that are kept."""
SHARE_MOST = 1_000_000


class Priority(StrEnum):
    """What comes first of what waits at a site."""

    OWN = "own"
    """The site's own work, before what others have not been guaranteed."""
    SHARES = "shares"
    """Whoever has used least of its share; the site's own work has a share as well."""


class Revoked(StrEnum):
    """When what was made under a grant ends that was revoked since, or for whom the policy names no more."""

    AT_LEASE_END = "at-lease-end"
    AT_ONCE = "at-once"


class Line(msgspec.Struct, frozen=True, array_like=True):
    """Where the file says something."""

    key: Name
    """Within its table: `images`, `ceiling.workspaces`; empty for the table itself."""
    number: Count
    text: Text


class PortSpan(msgspec.Struct, frozen=True, array_like=True):
    """Ports of a host, the first and the last."""

    first: Port
    last: Port

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


class VoTerms(msgspec.Struct, frozen=True):
    """What one virtual organisation, or one other site, may use."""

    name: Name
    """As the site calls it. Its key alone says who it is."""
    key: KeyId
    share: Annotated[int, msgspec.Meta(ge=0, le=SHARE_MOST)] = 0
    """Of what is contended, in proportion to the shares of others."""
    ceiling: Ceilings = NO_CEILINGS
    """The most that it has at this site at once, and its longest lease."""
    guaranteed: Quantum = Quantum()
    """Kept free for it, or free at once."""
    images: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=NAMED_MOST)] = ()
    """The only ones; none for every image."""
    expose: Annotated[tuple[PortSpan, ...], msgspec.Meta(max_length=NAMED_MOST)] = ()
    """Ports of hosts at which its guests may be reached; none if at no port."""
    devices: Annotated[tuple[Name, ...], msgspec.Meta(max_length=NAMED_MOST)] = ()
    """Names of devices that it may use; none if no device."""
    egress: bool = False
    """Whether its guests may be let out to the internet."""
    lines: Annotated[tuple[Line, ...], msgspec.Meta(max_length=NAMED_MOST)] = ()

    def line(self, key: str) -> Line | None:
        """Where the file says that, or whose terms these are if it does not."""
        found = {line.key: line for line in self.lines}
        return found.get(key) or found.get(key.partition(".")[0]) or found.get("")


class SitePolicy(msgspec.Struct, frozen=True):
    """Body of a record of kind `policy`, which the site's key signs."""

    site: Name
    number: Number
    """The newest counts. It is the sequence of its record."""
    made_at_s: Moment
    """Unix seconds."""
    chain: Chain
    """The site's certificate."""
    priority: Priority = Priority.OWN
    share: Annotated[int, msgspec.Meta(ge=0, le=SHARE_MOST)] = 0
    """Of the site's own work, where shares count."""
    vos: Annotated[tuple[VoTerms, ...], msgspec.Meta(max_length=VOS_MOST)] = ()
    revoked: Revoked = Revoked.AT_LEASE_END
    """When what was made under a revoked grant ends."""
    stewards: Annotated[tuple[PeerId, ...], msgspec.Meta(max_length=STEWARDS_MOST)] = ()
    """The hosts that keep what of its ceilings each host of the site may use. None: each host counts what the
    others tell, and two may hold at one moment what only one of them should."""
    counting: SignedOrder | None = None
    """The site's order by which they do. It stays the same as long as they do."""

    @property
    def counted(self) -> Parts:
        """(key, the most that may be there at once) of those that have such a ceiling."""
        fields = Amounts.__struct_fields__
        each = [(vo.key, [getattr(vo.ceiling, field) for field in fields]) for vo in self.vos]
        return tuple(
            (key, Amounts(*(AMOUNT_MOST if most is None else most for most in limits)))
            for key, limits in each
            if any(most is not None for most in limits)
        )

    @property
    def title(self) -> str:
        """What it is called: `policy 3 of site ams`, or by its file before it is signed."""
        return f"policy {self.number} of site {self.site}" if self.number else self.site

    def terms(self, key: KeyId) -> VoTerms | None:
        """What it says of that key; None if nothing."""
        return next((vo for vo in self.vos if vo.key == key), None)


class PolicyRow(msgspec.Struct, frozen=True):
    """The newest policy of a site, as far as a peer has heard."""

    key: KeyId
    """The site's."""
    policy: SitePolicy
    """Without its certificate."""
