"""Which hosts need not be asked, because the policy of their site that was published would have them refuse.

It is their own function that judges (policy/allowing.py), by what this peer has heard. So it may be behind: a
site of which no policy was heard is asked, and a host that knows a newer one refuses a hold by itself. How much
an owner has at a site already only its hosts know.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from protocol.contract.authority import Deployment
from protocol.policy.allowing import Forbidden, forbidden
from protocol.policy.demand import demand_of
from protocol.policy.site_policy import SitePolicy
from protocol.requesting.shortlist import Candidate
from protocol.terms.ids import KeyId
from protocol.terms.refusal import Refusal
from protocol.trust.grants import owner_of, read_grant
from protocol.trust.order import SignedOrder
from protocol.trust.owner import Owner

Policies = Iterable[tuple[KeyId, SitePolicy]]
"""The newest policies that were heard of, with the keys of their sites."""


def lent(
    candidates: tuple[Candidate, ...],
    policies: Policies,
    order: SignedOrder,
    deployment: Deployment,
) -> tuple[Candidate, ...]:
    """The same hosts, those marked that would carry nothing of it. The order was believed."""
    closed = _closed(policies, order, deployment)
    return tuple(
        _marked(each, closed[each.site]) if each.site in closed else each for each in candidates
    )


def _closed(policies: Policies, order: SignedOrder, deployment: Deployment) -> dict[str, Forbidden]:
    """The sites that would refuse every workspace by itself, and why."""
    owner, lease_s = _owner(order, deployment), deployment.spec.lease_s
    first = {each.cluster: each for each in reversed(deployment.workspaces)}
    demands = [demand_of([each], lease_s) for each in first.values()]
    closed: dict[str, Forbidden] = {}
    known = list(policies)
    names = Counter(policy.site for _, policy in known)
    for site_key, policy in known:
        found = [forbidden(policy, policy.site, site_key, owner, demand) for demand in demands]
        stops = [no for no in found if no is not None]
        # Where two keys were certified under one name, a host may be of either.
        if names[policy.site] == 1 and len(stops) == len(found) > 0:
            closed[policy.site] = stops[0]
    return closed


def _owner(order: SignedOrder, deployment: Deployment) -> Owner:
    if order.grants:
        return owner_of(order.grants, [read_grant(grant) for grant in order.grants])
    return Owner(deployment.owner, site=deployment.owner_site)


def _marked(candidate: Candidate, why: Forbidden) -> Candidate:
    no = Refusal(why.constraint, candidate.name, detail=str(why))
    told = candidate.told
    if told is not None:
        told = msgspec.structs.replace(told, refused=no)
    return msgspec.structs.replace(candidate, told=told, refused=no)
