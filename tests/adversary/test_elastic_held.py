"""A member that asks hosts to hold more of an elastic grid: a stranger, of an old epoch, beyond its order."""

import msgspec
import pytest
from changing_host import Changing
from deciding import certificate
from elastic_world import ORDER, RECORD, by_room, elastic
from negotiating import ADMIN, NOW, RIVAL, A, C, HostKey

from protocol.contract.messages import HoldAsk, HoldReply
from protocol.grid.asked import sign_asked
from protocol.grid.elastic import attempt_at
from protocol.grid.record import GridRecord, GridState, Register, grid_id
from protocol.terms.effects import Send
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import HOLD_S
from protocol.trust.order import Action

AGAIN = pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
LEASE_S = 86400.0


class Stranger(Changing):
    """A host that carries nothing of the grid, with room for more of it."""

    def asked(self, ask: HoldAsk, by: PeerId = A, now: float = NOW) -> HoldReply:
        effects = self.keep(self.host.message(by, ask, now))
        (reply,) = [e.message for e in effects if isinstance(e, Send)]
        assert isinstance(reply, HoldReply)
        return reply

    def honest(
        self, record: GridRecord = RECORD, by: PeerId = A, names: tuple[str, ...] = ("web-4",)
    ) -> HoldAsk:
        attempt = attempt_at(record, "honest")
        return HoldAsk(
            attempt,
            record.order,
            names,
            record.vnis,
            HOLD_S,
            record.start_s,
            change=record.standing,
            of=record.id,
            asked=sign_asked(HostKey(by), attempt, self.me),
            shown=certificate(Register(record)),
            until_s=NOW + 1000.0,
        )


def attacked(again: bool) -> Stranger:
    one = Stranger()
    if again:
        one.start()
    return one


def nothing(one: Stranger, reply: HoldReply) -> None:
    assert reply.held == ()
    assert one.rows.get("hold", {}) == {}


def test_what_a_host_of_the_grid_asks_for_is_held() -> None:
    one = Stranger()
    reply = one.asked(one.honest())
    assert reply.held == ("web-4",)
    assert reply.grant is not None


@AGAIN
def test_only_a_host_of_the_grid_asks(again: bool) -> None:
    one = attacked(again)
    nothing(one, one.asked(one.honest(by=C), by=C))
    nothing(one, one.asked(one.honest(by=A), by=C))


@AGAIN
def test_only_what_the_order_allows(again: bool) -> None:
    one = attacked(again)
    for names in (("web-6",), ("web-1",), ("web-4", "web-3")):
        nothing(one, one.asked(one.honest(names=names)))
    gone = msgspec.structs.replace(RECORD, state=GridState.DOWN)
    down = ADMIN.order(Action.DOWN, RECORD.id, NOW)
    nothing(one, one.asked(one.honest(msgspec.structs.replace(gone, epoch=2, changes=(down,)))))


@AGAIN
def test_only_at_the_epoch_that_is_shown(again: bool) -> None:
    one = attacked(again)
    ask = one.honest(by_room(RECORD, {"web-4": C}), names=("web-5",))
    old = attempt_at(RECORD, "honest")
    word = sign_asked(HostKey(A), old, one.me)
    nothing(one, one.asked(msgspec.structs.replace(ask, grid=old, asked=word)))
    nothing(one, one.asked(msgspec.structs.replace(ask, grid=grid_id(ORDER, 7, "x"))))
    nothing(one, one.asked(msgspec.structs.replace(ask, grid=GridId("0" * 20 + ".2"))))


@AGAIN
def test_what_is_shown_is_what_stewards_signed(again: bool) -> None:
    one = attacked(again)
    ask = one.honest()
    assert ask.shown is not None
    lied = msgspec.structs.replace(ask.shown, votes=ask.shown.votes[:1])
    nothing(one, one.asked(msgspec.structs.replace(ask, shown=lied)))
    other = RIVAL.up(msgspec.structs.replace(elastic(), name="other"), NOW)
    nothing(one, one.asked(msgspec.structs.replace(ask, change=other)))
    nothing(one, one.asked(msgspec.structs.replace(ask, order=other)))
    nothing(one, one.asked(msgspec.structs.replace(ask, asked=b"x" * 64)))
    nothing(one, one.asked(msgspec.structs.replace(ask, of=GridId("0" * 20 + ".0"))))


@AGAIN
def test_nothing_after_the_lease_or_after_its_owner_s_authority(again: bool) -> None:
    one = attacked(again)
    over = msgspec.structs.replace(one.honest(), until_s=NOW - 1.0)
    nothing(one, one.asked(over))
    late = Stranger()
    late.start(NOW + 2_000_000.0)
    nothing(late, late.asked(late.honest(), now=NOW + 2_000_000.0))


def test_its_lease_ends_no_later_than_the_order_allows() -> None:
    one = Stranger()
    ask = msgspec.structs.replace(one.honest(), until_s=NOW + 1e9)
    assert one.asked(ask).held == ("web-4",)
    (row,) = one.host.holds.rows()
    assert row.ends_s <= NOW + LEASE_S
    assert row.grows
