"""All that decides a run, as one value, and as the arguments that ask for it again."""

from dataclasses import dataclass, replace

import msgspec

from protocol.sim.faults import NONE, PLANS, FaultPlan, LinkFaults
from protocol.sim.latency import Latencies
from protocol.sim.peer import MANY_PEERS
from protocol.terms.limits import LEVELS_ABOVE

QUIET_WITHIN_S = 300.0
"""How long splits may take to heal (an address is tried a minute), with audits and machines to be cleared."""


@dataclass(frozen=True)
class Scenario:
    """A federation, what people do with it, and what goes wrong. Two equal scenarios have the same digest."""

    seed: int = 1
    peers: int = 6
    sites: int = 3
    seconds: float = 60.0
    """Virtual time after all have joined."""
    grids: int = 0
    changes: int = 0
    """How many changes of them people ask for."""
    elastic: int = 0
    """How many elastic grids people have, and as many reservations beside them."""
    plan: FaultPlan = NONE
    latencies: Latencies | None = None
    """How far sites are from each other; with None that is drawn for `sites` sites."""
    latency_file: str = ""
    """The file that they were read from, for the command that runs this again."""
    levels_above: int = LEVELS_ABOVE
    """Up to how many peers everybody knows everybody. Above, each knows its site."""
    warm: bool = False
    """Whether the run begins with an overlay that has converged (warm.py), without joins."""
    tell: int = 0
    """How many lines of news are told, each by a random peer, evenly over the time."""
    die: float = 0.0
    """The share of peers whose hosts lose power for good, all at once, after a quarter of the time."""
    stop_s: float | None = None
    """When everything is mended and nothing is asked any more. Up to then the run is as it is without this."""
    split_s: float = 0.0
    """For how many seconds two halves cannot reach each other, from a quarter of the time on."""
    quiet_within_s: float = QUIET_WITHIN_S
    """Within how many seconds after everything is mended all must be quiet."""

    @property
    def length_s(self) -> float:
        """How many virtual seconds after all have joined everything is mended."""
        return self.seconds if self.stop_s is None else min(self.stop_s, self.seconds)

    def command(self) -> str:
        """The command that runs this again."""
        words = ["scripts/sim"]
        options: dict[str, object] = {
            "seed": self.seed,
            "peers": self.peers,
            "seconds": self.seconds,
        }
        if self.latency_file:
            options["latencies"] = self.latency_file
        else:
            options["sites"] = self.sites
        usual = Scenario()
        for name in (
            "levels_above",
            "grids",
            "changes",
            "elastic",
            "tell",
            "die",
            "split_s",
            "stop_s",
            "quiet_within_s",
        ):
            if getattr(self, name) != getattr(usual, name):
                options[name.removesuffix("_s").replace("_", "-")] = getattr(self, name)
        preset = PLANS.get(self.plan.name, NONE)
        options["faults"] = preset.name
        for name, option in KNOBS.items():
            value = knob(self.plan, name)
            if value != knob(preset, name):
                options[option] = value
        words += [f"--{name} {_shown(value)}" for name, value in options.items()]
        if self.warm != (self.peers > MANY_PEERS):
            words.append("--warm" if self.warm else "--no-warm")
        return " ".join(words)

    def at_seed(self, seed: int) -> "Scenario":
        """The same scenario with another seed."""
        return replace(self, seed=seed)


KNOBS = {
    "jitter": "jitter",
    "loss": "loss",
    "doubling": "duplication",
    "reordering": "reordering",
    "crash_every_s": "crash-every",
    "silent": "silent",
    "wiped": "wiped",
    "cut_every_s": "cut-every",
    "one_way_every_s": "one-way-every",
    "full_every_s": "full-every",
    "stall_every_s": "stall-every",
    "slow": "slow",
    "late_s": "late",
    "drift_ppm": "drift",
    "jump_every_s": "jump-every",
    "jump_s": "jump",
    "behind_nat": "behind-nat",
    "liars": "liars",
    "fail_boot": "fail-boot",
    "most": "most-faults",
}
"""Each field of a plan (or of its links) and the option that sets it."""
_LINKS = tuple(field.name for field in msgspec.structs.fields(LinkFaults))


def knob(plan: FaultPlan, name: str) -> float:
    """One figure of a plan."""
    value: float = getattr(plan.links if name in _LINKS else plan, name)
    return value


def turned(plan: FaultPlan, name: str, value: float) -> FaultPlan:
    """The plan with one figure changed."""
    if name in _LINKS:
        return msgspec.structs.replace(
            plan, links=msgspec.structs.replace(plan.links, **{name: value})
        )
    return msgspec.structs.replace(plan, **{name: value})


def _shown(value: object) -> str:
    """Exactly: a figure that is rounded gives another run."""
    return str(value).removesuffix(".0")
