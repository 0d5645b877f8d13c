"""Hosts of sites whose published policy forbids a grid are marked, so that they get none of it."""

from random import Random

import msgspec
from negotiating import AUTHORITY, FEDERATION, NOW, RIVAL, A, B, C, known, offer, shop
from organisation import Organisation

from protocol.contract.reading import Deployment
from protocol.grid.model import GridSpec
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.requesting.lending import lent
from protocol.requesting.shortlist import Candidate
from protocol.sim.people import Person
from protocol.terms.ids import PeerId
from protocol.terms.refusal import Constraint
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import SignedOrder

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
ANN = Person(STAR.key_of("ann"), (), STAR.grant("ann"), Random(7), lambda: (A, B, C))
SITE_OF = {each.peer: each.site for each in known()}


def policy(site: str, *vos: VoTerms) -> tuple[str, SitePolicy]:
    return FEDERATION.site(site).key, SitePolicy(site, 1, NOW, (), vos=vos)


def star(**terms: object) -> VoTerms:
    return VoTerms("star", STAR.signer.key, **terms)  # type: ignore[arg-type]


def deployed(order: SignedOrder) -> Deployment:
    return AUTHORITY.to_hold(order, NOW, fresh=False)


def marked(order: SignedOrder, *policies: object) -> dict[PeerId, str]:
    """The hosts that would carry nothing, and why."""
    found = lent(known(), policies, order, deployed(order))  # type: ignore[arg-type]
    assert [each.peer for each in found] == [each.peer for each in known()]
    for each in found:
        assert each.refused is None or each.refused.constraint in (
            Constraint.POLICY,
            Constraint.AUTHORITY,
        )
    return {each.peer: each.refused.detail for each in found if each.refused is not None}


def at(site: str) -> list[PeerId]:
    return [peer for peer, of in SITE_OF.items() if of == site]


def test_only_hosts_of_a_site_that_forbids_it_are_marked() -> None:
    order = ANN.up(shop(2), NOW)
    no = marked(order, policy("s1"), policy("s2", star()))
    assert list(no) == at("s1")
    assert "policy 1 of site s1 does not name vo:star" in next(iter(no.values()))


def test_a_site_of_which_no_policy_was_heard_is_asked() -> None:
    assert marked(ANN.up(shop(2), NOW)) == {}
    assert marked(RIVAL.up(shop(2), NOW)) == {}


def test_each_workspace_is_judged_by_itself_since_a_grid_may_be_at_several_sites() -> None:
    order = ANN.up(shop(2, lease_s=600), NOW)
    fits = star(ceiling=Ceilings(workspaces=1, lease_s=600))
    assert marked(order, policy("s1", fits)) == {}
    short = star(ceiling=Ceilings(lease_s=599))
    assert list(marked(order, policy("s1", short))) == at("s1")


def test_a_site_that_carries_one_of_its_clusters_is_asked() -> None:
    one = shop(1).clusters[0]
    large = msgspec.structs.replace(one, name="db", memory_bytes=one.memory_bytes * 2)
    spec: GridSpec = msgspec.structs.replace(shop(1), clusters=(large, one))
    small = star(ceiling=Ceilings(memory_bytes=one.memory_bytes))
    assert marked(ANN.up(spec, NOW), policy("s1", small)) == {}


def test_a_site_is_never_closed_to_itself() -> None:
    order = RIVAL.up(shop(2), NOW)
    assert list(marked(order, policy("s1"), policy("s2"))) == at("s1")


def test_of_a_site_with_two_keys_a_host_may_be_of_either() -> None:
    order = ANN.up(shop(2), NOW)
    other = (FEDERATION.site("again").key, policy("s1", star())[1])
    assert marked(order, policy("s1"), other) == {}


def test_what_an_advert_told_is_marked_as_well() -> None:
    """Then the lot does not draw it."""
    order = ANN.up(shop(2), NOW)
    told = tuple(Candidate(c.peer, c.name, c.site, offer(c.peer)) for c in known())
    for each in lent(told, [policy("s1")], order, deployed(order)):  # type: ignore[list-item]
        assert each.told is not None
        assert each.told.refused == each.refused
