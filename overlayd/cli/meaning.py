"""Which image a name means.

A name means what the host that is asked calls so, or its site, or the site of who asks. What any other site
calls so is its own business: whoever has a host there could call anything `debian-12`. So such an image is to
be named by its digest, and is offered. If these mean two images by one name, both are offered: nobody guesses.
"""

from overlayd.api.views import ImageRow
from overlayd.cli.words import short
from protocol.grid.model import ImageRef
from protocol.grid.problem import listed, quoted, unknown
from protocol.grid.syntax import PINNED
from protocol.terms.ids import is_digest_start

_PIN = "write the one you mean, digest and all"


def meant(written: str, images: list[ImageRow], site: str = "") -> tuple[ImageRef, str]:
    """(the image that is meant, what is wrong; empty if nothing is). `site` is that of who asks, if known.

    It may be written as a name, as a digest, as 8 or more digits of one, or as `NAME@sha256:DIGITS`.
    """
    pinned = PINNED.fullmatch(written)
    if pinned is not None:
        found = [row for row in images if row.digest.startswith(pinned["digits"])]
        return _one(written, pinned["name"], found, images)
    found = [row for row in images if written and written in (row.name, row.digest)]
    ours = [row for row in found if row.ours or site in row.named_by or row.digest == written]
    if found and not ours:
        own = f"this site or of {site}" if site else "this site"
        return ImageRef(written), (
            f"found {quoted(written)}, which no host of {own} calls an image; others do: "
            f"{_candidates(found)}; {_PIN}"
        )
    if not found and is_digest_start(written):
        ours = [row for row in images if row.digest.startswith(written)]
    return _one(written, written, ours, images)


def _one(
    written: str, name: str, found: list[ImageRow], images: list[ImageRow]
) -> tuple[ImageRef, str]:
    """The one image among `found`, under that name."""
    digests = dict.fromkeys(row.digest for row in found)
    if len(digests) == 1:
        return ImageRef(name, next(iter(digests))), ""
    if digests:
        return ImageRef(name), (
            f"found {quoted(written)}, which is {len(digests)} images: {_candidates(found)}; {_PIN}"
        )
    names = list(dict.fromkeys(row.name for row in images if row.name))
    if not names:
        said = f"found {quoted(written)}; no host has an image yet, overlayctl image add adds one"
        return ImageRef(name), said
    return ImageRef(name), unknown("image", written, names)


def _candidates(rows: list[ImageRow]) -> str:
    """Each as it can be written, and who calls it so."""
    return listed(
        [f"{row.name or 'image'}@sha256:{short(row.digest)} {_whose(row)}" for row in rows]
    )


def _whose(row: ImageRow) -> str:
    """Where it is called so, by site; of one that nobody gave the name, where it is."""
    named = [host for host in row.hosts if host.site in row.named_by] or row.hosts
    sites = dict.fromkeys(host.site for host in named)
    hosts = listed([host.name for host in named], 3)
    return f"on {hosts} of {listed(list(sites), 3)}"
