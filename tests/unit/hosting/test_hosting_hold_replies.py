"""The answers to who asks for holds."""

from changing_host import to_apply
from hosting_world import GRID, ORDER, One
from negotiating import B, shop

from protocol.contract.messages import HoldAsk, HoldReply
from protocol.grid.grant import read_grant
from protocol.hosting.hold_replies import Granting, refuse
from protocol.terms.effects import Note, Send
from protocol.terms.ids import GridId, StoreId
from protocol.terms.refusal import Constraint, Refusal

ASK = HoldAsk(GRID, ORDER, ("web-1", "web-2"), (("lan", 7),), 8.0)


def test_all_of_it_is_refused_for_one_reason() -> None:
    send, note = refuse("alpha", B, ASK, Constraint.TIME, "it is late")
    no = Refusal(Constraint.TIME, "alpha", detail="it is late")
    assert send == Send(B, HoldReply(GRID, (), (("web-1", no), ("web-2", no))))
    assert note == Note("hold.refused", GRID, "time: it is late")


def test_a_grant_says_of_which_change_it_is() -> None:
    granting = Granting(One().identity.signer, lambda: StoreId("s"), lambda: True)
    plain = granting.reply(ASK, GRID, ["web-1"], []).grant
    assert plain is not None
    assert read_grant(plain).change == ""
    change = HoldAsk(
        GridId("c.0"), ORDER, ("web-1",), (("lan", 7),), 8.0, change=to_apply(shop(2)), of=GRID
    )
    grant = granting.reply(change, GRID, ["web-1"], []).grant
    assert grant is not None
    said = read_grant(grant)
    assert (said.grid, said.change, said.vnis, said.store) == (GRID, "c.0", (7,), "s")
    assert said.wireguard


def test_nothing_held_is_nothing_granted() -> None:
    assert Granting(One().identity.signer).reply(ASK, GRID, [], []).grant is None
