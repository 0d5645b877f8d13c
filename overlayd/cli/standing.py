"""What a grid is now, as a change of it begins with it."""

from overlayd.cli.client import AMBIGUOUS, NOT_FOUND, Refused
from overlayd.cli.failure import FAILED, failure
from overlayd.cli.naming import path_of
from overlayd.cli.session import Session
from protocol.grid.record import GridState
from protocol.node.standing import Standing


def standing_of(session: Session, name: str, *, up: bool = True) -> Standing:
    """The grid that is meant: NAME, SITE/NAME or an id. Raises Failure if there is none, or with `up` none that
    is up.

    Of several of one name it is that of whoever signs.
    """
    mine = f"{session.site}/{name}" if session.site and "/" not in name else ""
    found = _asked(session, mine) if mine else None
    found = found or _asked(session, name)
    if found is None:
        said = f"there is no grid {name}"
        raise failure(said, "`overlayctl ps` lists the grids there are", FAILED)
    if up and found.state is not GridState.UP:
        again = f"`overlayctl up` of its file makes {name} anew"
        raise failure(f"{name} is down", again, FAILED)
    return found


def standing_of_file(session: Session, name: str) -> Standing | None:
    """The grid of that name that a file of it would change; None if none is up, or only others' are."""
    found = _asked(session, f"{session.site}/{name}" if session.site else name)
    return found if found is not None and found.state is GridState.UP else None


def _asked(session: Session, name: str) -> Standing | None:
    path = path_of(name).replace("/grids/", "/standing/", 1)
    try:
        return session.client.get(path, Standing)
    except Refused as refused:
        if refused.status in (NOT_FOUND, AMBIGUOUS):
            return None
        raise
