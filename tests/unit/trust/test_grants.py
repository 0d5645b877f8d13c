"""A chain of grants is believed exactly when each link is inside the one before it."""

import itertools
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from organisation import Organisation

from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.ids import KeyId, digest_of
from protocol.terms.ranges import AMOUNT_MOST
from protocol.trust.ceilings import Ceilings
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.grants import (
    DOMAIN,
    GRANTS_MOST,
    Grant,
    Grants,
    SignedVoGrant,
    check_grants,
    grant_names,
    read_grant,
    sign_grant,
)
from protocol.trust.owner import Owner
from protocol.trust.signing import Reason, Untrusted
from protocol.trust.verbs import EVERY_VERB, Verb
from protocol.wire.codec import encode

FROM_S, NOW_S, UNTIL_S = 1000.0, 2000.0, 3000.0
STAR = Organisation("star", from_s=FROM_S, until_s=UNTIL_S)
CMS = Organisation("cms", from_s=FROM_S, until_s=UNTIL_S)
KATE = STAR.grant(
    "kate",
    verbs=(Verb.DEPLOY, Verb.ACT, Verb.DELEGATE),
    sites=("ams", "bnl"),
    ceilings=Ceilings(cpus_milli=8000, workspaces=10),
)


def check(grants: Grants, now_s: float = NOW_S, **options: Any) -> Owner:
    return check_grants(grants, now_s, SimVerifier(), **options)


def why(grants: Grants, now_s: float = NOW_S, **options: Any) -> tuple[Reason, str]:
    with pytest.raises(Untrusted) as refused:
        check(grants, now_s, **options)
    return refused.value.reason, refused.value.detail


def changed(signed: SignedVoGrant, signer: SimSigner, **changes: Any) -> SignedVoGrant:
    """The grant with changes, signed again, even when no honest signer would."""
    payload = encode(msgspec.structs.replace(read_grant(signed), **changes))
    return SignedVoGrant(payload=payload, signature=signer.sign(DOMAIN, payload))


def test_a_member_is_who_the_vo_says() -> None:
    owner = check(KATE)
    assert (owner.key, owner.vo, owner.member) == (STAR.signer.key, "star", "kate")
    assert owner.by == owner.signer == STAR.key_of("kate").key
    assert (owner.sites, owner.verbs) == (("ams", "bnl"), read_grant(KATE[0]).verbs)
    assert owner.ceilings == Ceilings(cpus_milli=8000, workspaces=10)
    assert [link.grant for link in owner.links] == [digest_of(KATE[0].payload)]


def test_a_vo_acts_itself_by_a_grant_to_its_own_key() -> None:
    owner = check(STAR.grant("", audience=STAR.signer.key))
    assert owner.by == owner.key == STAR.signer.key


def test_four_links_hold_and_a_fifth_does_not() -> None:
    chain: Grants = ()
    before = ""
    for member in ("a", "b", "c", "d", "e"):
        chain = STAR.grant(member, under=chain, by=before)
        before = member
    assert check(chain[:GRANTS_MOST]).member == "d"
    assert why(chain)[0] is why(())[0] is Reason.BROKEN_CHAIN


def child(**changes: Any) -> Grants:
    return STAR.grant("tool", under=KATE, by="kate", **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verbs": EVERY_VERB}, "it allows to reserve, resize,"),
        ({"sites": ("ams", "cern")}, "it is for cern, its parent for ams, bnl"),
        ({"sites": ()}, "it is for every site"),
        ({"ceilings": Ceilings(cpus_milli=8001, workspaces=10)}, "its ceiling of cpus_milli"),
        ({"ceilings": Ceilings(cpus_milli=8000)}, "its ceiling of workspaces"),
        ({"not_before_s": FROM_S - 1}, "it begins before its parent"),
        ({"not_after_s": UNTIL_S + 1}, "it ends after its parent"),
        ({"name": "cms"}, "it is of VO cms"),
        ({"vo": CMS.signer.key}, "it is of VO star"),
    ],
)
def test_a_child_that_is_larger_in_one_respect(changes: dict[str, Any], said: str) -> None:
    assert check(child()).member == "tool"
    reason, detail = why(child(**changes))
    assert reason is Reason.NOT_GRANTED
    assert detail.startswith("the grant to tool is larger: ")
    assert said in detail


@pytest.mark.parametrize("field", Ceilings.__struct_fields__)
def test_each_ceiling_holds_for_what_is_passed_on(field: str) -> None:
    parent = STAR.grant("kate", ceilings=Ceilings(**{field: 10}))
    for more in (Ceilings(), Ceilings(**{field: 11})):
        assert field in why(STAR.grant("tool", under=parent, by="kate", ceilings=more))[1]


SHORT = KATE[0]


