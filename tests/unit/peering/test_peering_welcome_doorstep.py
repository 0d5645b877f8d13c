"""Why a Hello was not good: said to the peer, and heard of this one, by liars too."""

from random import Random

import msgspec
import pytest
from test_peering_overlay import FED, ME, NOW, THIRD, YOU, hang_ups, identity, presence, revocation

from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Unwelcome, greeting
from protocol.node.messages import FAMILIES, Message
from protocol.peering.overlay import Overlay
from protocol.peering.welcome import Told, printable, refused, told_by
from protocol.sim.keys import SimFederation
from protocol.terms.effects import Effect, HangUp, Note, Persist, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import JOIN_NAG_S, REFUSED_TOLD
from protocol.terms.reach import Reach
from protocol.trust.certificate import read_certificate
from protocol.trust.record import SignedRecord
from protocol.trust.revocation import revoke
from protocol.trust.signing import Reason
from protocol.wire.codec import Malformed, MalformedReason
from protocol.wire.envelope import pack, unpack

Rows = dict[str, dict[str, bytes]]


def overlay(rows: Rows | None = None) -> Overlay:
    """Host h1, which dials h2 because `join` names it."""
    joins = (Contact(YOU, "", "h2:7000"),)
    made = Overlay(
        identity("h1"),
        Membership(Contact(ME, "s1", "h1:7000"), Random(1), joins, NOW),
        lambda: (Reach.PUBLIC, ()),
        FAMILIES,
        rows or {},
        Random(1),
        NOW,
        joins,
    )
    made.begin(NOW)
    made.tick(NOW)
    assert made.membership.links.dialled(YOU)
    made.connected(YOU, NOW)
    return made


def notes(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(e.kind, e.detail) for e in effects if isinstance(e, Note)]


def word(effects: list[Effect], to: PeerId = YOU) -> Unwelcome:
    (found,) = [
        e.message
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, Unwelcome) and e.peer == to
    ]
    return found


def own_revocation(reason: str = "stolen", at_s: float = NOW) -> SignedRecord:
    says = read_certificate(FED.host_chain("s1", "h1")[0])
    return revoke(says, reason, at_s, FED.site("s1"), FED.site_chain("s1"))


def said(made: Overlay) -> str:
    return made.joining.tried(NOW)[0].said


# -- what is said


def test_a_revoked_peer_is_told_with_the_proof_before_it_is_hung_up_on() -> None:
    made = overlay()
    signed = revocation("h2")
    made.given(signed, NOW)
    made.connected(YOU, NOW)
    effects, _ = made.greeted(YOU, greeting(presence("h2")), NOW)
    assert word(effects) == Unwelcome(Reason.REVOKED, NOW, signed)
    (end,) = [e for e in effects if isinstance(e, HangUp)]
    assert end.parting, "what was said gets out"
    assert effects.index(end) > effects.index(Send(YOU, word(effects)))


def test_a_neighbour_is_told_when_its_revocation_comes() -> None:
    made = overlay()
    made.greeted(YOU, greeting(presence("h2")), NOW)
    effects, _ = made.given(revocation("h2"), NOW)
    assert word(effects).revocation == revocation("h2")
    assert [e.parting for e in effects if isinstance(e, HangUp)] == [True]


def test_others_are_told_the_reason_and_the_time_and_no_more() -> None:
    made = overlay()
    effects, _ = made.greeted(YOU, greeting(presence("h3")), NOW)
    assert word(effects) == Unwelcome(Reason.WRONG_ROLE, NOW, None)


def test_a_peer_that_tries_again_and_again_is_noted_once_in_a_while() -> None:
    made = overlay()
    counted = 0
    for _ in range(100):
        made.connected(YOU, NOW)
        effects, _ = made.greeted(YOU, greeting(presence("h3")), NOW)
        counted += [kind for kind, _ in notes(effects)].count("peer.refused")
        assert hang_ups(effects) == [YOU]
    assert counted == 1
    assert made.quarantines.counts == {"hello-wrong-role": 100}


def test_the_log_hears_of_a_bounded_number_of_refusals() -> None:
    told = Told()
    many = [PeerId(f"{i:064x}") for i in range(4 * REFUSED_TOLD)]
    assert [told.is_news(peer, "x", NOW) for peer in many].count(True) == REFUSED_TOLD
    assert told.is_news(many[-1], "x", NOW + JOIN_NAG_S)


# -- what is heard


def test_a_peer_that_is_told_that_it_is_revoked_believes_the_proof_keeps_it_and_says_so() -> None:
    made = overlay()
    effects, _ = made.unwelcome(YOU, Unwelcome(Reason.REVOKED, NOW, own_revocation()), NOW)
    (kept,) = [e for e in effects if isinstance(e, Persist)]
    told = dict(notes(effects))
    assert "was revoked on 1970-01-12 13:46 UTC by its site (stolen)" in told["certificate.lost"]
    assert "host enrol" in told["certificate.lost"]
    assert said(made).startswith("it says: this host's certificate was revoked on 1970-01-12")
    assert made.certificates.revoked is not None
    rows = {kept.rows[0].table: {kept.rows[0].key: kept.rows[0].value or b""}}
    again = overlay(rows)
    assert again.certificates.revoked is not None, "it is known after a restart"
    effects, _ = overlay(rows).begin(NOW)
    assert "certificate.lost" in dict(notes(effects))
    effects, _ = made.unwelcome(YOU, Unwelcome(Reason.REVOKED, NOW, own_revocation()), NOW)
    assert [kind for kind, _ in notes(effects)] == [], "it is told once"


