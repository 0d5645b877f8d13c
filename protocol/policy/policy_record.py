"""A site's policy as a directory record, owned and signed by the site's key.

Since the record is the site's own, any member may carry it and nobody can make one up. It has one name and its
number is the record's, so the newest replaces all others wherever it comes; everybody keeps it on disk.
"""

from protocol.policy.site_policy import SitePolicy
from protocol.terms.ids import KeyId
from protocol.terms.kinds import KINDS
from protocol.trust.certificate import Role, check_chain, is_key, is_label
from protocol.trust.order import Action, check_order, read_order
from protocol.trust.record import Record, SignedRecord, check_record, sign_record
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier, read_signed
from protocol.wire.codec import encode

KIND = "policy"


def sign_policy(policy: SitePolicy, signer: Signer) -> SignedRecord:
    """The record of a policy. Raises ValueError if every peer would refuse it."""
    if fault := _fault(policy):
        raise ValueError(fault)
    limit = KINDS[KIND]
    record = Record(
        owner=signer.key,
        kind=KIND,
        name="",
        incarnation=0,
        sequence=policy.number,
        body=encode(policy),
        ttl_s=limit.life_s,
    )
    signed = sign_record(record, signer)
    if (size := len(signed.payload)) > limit.size_bytes:
        most = limit.size_bytes >> 10
        raise ValueError(f"the policy takes {size >> 10} KiB, at most {most} are accepted")
    return signed


def read_policy(record: Record, federation: KeyId, verifier: Verifier) -> SitePolicy:
    """The policy in a record whose signature was checked. Raises Untrusted if it is not believed.

    The site's certificate is held against the time at which the policy was made: one that has ended since does
    not open the site to those that its policy leaves out.
    """
    policy = read_signed(record.body, SitePolicy, "policy")
    if (record.kind, record.name, record.incarnation) != (KIND, "", 0):
        raise Untrusted(Reason.MALFORMED, "policy: its record is of another kind or name")
    if record.sequence != policy.number:
        raise Untrusted(Reason.MALFORMED, "policy: its record has another number")
    if fault := _fault(policy):
        raise Untrusted(Reason.MALFORMED, f"policy: {fault}")
    principal = check_chain(policy.chain, federation, policy.made_at_s, verifier)
    if principal.role is not Role.SITE or principal.key != record.owner:
        raise Untrusted(
            Reason.WRONG_ROLE, f"{principal.name} signs no policy of site {policy.site}"
        )
    if principal.site != policy.site:
        raise Untrusted(
            Reason.WRONG_ROLE, f"site {principal.site} signed a policy of {policy.site}"
        )
    _check_counting(policy, record.owner, federation, verifier)
    return policy


def _check_counting(
    policy: SitePolicy, site_key: KeyId, federation: KeyId, verifier: Verifier
) -> None:
    """Raises Untrusted unless its stewards are those of the site's order to count, if there are any."""
    if policy.counting is None:
        if policy.stewards:
            raise Untrusted(Reason.MALFORMED, "policy: it names stewards, and no order to count")
        return
    order = read_order(policy.counting)
    checked = check_order(policy.counting, federation, order.issued_at_s, verifier, fresh=False)
    if checked.owner.key != site_key or order.action is not Action.COUNT:
        raise Untrusted(Reason.WRONG_ROLE, "policy: its order to count is not the site's own")
    if not order.stewards or order.stewards != policy.stewards:
        raise Untrusted(Reason.MALFORMED, "policy: its order to count names other stewards")


def check_policy(signed: SignedRecord, federation: KeyId, verifier: Verifier) -> SitePolicy:
    """A policy as it comes from a person, with nothing of it checked yet. Raises Untrusted."""
    return read_policy(check_record(signed, verifier), federation, verifier)


def _fault(policy: SitePolicy) -> str:
    """What is wrong with a policy by itself; empty if nothing is."""
    if policy.number < 1:
        return "a policy's number is 1 at least"
    keys = [vo.key for vo in policy.vos]
    names = [vo.name for vo in policy.vos]
    if not all(map(is_key, keys)) or not all(map(is_label, names)):
        return "each of its keys is 64 hexadecimal digits, each name a DNS label"
    if len(set(keys)) < len(keys) or len(set(names)) < len(names):
        return "it names a key, or a name, twice"
    if any(span.first > span.last for vo in policy.vos for span in vo.expose):
        return "a range of ports ends before it begins"
    return ""
