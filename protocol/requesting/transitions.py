"""Every move that a placing request can make, in one table: where it is, what happened, where it is then.

    starting > asking sites > quoting > holding > committing > building > over
       |                         \\________\\______ backing off, queued: quoting again
       |                                          voiding: the stewards did not decide
       hearing, looking: before it begins, and when a host says that the name is up

placing.py and the policies say when a thing happens. The table says what can follow it, and any other move
raises NoSuchMove. So one place tells all that a request can do, and a test tells that all of it happens. The
idea is h11's.
"""

from enum import StrEnum


class Stage(StrEnum):
    """Where a placing request is."""

    STARTING = "starting"
    HEARING = "hearing"
    """This peer was started a moment ago, and has yet to hear of the hosts there are."""
    LOOKING = "looking"
    """The stewards are asked whether this very order has made a grid already."""
    ASKING_SITES = "asking sites"
    QUOTING = "quoting"
    HOLDING = "holding"
    BACKING_OFF = "backing off"
    QUEUED = "queued"
    COMMITTING = "committing"
    VOIDING = "voiding"
    BUILDING = "building"
    OVER = "over"


class Happening(StrEnum):
    """What moves a placing request on."""

    BLIND = "this peer knows of nobody yet"
    STEWARDS_ASKED = "stewards were asked for what there is"
    SITES_ASKED = "sites were asked for their hosts"
    QUOTES_REQUESTED = "hosts were asked for quotes"
    HOLDS_REQUESTED = "hosts were asked to hold"
    PROPOSED = "what is held was put before the stewards"
    UNSETTLED = "no majority of the stewards answered"
    DECIDED = "the stewards made it a grid"
    LET_GO = "everything was let go, to try later"
    LINED_UP = "there is no room, and it waits"
    ANSWERED = "it has its last answer"
    CANCELLED = "the person changed their mind"


class NoSuchMove(Exception):
    """A request tried a move that the table does not have. Nothing has changed."""

    def __init__(self, stage: Stage, happening: Happening) -> None:
        super().__init__(f"{stage}: {happening}")
        self.stage, self.happening = stage, happening