@pytest.mark.parametrize(
    ("grants", "reason"),
    [
        pytest.param(
            (msgspec.structs.replace(SHORT, signature=bytes(32)),),
            Reason.BAD_SIGNATURE,
            id="forged",
        ),
        pytest.param(
            (changed(SHORT, STAR.key_of("kate"), sites=()),),
            Reason.BAD_SIGNATURE,
            id="own-signature",
        ),
        pytest.param(
            (changed(SHORT, STAR.key_of("kate"), issuer=STAR.key_of("kate").key),),
            Reason.BROKEN_CHAIN,
            id="not-by-the-vo",
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, parent="0" * 64),), Reason.BROKEN_CHAIN, id="has-a-parent"
        ),
        pytest.param((child()[1],), Reason.BROKEN_CHAIN, id="without-its-parent"),
        pytest.param(
            (*STAR.grant("kate"), child()[1]), Reason.BROKEN_CHAIN, id="under-another-grant"
        ),
        pytest.param((*STAR.grant("ann"), child()[1]), Reason.BROKEN_CHAIN, id="by-another-member"),
        pytest.param(
            STAR.grant("ann", under=STAR.grant("kate", verbs=(Verb.ACT,)), by="kate"),
            Reason.NOT_GRANTED,
            id="may-not-pass-on",
        ),
        pytest.param(
            STAR.grant("kate", under=child(), by="tool"), Reason.BROKEN_CHAIN, id="a-loop"
        ),
        pytest.param(
            STAR.grant("", under=KATE, by="kate", audience=STAR.signer.key),
            Reason.BROKEN_CHAIN,
            id="back-to-the-vo",
        ),
        pytest.param(
            STAR.grant("tool", under=STAR.grant("kate", login=True), by="kate"),
            Reason.BROKEN_CHAIN,
            id="under-a-login",
        ),
        pytest.param((changed(SHORT, STAR.signer, verbs=()),), Reason.MALFORMED, id="no-verb"),
        pytest.param(
            (changed(SHORT, STAR.signer, verbs=(Verb.ACT, Verb.ACT)),),
            Reason.MALFORMED,
            id="a-verb-twice",
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, verbs=("rule",)),), Reason.MALFORMED, id="unknown-verb"
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, sites=("A/B",)),), Reason.MALFORMED, id="no-site"
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, sites=tuple(f"s{n}" for n in range(33))),),
            Reason.MALFORMED,
            id="too-many-sites",
        ),
        pytest.param((changed(SHORT, STAR.signer, name=""),), Reason.MALFORMED, id="no-name"),
        pytest.param((changed(SHORT, STAR.signer, serial="x"),), Reason.MALFORMED, id="no-serial"),
        pytest.param(
            (changed(SHORT, STAR.signer, audience="kate"),), Reason.MALFORMED, id="no-key"
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, parent="nobody"),), Reason.MALFORMED, id="no-digest"
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, not_after_s=FROM_S),), Reason.MALFORMED, id="no-time"
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, ceilings={"cpus_milli": -1}),),
            Reason.MALFORMED,
            id="negative",
        ),
        pytest.param(
            (changed(SHORT, STAR.signer, ceilings={"disk_bytes": AMOUNT_MOST + 1}),),
            Reason.MALFORMED,
            id="absurd",
        ),
        pytest.param((SignedVoGrant(b"\xc1", b""),), Reason.MALFORMED, id="no-grant"),
    ],
)
def test_each_way_a_chain_breaks(grants: Grants, reason: Reason) -> None:
    assert why(grants)[0] is reason


def test_a_grant_holds_up_to_its_end_and_not_a_second_longer() -> None:
    assert check(KATE, UNTIL_S - 1)
    assert why(KATE, UNTIL_S)[0] is why(KATE, UNTIL_S + 1)[0] is Reason.EXPIRED
    assert check(KATE, FROM_S - CLOCK_TOLERANCE_S)
    assert why(KATE, FROM_S - CLOCK_TOLERANCE_S - 1)[0] is Reason.NOT_YET_VALID


def test_what_is_below_a_revoked_grant_holds_no_more() -> None:
    for name in grant_names(read_grant(KATE[0])):
        assert why(child(), revoked={name})[0] is Reason.REVOKED
    member = {(STAR.signer.key, f"key {STAR.key_of('tool').key}")}
    assert why(child(), revoked=member)[0] is Reason.REVOKED
    assert check(KATE, revoked=member)


def test_nobody_signs_what_hosts_would_refuse() -> None:
    grant = read_grant(KATE[0])
    with pytest.raises(ValueError, match="signed by the issuer"):
        sign_grant(grant, STAR.key_of("kate"))
    with pytest.raises(ValueError, match="ends before it begins"):
        sign_grant(msgspec.structs.replace(grant, not_after_s=FROM_S), STAR.signer)


