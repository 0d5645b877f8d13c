"""What holds have in common, to make a grid or to change one: how all of it is refused, and how it yields."""

from protocol.capacity.ledger import Yields
from protocol.contract.messages import HoldAsk, HoldReply
from protocol.grid.grant import HoldGrant, sign_grant
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


def granted(
    ask: HoldAsk,
    of: GridId,
    held: list[str],
    refused: list[tuple[str, Refusal]],
    store: StoreId,
    signer: Signer,
) -> HoldReply:
    """The answer to an ask, with the host's grant of all that it would carry of the grid `of`, if anything."""
    if not held:
        return HoldReply(ask.grid, (), tuple(refused))
    vnis = tuple(vni for _, vni in ask.vnis)
    change = ask.grid if ask.change is not None else GridId("")
    grant = HoldGrant(of, tuple(held), vnis, ask.start_s, store, change)
    return HoldReply(ask.grid, tuple(held), tuple(refused), sign_grant(grant, signer))


def yields_held(grid: GridId, workspace: Workspace) -> Yields:
    """How a best-effort workspace yields while it is only held: it came last, so it goes first."""
    return Yields((grid, workspace.cluster), LAST_S, workspace.memory_bytes)