TRANSITIONS: dict[tuple[Stage, Happening], Stage] = {
    (Stage.STARTING, Happening.BLIND): Stage.HEARING,
    (Stage.STARTING, Happening.STEWARDS_ASKED): Stage.LOOKING,
    (Stage.STARTING, Happening.SITES_ASKED): Stage.ASKING_SITES,
    (Stage.STARTING, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.STARTING, Happening.ANSWERED): Stage.OVER,
    (Stage.STARTING, Happening.CANCELLED): Stage.OVER,
    # This peer hears of others.
    (Stage.HEARING, Happening.BLIND): Stage.HEARING,
    (Stage.HEARING, Happening.STEWARDS_ASKED): Stage.LOOKING,
    (Stage.HEARING, Happening.SITES_ASKED): Stage.ASKING_SITES,
    (Stage.HEARING, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.HEARING, Happening.ANSWERED): Stage.OVER,
    (Stage.HEARING, Happening.CANCELLED): Stage.OVER,
    # If the stewards have no grid of this order, what follows depends on why they were asked (looking.py).
    (Stage.LOOKING, Happening.STEWARDS_ASKED): Stage.LOOKING,
    (Stage.LOOKING, Happening.SITES_ASKED): Stage.ASKING_SITES,
    (Stage.LOOKING, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.LOOKING, Happening.DECIDED): Stage.BUILDING,
    (Stage.LOOKING, Happening.LET_GO): Stage.BACKING_OFF,
    (Stage.LOOKING, Happening.LINED_UP): Stage.QUEUED,
    (Stage.LOOKING, Happening.ANSWERED): Stage.OVER,
    (Stage.LOOKING, Happening.CANCELLED): Stage.OVER,
    # An attempt: which hosts there are, what they offer, what they hold.
    (Stage.ASKING_SITES, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.ASKING_SITES, Happening.ANSWERED): Stage.OVER,
    (Stage.ASKING_SITES, Happening.CANCELLED): Stage.OVER,
    (Stage.QUOTING, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.QUOTING, Happening.HOLDS_REQUESTED): Stage.HOLDING,
    (Stage.QUOTING, Happening.PROPOSED): Stage.COMMITTING,
    (Stage.QUOTING, Happening.LET_GO): Stage.BACKING_OFF,
    (Stage.QUOTING, Happening.LINED_UP): Stage.QUEUED,
    (Stage.QUOTING, Happening.ANSWERED): Stage.OVER,
    (Stage.QUOTING, Happening.CANCELLED): Stage.OVER,
    # What was refused is asked for elsewhere, of hosts that have offered or of more of them.
    (Stage.HOLDING, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.HOLDING, Happening.HOLDS_REQUESTED): Stage.HOLDING,
    (Stage.HOLDING, Happening.STEWARDS_ASKED): Stage.LOOKING,
    (Stage.HOLDING, Happening.PROPOSED): Stage.COMMITTING,
    (Stage.HOLDING, Happening.LET_GO): Stage.BACKING_OFF,
    (Stage.HOLDING, Happening.LINED_UP): Stage.QUEUED,
    (Stage.HOLDING, Happening.ANSWERED): Stage.OVER,
    (Stage.HOLDING, Happening.CANCELLED): Stage.OVER,
    # Hosts are asked for nothing except to keep room.
    (Stage.BACKING_OFF, Happening.SITES_ASKED): Stage.ASKING_SITES,
    (Stage.BACKING_OFF, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.BACKING_OFF, Happening.ANSWERED): Stage.OVER,
    (Stage.BACKING_OFF, Happening.CANCELLED): Stage.OVER,
    (Stage.QUEUED, Happening.STEWARDS_ASKED): Stage.LOOKING,
    (Stage.QUEUED, Happening.SITES_ASKED): Stage.ASKING_SITES,
    (Stage.QUEUED, Happening.QUOTES_REQUESTED): Stage.QUOTING,
    (Stage.QUEUED, Happening.ANSWERED): Stage.OVER,
    (Stage.QUEUED, Happening.CANCELLED): Stage.OVER,
    # Only the stewards know whether it is a grid, so a cancelled request goes on until they say so.
    (Stage.COMMITTING, Happening.UNSETTLED): Stage.VOIDING,
    (Stage.COMMITTING, Happening.DECIDED): Stage.BUILDING,
    (Stage.COMMITTING, Happening.LET_GO): Stage.BACKING_OFF,
    (Stage.COMMITTING, Happening.LINED_UP): Stage.QUEUED,
    (Stage.COMMITTING, Happening.ANSWERED): Stage.OVER,
    (Stage.COMMITTING, Happening.CANCELLED): Stage.COMMITTING,
    (Stage.VOIDING, Happening.UNSETTLED): Stage.VOIDING,
    (Stage.VOIDING, Happening.DECIDED): Stage.BUILDING,
    (Stage.VOIDING, Happening.LET_GO): Stage.BACKING_OFF,
    (Stage.VOIDING, Happening.LINED_UP): Stage.QUEUED,
    (Stage.VOIDING, Happening.ANSWERED): Stage.OVER,
    (Stage.VOIDING, Happening.CANCELLED): Stage.VOIDING,
    # It is a grid: `down` ends it, not its request's cancellation.
    (Stage.BUILDING, Happening.ANSWERED): Stage.OVER,
    (Stage.BUILDING, Happening.CANCELLED): Stage.BUILDING,
    (Stage.OVER, Happening.CANCELLED): Stage.OVER,
}
"""All moves. What ends a request may happen in every stage but the last."""

RESTING = (Stage.BACKING_OFF, Stage.QUEUED)
"""Stages in which hosts are asked for nothing except to keep room."""
SETTLING = (Stage.COMMITTING, Stage.VOIDING)
"""Stages in which what is held is before the stewards, so that nobody knows yet whether it is a grid."""


def after(stage: Stage, happening: Happening) -> Stage:
    """The stage that follows. Raises NoSuchMove if the table has none."""
    try:
        return TRANSITIONS[stage, happening]
    except KeyError:
        raise NoSuchMove(stage, happening) from None
