"""People of a simulated federation: site admins who sign orders, and the grids they want."""

from collections.abc import Callable
from random import Random

from protocol.grid.model import (
    ClusterSpec,
    Encryption,
    GridSpec,
    ImageRef,
    LeaseTerms,
    NetworkSpec,
    PlacementSpec,
    Spread,
)
from protocol.grid.record import ApplyTerms, HoldTerms
from protocol.sim.keys import SimFederation
from protocol.terms.ids import PeerId, StoreId, digest_of
from protocol.trust.certificate import Chain
from protocol.trust.grants import Grants
from protocol.trust.order import Action, Order, SignedOrder, order_key, sign_order
from protocol.trust.signing import Signer
from protocol.wire.codec import encode

IMAGE = ImageRef("tiny", digest_of(b"tiny"))
MIB = 1 << 20
AT_ONCE = LeaseTerms()


class Person:
    """Who signs orders: by a site's certificate, or by grants."""

    def __init__(
        self,
        signer: Signer,
        chain: Chain,
        grants: Grants,
        dice: Random,
        stewards: Callable[[], tuple[PeerId, ...]] = tuple,
        stores: Callable[[tuple[PeerId, ...]], tuple[StoreId, ...]] = lambda _: (),
    ) -> None:
        """`stewards` answers whom the orders to bring something up name, `stores` which store of each."""
        self._dice, self.stewards, self.stores = dice, stewards, stores
        self.signer, self.chain, self.grants = signer, chain, grants
        self._made: dict[str, str] = {}
        """By name, what the ids of the grid begin with that was ordered last."""

    def order(
        self,
        action: Action,
        grid: str,
        now_s: float,
        *,
        workspace: str = "",
        body: bytes = b"",
        valid_s: float = 600.0,
        via: str = "",
    ) -> SignedOrder:
        """An order that is signed. Of a grid that was ordered by this person, the name is enough."""
        makes = action in (Action.UP, Action.HOLD)
        stewards = self.stewards() if action is Action.UP else ()
        order = Order(
            action=action,
            grid=grid if makes else self._made.get(grid, grid),
            issued_at_s=now_s,
            valid_s=valid_s,
            nonce=f"{self._dice.getrandbits(64):016x}",
            workspace=workspace,
            body=body,
            via=via,
            stewards=stewards,
            stores=self.stores(stewards),
        )
        signed = sign_order(order, self.signer, self.chain, self.grants)
        if action is Action.UP:
            self._made[grid] = order_key(signed)
        return signed

    def up(self, spec: GridSpec, now_s: float, via: str = "") -> SignedOrder:
        """An order to bring a grid up, which only the peer `via` carries out if it names one."""
        return self.order(Action.UP, spec.name, now_s, body=encode(spec), via=via)

    def apply(
        self, spec: GridSpec, epoch: int, now_s: float, *, without: tuple[str, ...] = ()
    ) -> SignedOrder:
        """An order to make the grid of that name what `spec` says, if it is at that epoch still."""
        body = encode(ApplyTerms(spec, epoch, without))
        return self.order(Action.APPLY, spec.name, now_s, body=body)

    def hold(self, spec: GridSpec, hold_s: float, now_s: float, epoch: int = 0) -> SignedOrder:
        """An order to hold a plan of a grid for a while; with an epoch, of a change of the one of that name."""
        grid = self._made.get(spec.name, spec.name) if epoch else spec.name
        body = encode(HoldTerms(spec, hold_s, epoch))
        return self.order(Action.HOLD, grid, now_s, body=body)


class Admin(Person):
    """A site's admin."""

    def __init__(
        self,
        federation: SimFederation,
        site: str,
        dice: Random,
        stewards: Callable[[], tuple[PeerId, ...]] = tuple,
        stores: Callable[[tuple[PeerId, ...]], tuple[StoreId, ...]] = lambda _: (),
    ) -> None:
        """As a person, of that site."""
        signer, chain = federation.site(site), federation.site_chain(site)
        super().__init__(signer, chain, (), dice, stewards, stores)


def grid_spec(
    name: str,
    count: int = 2,
    *,
    cpus_milli: int = 500,
    memory_bytes: int = 128 * MIB,
    spread: Spread = Spread.HOST,
    encryption: Encryption = Encryption.NONE,
    lease_s: int = 86400,
    lease: LeaseTerms = AT_ONCE,
) -> GridSpec:
    """A grid of one cluster `web` on one network."""
    return GridSpec(
        name=name,
        clusters=(
            ClusterSpec(
                name="web",
                count=count,
                image=IMAGE,
                cpus_milli=cpus_milli,
                memory_bytes=memory_bytes,
                networks=("lan",),
            ),
        ),
        lease_s=lease_s,
        lease=lease,
        networks=(NetworkSpec("lan", "10.42.0.0/24", encryption),),
        placement=PlacementSpec(spread=spread),
    )
