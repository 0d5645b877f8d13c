"""Who an order is given for: a site, by its key, or a virtual organisation, by a member with a chain of grants.

Whatever is made belongs to the key that the chain begins with. Who acts for it is the key that signed.
"""

import msgspec

from protocol.terms.ids import KeyId
from protocol.trust.ceilings import NO_CEILINGS, Ceilings
from protocol.trust.verbs import EVERY_VERB, Verb

VO_MARK = "vo:"


def plain(label: str) -> str:
    """The name of a site or a VO, as people write it before the slash."""
    return label.removeprefix(VO_MARK)


def admin(label: str) -> str:
    """Whose the grids of that label are, in words."""
    return f"VO {plain(label)}" if plain(label) != label else f"site {label}'s admin"


def signing_as(label: str) -> str:
    """With which options an order about such a grid is signed, in words."""
    name = plain(label)
    return (
        f"--as a member of {name}" if name != label else f"with --identity of site {label}'s admin"
    )


def is_called(label: str, name: str) -> bool:
    """Whether a person means the owner of that label by a name, which may be empty for any."""
    return name in ("", label, plain(label))


class Link(msgspec.Struct, frozen=True):
    """What one grant of a chain says, once it is believed."""

    key: KeyId
    """To whom it was given."""
    member: str
    """What its issuer calls that person or tool; empty if nothing."""
    grant: str
    """Digest of its payload, 64 hexadecimal digits."""
    sites: tuple[str, ...] = ()
    """Where it holds; empty for everywhere."""
    ceilings: Ceilings = NO_CEILINGS
    verbs: tuple[Verb, ...] = EVERY_VERB
    login: bool = False
    """Whether it is only another key of who gave it."""


class Owner(msgspec.Struct, frozen=True):
    """Whom an order is for, and who gave it. Only `check_chain` and `check_grants` lead to one."""

    key: KeyId
    """The site's, or the virtual organisation's. Grids, quotas and names are by it."""
    site: str = ""
    """A site's name; empty for a virtual organisation."""
    vo: str = ""
    """The name that a virtual organisation chose; empty for a site."""
    links: tuple[Link, ...] = ()
    """The grants from the organisation to the member, each inside the one before; none for a site."""

    @property
    def label(self) -> str:
        """What it is called beside the names of its grids: a site's name, or `vo:` and a VO's. A site's has
        no colon, so neither is taken for the other."""
        return f"{VO_MARK}{self.vo}" if self.vo else self.site

    @property
    def people(self) -> tuple[Link, ...]:
        """The grants that are to others than who gave them."""
        return tuple(link for link in self.links if not link.login and link.key != self.key)

    @property
    def member(self) -> str:
        """What who acts is called by who granted; empty for an owner itself, or if it has no name."""
        return self.people[-1].member if self.people else ""

    @property
    def line(self) -> tuple[KeyId, ...]:
        """The keys from the owner's own down to that of who acts. Each may do what those after it may."""
        return (self.key, *(link.key for link in self.people))

    @property
    def by(self) -> KeyId:
        """Who acts: the last of the line."""
        return self.line[-1]

    @property
    def signer(self) -> KeyId:
        """The key that signs for it: that of who acts, or of its login."""
        return self.links[-1].key if self.links else self.key

    def counted(self, link: Link) -> KeyId:
        """By which key the ceiling of one of its grants counts: a login's is that of who gave it."""
        return self.by if link.login else link.key

    def may_change(self, line: tuple[KeyId, ...]) -> bool:
        """Whether it may act on what was made by the last of a line of keys: it is the last, or above it."""
        return self.by in line and line[0] == self.key

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """What the signer may do."""
        return self.links[-1].verbs if self.links else EVERY_VERB

    @property
    def sites(self) -> tuple[str, ...]:
        """Where the signer may; empty for everywhere."""
        return self.links[-1].sites if self.links else ()

    @property
    def ceilings(self) -> Ceilings:
        """How much the signer may have."""
        return self.links[-1].ceilings if self.links else NO_CEILINGS


NOBODY = Owner(KeyId(""))
