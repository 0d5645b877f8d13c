"""The newest policy of each site that was heard of, kept on disk.

A policy is believed as its record proves it (policy/policy_record.py), whoever brought it. One that is older
than what is known is no news to the directory, and after a restart neither: the newest is put into it first.
"""

from collections.abc import Mapping

from protocol.policy.policy_record import read_policy
from protocol.policy.site_policy import SitePolicy
from protocol.terms.effects import Effect, Note, Persist, Row, Untidied
from protocol.terms.ids import KeyId
from protocol.terms.quantities import counted
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, check_record
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed, decode, encode

TABLE = "policy"


class SitePolicies:
    """The policies of all sites, by their keys. The key of a VO that one of them names is `in` it."""

    def __init__(self, identity: Identity, rows: Mapping[str, Mapping[str, bytes]]) -> None:
        self._identity = identity
        self._of: dict[KeyId, SitePolicy] = {}
        self._named: dict[KeyId, int] = {}
        """How many policies name each key."""
        self._changed = False
        self.saved: list[SignedRecord] = []
        """Policies from the disk, to be put into the directory at the start."""
        for _, row in sorted(rows.get(TABLE, {}).items()):
            self._load(row)

    def __contains__(self, key: object) -> bool:
        return key in self._named

    def of(self, site_key: KeyId) -> SitePolicy | None:
        """The newest policy of the site of that key; None if none was heard of."""
        return self._of.get(site_key)

    def pop_changed(self) -> bool:
        """Whether any is another since the last call."""
        changed, self._changed = self._changed, False
        return changed

    def known(self) -> list[tuple[KeyId, SitePolicy]]:
        """Every site's, with its key, by the site's name."""
        return sorted(self._of.items(), key=lambda each: (each[1].site, each[0]))

    def read(self, record: Record) -> SitePolicy:
        """What a record of this kind, its signature checked, says. Raises Untrusted."""
        return read_policy(record, self._identity.federation, self._identity.verifier)

    def learnt(self, record: Record, signed: SignedRecord) -> list[Effect]:
        """Believes a policy from now on, if it is newer than the one that is known. Raises Untrusted."""
        policy, known = self.read(record), self._of.get(record.owner)
        if known is not None and policy.number < known.number:
            return []
        self._put(record.owner, policy)
        # If it cannot be written, it is learnt again from any neighbour at the first comparison.
        kept = Persist((Row(TABLE, record.owner, encode(signed)),), Untidied())
        if policy == known:
            return [kept]
        who = counted(len(policy.vos), "organisation")
        return [kept, Note("policy.learnt", policy.site, f"number {policy.number}, lets in {who}")]

    def _put(self, site_key: KeyId, policy: SitePolicy) -> None:
        old, self._changed = self._of.get(site_key), True
        self._of[site_key] = policy
        for by, said in ((1, policy), (-1, old)):
            for vo in said.vos if said is not None else ():
                self._named[vo.key] = self._named.get(vo.key, 0) + by
                if not self._named[vo.key]:
                    del self._named[vo.key]

    def _load(self, row: bytes) -> None:
        try:
            signed = decode(row, SignedRecord)
            record = check_record(signed, self._identity.verifier)
            policy = self.read(record)
        except (Malformed, Untrusted):
            return
        self._put(record.owner, policy)
        self.saved.append(signed)
