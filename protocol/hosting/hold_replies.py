"""What holds have in common, to make a grid or to change one: how all of it is refused, and how it yields."""

from collections.abc import Callable

from protocol.capacity.ledger import Yields
from protocol.contract.messages import HoldAsk, HoldReply
from protocol.grid.grant import HoldGrant, SignedGrant, sign_grant
from protocol.grid.model import Workspace
from protocol.terms.effects import Effect, Note, Send
from protocol.terms.ids import GridId, PeerId, StoreId
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.signing import Signer

LAST_S = 1e12
"""When a hold began, for the ledger's ranking: later than anything that is carried already."""


def refuse(
    host: str, requester: PeerId, ask: HoldAsk, constraint: Constraint, why: str
) -> list[Effect]:
    """Nothing of what is asked for is held, for that reason."""
    refused = tuple((name, Refusal(constraint, host, detail=why)) for name in ask.workspaces)
    return [
        Send(requester, HoldReply(ask.grid, (), refused)),
        Note("hold.refused", ask.grid, f"{constraint}: {why}"),
    ]


class Granting:
    """What this host grants, as it signs it."""

    def __init__(
        self,
        signer: Signer,
        store: Callable[[], StoreId] = lambda: StoreId(""),
        wireguard: Callable[[], bool] = lambda: False,
    ) -> None:
        """`store` answers the id of this host's store, `wireguard` whether it carries networks by that."""
        self.signer = signer
        self._store, self._wireguard = store, wireguard

    def grant(
        self,
        grid: GridId,
        workspaces: tuple[str, ...],
        vnis: tuple[int, ...],
        start_s: float,
        change: GridId,
    ) -> SignedGrant:
        """That it carries those of a grid, if that attempt to make or to change it is decided."""
        own = (self._store(), change, self._wireguard())
        return sign_grant(HoldGrant(grid, workspaces, vnis, start_s, *own), self.signer)

    def reply(
        self, ask: HoldAsk, of: GridId, held: list[str], refused: list[tuple[str, Refusal]]
    ) -> HoldReply:
        """The answer to an ask, with the grant of all that it would carry of the grid `of`, if anything."""
        if not held:
            return HoldReply(ask.grid, (), tuple(refused))
        vnis = tuple(vni for _, vni in ask.vnis)
        change = ask.grid if ask.change is not None else GridId("")
        grant = self.grant(of, tuple(held), vnis, ask.start_s, change)
        return HoldReply(ask.grid, tuple(held), tuple(refused), grant)


def yields_held(grid: GridId, workspace: Workspace) -> Yields:
    """How a best-effort workspace yields while it is only held: it came last, so it goes first."""
    return Yields((grid, workspace.cluster), LAST_S, workspace.memory_bytes)