def _forged() -> list[tuple[str, SignedRecord]]:
    honest = own_revocation()
    says = read_certificate(FED.host_chain("s1", "h1")[0])
    other = SimFederation("evil", from_s=NOW - 86_400, until_s=NOW + 86_400)
    member = FED.host("s1", "h2")
    by_member = msgspec.structs.replace(says, issuer=member.key)
    theirs = read_certificate(other.host_chain("s1", "h1")[0])
    flipped = bytearray(honest.signature)
    flipped[3] ^= 1
    return [
        ("bits flipped", SignedRecord(honest.payload, bytes(flipped))),
        ("cut off", SignedRecord(honest.payload[:-3], honest.signature)),
        ("by a member", revoke(by_member, "x", NOW, member, FED.host_chain("s1", "h2"))),
        (
            "by another federation",
            revoke(theirs, "x", NOW, other.site("s1"), other.site_chain("s1")),
        ),
        ("by another site", revocation_by("s2")),
        ("of another host", revocation("h3")),
        ("no revocation", presence("h2")),
    ]


def revocation_by(site: str) -> SignedRecord:
    says = read_certificate(FED.host_chain("s1", "h1")[0])
    mine = msgspec.structs.replace(says, issuer=FED.site(site).key)
    return revoke(mine, "x", NOW, FED.site(site), FED.site_chain(site))


@pytest.mark.parametrize(("how", "signed"), _forged())
def test_nobody_makes_a_host_believe_that_it_is_revoked(how: str, signed: SignedRecord) -> None:
    made = overlay()
    effects, news = made.unwelcome(YOU, Unwelcome(Reason.REVOKED, NOW, signed), NOW)
    assert made.certificates.revoked is None, how
    assert len(made.certificates.revocations) == 0, how
    assert not [e for e in effects if isinstance(e, Persist)]
    assert news == []
    assert made.quarantines.faults(YOU) == 1, "and it counts against who brought it"


def test_a_word_without_proof_is_shown_as_a_word_without_proof() -> None:
    made = overlay()
    made.unwelcome(YOU, Unwelcome(Reason.REVOKED, NOW), NOW)
    assert "shows no proof" in said(made)
    assert made.certificates.revoked is None


def test_a_stranger_that_was_not_dialled_is_not_even_shown() -> None:
    made = overlay()
    made.connected(THIRD, NOW, accepted=True)
    effects, _ = made.unwelcome(THIRD, Unwelcome(Reason.WRONG_FEDERATION, NOW), NOW)
    assert effects == []
    assert [row.peer for row in made.joining.tried(NOW)] == [YOU]


@pytest.mark.parametrize("time_s", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_clock_that_makes_no_sense_is_left_out_or_said_without_harm(time_s: float) -> None:
    text, _ = told_by(Unwelcome(Reason.EXPIRED, time_s), "", NOW)
    assert text.isprintable()
    assert "nan" not in text


@pytest.mark.parametrize("word", ["", "surprise", "\x1b[2J", "a" * 32])
def test_a_reason_that_is_none_is_not_repeated(word: str) -> None:
    text, helps = told_by(Unwelcome(word, NOW), "", NOW)
    assert (text, bool(helps)) == ("it refuses this host", True)


def test_a_word_beyond_its_bounds_is_no_message() -> None:
    long = pack(Unwelcome("x" * 33, NOW), "")
    with pytest.raises(Malformed):
        unpack(long, Message)
    _, message = unpack(pack(Unwelcome("x" * 32, NOW), ""), Message)
    assert message == Unwelcome("x" * 32, NOW)


@pytest.mark.parametrize("reason", [*Reason, MalformedReason.UNKNOWN_VERSION])
def test_each_reason_has_words_on_both_sides(reason: str) -> None:
    for text, helps in (told_by(Unwelcome(reason, NOW), "", NOW), refused(reason, "because")):
        assert text
        assert helps


def test_a_clock_a_day_off_is_named() -> None:
    text, helps = told_by(Unwelcome(Reason.NOT_YET_VALID, NOW + 90_000), "", NOW)
    assert text.endswith("this host's clock is 1 d behind its clock") or "25 h behind" in text
    assert "NTP" in helps


def test_of_a_revocation_no_control_characters_are_told() -> None:
    made = overlay()
    says = msgspec.structs.replace(
        made.certificates.brought(own_revocation()), reason="gone\x1b[2J\n" + "x" * 300
    )
    from protocol.peering.certificates import own_revocation as in_words

    assert in_words(says).isprintable()
    assert len(in_words(says)) < 400
    assert printable("a\nb") == "a?b"
