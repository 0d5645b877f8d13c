"""Attacks in any order beside honest work: Hypothesis grows both, and shortens what it finds.

After each step every grid is as its owner ordered it, every honest peer is believed, nobody keeps more than it
may, and what was told of registers has an order; after a daemon was started again, too.
"""

from pathlib import Path
from typing import get_args

from golden.vectors import BODIES, tag_of
from histories import recorded
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mixed_world import GRIDS_MOST, MixedWorld

from protocol.node.messages import Message
from protocol.trust.order import Action

LIST = Path(__file__).parents[1] / "tidy" / "unattacked.txt"
UNATTACKED = LIST.read_text().splitlines()
KINDS = sorted((k for k in get_args(Message) if tag_of(k) not in UNATTACKED), key=tag_of)
RECORDS = sorted(kind for kind in BODIES if f"record {kind}" not in UNATTACKED)

PEERS = st.integers(0, 4)
SEEDS = st.integers(0, 1 << 32)
CHANGES = st.sampled_from((Action.DOWN, Action.LEASE, Action.SUSPEND, Action.RESTORE))


class AttacksBesideWork(RuleBasedStateMachine):
    """Six peers at three sites, one of which attacks the others."""

    def __init__(self) -> None:
        super().__init__()
        self._recording = recorded()
        self.mixed = MixedWorld(self._recording.__enter__())
        self._made = 0

    @precondition(lambda self: len(self.mixed.grids) < GRIDS_MOST)
    @rule(asked=PEERS, count=st.integers(1, 2))
    def up(self, asked: int, count: int) -> None:
        self._made += 1
        self.mixed.up(f"grid-{self._made}", asked, count)

    @precondition(lambda self: self.mixed.grids)
    @rule(asked=PEERS, action=CHANGES, which=st.integers(0, GRIDS_MOST))
    def change(self, asked: int, action: Action, which: int) -> None:
        names = list(self.mixed.grids)
        self.mixed.change(names[which % len(names)], asked, action)

    @rule(which=PEERS)
    def restart(self, which: int) -> None:
        self.mixed.restart(which)

    @rule(kind=st.sampled_from(KINDS), to=PEERS, seed=SEEDS)
    def say(self, kind: type[Message], to: int, seed: int) -> None:
        for turn in range(4):
            self.mixed.say(kind, to, seed + turn)

    @rule(kind=st.sampled_from(RECORDS), to=PEERS, seed=SEEDS)
    def publish(self, kind: str, to: int, seed: int) -> None:
        self.mixed.publish(kind, to, seed)

    @rule(action=st.sampled_from(Action), to=PEERS, body=st.binary(max_size=9))
    def order(self, action: Action, to: int, body: bytes) -> None:
        self.mixed.order_of_hers(action, to, body)

    @invariant()
    def all_is_as_it_was_ordered(self) -> None:
        self.mixed.check()

    def teardown(self) -> None:
        self._recording.__exit__(None, None, None)


TestAttacksBesideWork = AttacksBesideWork.TestCase
TestAttacksBesideWork.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, derandomize=True
)
