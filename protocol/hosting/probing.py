"""What is told of a host that was probed: of what it is, and again when that is not as it was before."""

import msgspec

from protocol.capacity.advert import UNPROBED, HostFacts
from protocol.grid.tunnel import TunnelEnd, usable
from protocol.terms.effects import Effect, Note
from protocol.terms.limits import MTU_USUAL

LEAVES = "it is to be stopped for good"
"""Why a host takes nothing new of which its person said that it leaves."""


def told(facts: HostFacts, *, leaving: bool) -> HostFacts:
    """What others go by. A host that is to be stopped for good takes nothing new; what it has may grow."""
    return msgspec.structs.replace(facts, unfit=LEAVES) if leaving and not facts.unfit else facts


def tunnel_end(facts: HostFacts) -> TunnelEnd | None:
    """Where the host takes the traffic of its networks; None while it does not know, or cannot."""
    mtu, relay = facts.mtu or MTU_USUAL, facts.relay_bytes_s if facts.tunnel_port else 0
    end = TunnelEnd(facts.underlay, mtu, facts.tunnel_port, facts.wireguard, relay)
    return end if usable(end) and not facts.underlay_fault else None


def probed_notes(before: HostFacts, now: HostFacts, name: str) -> list[Effect]:
    """What to say of it: where it takes traffic, and whether it is fit to run guests. `name` is the host's."""
    return _underlay_notes(before, now) + _fitness_notes(before, now, name)


def _underlay_notes(before: HostFacts, now: HostFacts) -> list[Effect]:
    """What to say of a host whose address towards others is another, or is none any more."""
    if now.underlay_fault and now.underlay_fault != before.underlay_fault:
        return [Note("underlay.lost", now.underlay, now.underlay_fault)]
    was = (before.underlay, before.mtu, before.underlay_fault)
    if before is UNPROBED or was == (now.underlay, now.mtu, now.underlay_fault):
        return []
    said = f"{now.underlay} with an mtu of {now.mtu} for guests; before {was[0]} with {was[1]}"
    return [Note("underlay.changed", now.underlay, said)]


def _fitness_notes(before: HostFacts, now: HostFacts, name: str) -> list[Effect]:
    if before.unfit == now.unfit:
        return []
    if now.unfit:
        return [Note("host.unfit", name, now.unfit)]
    return [Note("host.fit", name, f"no more: {before.unfit}")]
