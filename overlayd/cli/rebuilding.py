"""`overlayctl rebuild`: a workspace's root disk is thrown away and made from an image again."""

from typing import Annotated

import typer

from overlayd.api.views import ImageRow
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.life import Now, NoWait, Target, give
from overlayd.cli.meaning import meant
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import print_lines
from overlayd.cli.volumes import confirm
from protocol.grid.model import ImageRef
from protocol.grid.stopping import RebuildTerms
from protocol.image.facts import ImageKind
from protocol.trust.order import Action
from protocol.wire.codec import encode


def rebuild(
    context: typer.Context,
    target: Target,
    image: Annotated[
        str,
        typer.Option(
            "--image",
            metavar="NAME",
            help="Another image than it has, from now on: by its name or its digest.",
            show_default=False,
        ),
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before its root disk is thrown away.")
    ] = False,
    now: Now = False,
    no_wait: NoWait = False,
) -> None:
    """Starts a workspace from its image again: what was written on its root disk since is thrown away.

    Its volumes and its scratch disk stay as they are, and so do its addresses. It asks first. What runs is
    asked to shut down, as by restart.

    Example: overlayctl rebuild star/worker-1

    Example: overlayctl rebuild star/worker-1 --image debian-13 --yes
    """
    session = session_of(context)
    made_of = _image(session, image) if image else ImageRef("")
    if not yes:
        said = f"rebuild throws the root disk of {target} away: what was written there is lost"
        command = f"overlayctl rebuild {target}{f' --image {image}' if image else ''}"
        confirm(session, target, said, f"throw the root disk of {target} away?", command, "--yes")
    body = encode(RebuildTerms(made_of, now))
    give(session, Action.REBUILD, target, no_wait, body)
    if not (session.plain or no_wait):
        print_lines(["its root disk is new; volumes and scratch disks are as they were"])


def _image(session: Session, name: str) -> ImageRef:
    """The image that is meant. Raises Failure if there is none, or if it makes no root disk."""
    images = session.client.get("/images", list[ImageRow])
    found, problem = meant(name, images, session.site)
    if problem:
        raise failure(f"--image: {problem}", code=USAGE)
    row = next(row for row in images if row.digest == found.digest)
    if row.kind == ImageKind.APPLIANCE:
        said = f"image {name} is an appliance, which boots without a root disk"
        raise failure(said, "an image of a disk; `overlayctl image list` shows kinds", USAGE)
    return ImageRef(row.name or found.digest, found.digest)
