"""Which living grid may have a request's name already, as hosts tell.

Anybody can tell of a grid. So one that is only told counts until its stewards were asked about it once: whether
they say that it is down, or do not answer, it is in nobody's way any more.
"""

import msgspec

from protocol.contract.authority import Deployment
from protocol.contract.notices import Notice
from protocol.grid.decision import Decision
from protocol.grid.record import GridState
from protocol.requesting.steps import Look, Reason
from protocol.requesting.surroundings import Surroundings
from protocol.terms.ids import GridId


class Namesakes:
    """The grids that are told to have one request's name."""

    def __init__(self, deployment: Deployment, surroundings: Surroundings) -> None:
        self._deployment, self._surroundings = deployment, surroundings
        self._over: dict[GridId, None] = {}
        """Those that are down, as their stewards said."""
        self._deaf = False
        """Whether it was asked in vain about one that is only told. That is done once."""

    def find(self) -> Notice | None:
        """What hosts tell of a living grid of that name, if it may be one; of this order's, if there is one."""
        name, owner = self._deployment.name, self._deployment.owner
        found = self._surroundings.named(name, owner)
        if found is None or found.grid in self._over:
            return None
        return found if self._surroundings.confirmed(found.grid) or not self._deaf else None

    def hearsay(self, there: Notice) -> bool:
        """Whether a grid is only told."""
        return not self._surroundings.confirmed(there.grid)

    def looked(self, look: Look) -> Look:
        """A look because the name is up, at the grid that has it."""
        if look.there is not None or look.reason is not Reason.NAME_IS_UP:
            return look
        there = self.find()
        hearsay = there is not None and self.hearsay(there)
        return msgspec.structs.replace(look, there=there, hearsay=hearsay)

    def answered(self, there: Notice, decision: Decision | None) -> None:
        """What stewards say of a grid. One that is told to be up and is not, is not in the way."""
        record = decision.register.record if decision is not None else None
        if record is None or record.state is not GridState.UP:
            self._over[there.grid] = None

    def unanswered(self, look: Look) -> None:
        """No majority of stewards answered that look."""
        self._deaf = self._deaf or look.hearsay


def asked_others(look: Look, decision: Decision | None) -> Look | None:
    """The look once more, if others than its grid's stewards showed what was decided: that may be long ago."""
    record = decision.register.record if decision is not None else None
    if not look.hearsay or look.there is None or decision is None or record is None:
        return None
    stewards = decision.register.stewards
    if record.id != look.there.grid or stewards == look.there.stewards:
        return None
    there = msgspec.structs.replace(look.there, stewards=stewards)
    return msgspec.structs.replace(look, there=there, hearsay=False)
