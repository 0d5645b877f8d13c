"""Every limit of the paths of tunnels, and its reason."""

BEGIN_S = 0.5
"""How long after there are keys the first probe goes: both forwarders have been told of them by then."""
HURRY_S = 2.0
"""How long after the one before it a probe goes while the last was not answered."""
HURRIES = 15
"""After so many in a row without an answer a partner is probed as seldom as one that answers."""
EVERY_S = 10.0
"""How often a path that works is probed: one that breaks is noticed in EVERY_S + LOST * HURRY_S at most. It is
also less than the half minute after which most NATs forget a flow of UDP."""
PROBES_PER_S = 50.0
"""Of all partners together. With more than EVERY_S times that each is probed less often."""
SPREAD = 0.2
"""How much sooner or later than that a probe goes, as a part of it."""
TOGETHER_S = 0.5
"""What is due so soon goes along at once, which saves waking up for it."""
LOST = 3
"""So many probes in a row without an answer, and the path does not work."""
LAST = 16
"""Of so many the loss is told."""
SILENT_S = 15.0
"""How long there are keys without an answer, before people are told."""