# -- any chain, beside a plain reference


PEOPLE = [STAR.signer, CMS.signer, *(SimSigner(f"person {number}") for number in range(4))]
CEILINGS = st.builds(
    Ceilings,
    cpus_milli=st.sampled_from([None, 1, 2]),
    workspaces=st.sampled_from([None, 0, 5]),
    lease_s=st.sampled_from([None, 60]),
)


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[Grant, SimSigner]]:
    """Grants one below the other, mostly well made: what each says, and who signed it."""
    made: list[tuple[Grant, SimSigner]] = []
    dice = Random(draw(st.integers(0, 1 << 30)))
    honest = draw(st.sampled_from([0.9, 0.97, 1.0]))

    def mostly(right: Any, *others: Any) -> Any:
        return right if dice.random() < honest else dice.choice([right, *others])

    issuer = PEOPLE[0]
    for number in range(draw(st.integers(1, 5))):
        before = made[-1][0] if made else None
        audience = PEOPLE[mostly(number + 2 if number < 4 else 2, 0, 1, 2)]
        verbs = list(before.verbs) if before else list(EVERY_VERB)
        if dice.random() < 0.3 and len(verbs) > 1:
            verbs.remove(
                dice.choice([verb for verb in verbs if verb is not Verb.DELEGATE])
                if len(verbs) > 2
                else verbs[0]
            )
        grant = Grant(
            issuer=mostly(issuer, PEOPLE[1]).key,
            audience=audience.key,
            vo=mostly(PEOPLE[0], PEOPLE[1]).key,
            name=mostly("star", "cms"),
            member="",
            verbs=tuple(mostly(verbs, list(EVERY_VERB), [Verb.ACT])),
            sites=mostly(before.sites if before else ("ams", "bnl"), (), ("ams",), ("cern",)),
            ceilings=mostly(before.ceilings if before else draw(CEILINGS), draw(CEILINGS)),
            not_before_s=mostly(FROM_S, FROM_S + 100, FROM_S - 100),
            not_after_s=mostly(UNTIL_S, UNTIL_S - 100, UNTIL_S + 100),
            parent=mostly(digest_of(encode(before)) if before else "", "", "0" * 64),
            serial=f"{number:016x}",
            login=mostly(False, True),
        )
        made.append((grant, mostly(issuer, audience)))
        issuer = audience
    return made


def reference(chain: list[tuple[Grant, SimSigner]], now_s: float) -> bool:
    """Whether the chain holds, said as plainly as it can be."""
    root = chain[0][0]
    keys = [root.vo] + [grant.audience for grant, _ in chain]
    alone = len(chain) == 1
    rules = [
        len(chain) <= 4,
        root.issuer == root.vo and root.parent == "",
        alone or len(set(keys)) == len(keys),
        not any(grant.login for grant, _ in chain[:-1]),
        all(signer.key == grant.issuer for grant, signer in chain),
        all(
            grant.not_before_s - CLOCK_TOLERANCE_S <= now_s < grant.not_after_s
            for grant, _ in chain
        ),
    ]
    for (parent, _), (grant, _) in itertools.pairwise(chain):
        rules += [
            grant.issuer == parent.audience,
            grant.parent == digest_of(encode(parent)),
            (grant.vo, grant.name) == (parent.vo, parent.name),
            Verb.DELEGATE in parent.verbs or grant.login,
            set(grant.verbs) <= set(parent.verbs),
            not parent.sites or (grant.sites != () and set(grant.sites) <= set(parent.sites)),
            parent.not_before_s <= grant.not_before_s and grant.not_after_s <= parent.not_after_s,
            *(
                (mine is not None and mine <= most)
                for field in Ceilings.__struct_fields__
                if (most := getattr(parent.ceilings, field)) is not None
                for mine in [getattr(grant.ceilings, field)]
            ),
        ]
    return all(rules)


@settings(max_examples=400)
@given(chains(), st.sampled_from([FROM_S, NOW_S, UNTIL_S - 50, UNTIL_S]))
def test_any_chain_is_believed_exactly_when_the_reference_says_so(
    chain: list[tuple[Grant, SimSigner]], now_s: float
) -> None:
    signed = tuple(
        SignedVoGrant(payload=payload, signature=signer.sign(DOMAIN, payload))
        for grant, signer in chain
        for payload in [encode(grant)]
    )
    if reference(chain, now_s):
        owner = check(signed, now_s)
        assert (owner.key, owner.signer) == (chain[0][0].vo, chain[-1][0].audience)
        assert KeyId(owner.by) in owner.line
    else:
        with pytest.raises(Untrusted):
            check(signed, now_s)
