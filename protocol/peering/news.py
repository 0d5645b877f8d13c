"""News: a line of text for everybody, as `overlayctl tell` gives it (Serf's user event).

It is a record like any other: signed by the host where it was given, spread by the tree, and brought by
comparison to peers that missed it. The people of each host are told once. A writer has SLOTS names that it
uses in turn, so that only its last few lines are kept, however much it tells.
"""

import msgspec

from protocol.broadcast.broadcast import Broadcast
from protocol.membership.presence import Known
from protocol.terms.allowance import Allowance
from protocol.terms.effects import Effect, Note
from protocol.terms.kinds import NEWS_BURST, NEWS_PER_S, NEWS_SITE_BURST, NEWS_SITE_PER_S
from protocol.terms.limits import NEWS_SLOTS, NEWS_TTL_S, PEERS_WATCHED
from protocol.terms.ranges import Line
from protocol.trust.record import Record
from protocol.wire.codec import decode, encode

KIND = "news"
MAX_TEXT_CHARACTERS = 1024
"""A line for people, not a document."""


class News(msgspec.Struct, frozen=True):
    """The body of a record of kind `news`."""

    text: Line


def problem(text: str) -> str:
    """What is wrong with a line, for people; empty if nothing is."""
    if not text.strip():
        return "there is nothing to tell"
    if len(text) > MAX_TEXT_CHARACTERS:
        return f"found {len(text)} characters; a line has at most {MAX_TEXT_CHARACTERS}"
    if not text.isprintable():
        return "found a character that cannot be printed; write one line of text"
    return ""


class Crier:
    """Tells this host's news to all, and other hosts' news to the people here."""

    def __init__(self, host: str, broadcast: Broadcast) -> None:
        self._host, self._broadcast = host, broadcast
        self._told = 0
        self._authors = Allowance(NEWS_BURST, NEWS_PER_S, PEERS_WATCHED)
        self._sites = Allowance(NEWS_SITE_BURST, NEWS_SITE_PER_S, PEERS_WATCHED)

    def tell(self, text: str, now: float) -> list[Effect]:
        """Publishes a line. One with a problem is dropped; faces say so before."""
        if problem(text):
            return []
        slot = str(self._told % NEWS_SLOTS)
        self._told += 1
        self._broadcast.publish(KIND, slot, encode(News(text)), NEWS_TTL_S, now)
        return [Note("news", self._host, text)]

    def heard(self, record: Record, author: Known, now: float) -> list[Effect]:
        """Tells another host's news to people. Raises Malformed if the body is none.

        A line that a face would not have taken is not repeated. Nor is one beyond what its author, or its
        author's site, may have people told: it would push what they need out of their logs.
        """
        news = decode(record.body, News)
        if problem(news.text):
            return []
        told = self._authors.take(record.owner, now) and self._sites.take(author.site, now)
        return [Note("news", author.name, news.text)] if told else []
