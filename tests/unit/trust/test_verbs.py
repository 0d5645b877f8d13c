"""Every kind of order needs some verb, and every verb but those for what is inside an order is good for one."""

from protocol.trust.order import VERBS_FOR, Action
from protocol.trust.verbs import EVERY_VERB, Verb

INSIDE = {Verb.EXPOSE, Verb.DEVICES, Verb.DELEGATE}
"""What no order is by itself."""


def test_every_order_needs_a_verb_and_every_verb_is_needed() -> None:
    assert set(VERBS_FOR) == set(Action)
    assert {verb for verbs in VERBS_FOR.values() for verb in verbs} == set(EVERY_VERB) - INSIDE
