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

MORE_BYTES = 54
"""What a datagram has beyond a guest's packet: a sealed frame's 40 and Ethernet's 14."""
_IPV4_BYTES, _IPV6_BYTES, _UDP_BYTES = 20, 40, 8
LEAST_BYTES = 1280 - _IPV6_BYTES - _UDP_BYTES - MORE_BYTES
"""A guest's packet that every path is to carry: what IPv6 asks of any link, less what is around it."""
COMMON_BYTES = tuple(
    link - _IPV4_BYTES - _UDP_BYTES - MORE_BYTES
    for link in (1280, 1300, 1350, 1380, 1400, 1420, 1440, 1460, 1472, 1480, 1492, 1500, 9000)
)
"""Guests' packets that just fit links as there are: tunnels, PPPoE, clouds, Ethernet, jumbo frames."""
GRAIN_BYTES = 8
"""A search ends when it knows so well what a path takes."""
CONFIRM_S = 60.0
"""When the size that was found is tried again at the latest. It goes along with each probe of the path, so a
path that shrinks is noticed EVERY_S + TRIES * AGAIN_S after it did, while TCP still tries again."""
AGAIN_S = 1.6
"""How long a round of a search takes: longer than the shell waits for answers."""
TRIES = 3
"""So many probes of a size without an answer, while smaller ones are answered, and it does not get there."""
RAISE_S = 600.0
"""How long what was found to fail is not tried again."""
SIZED_AT_ONCE = 32
"""Partners whose sizes are probed by one tick; the others follow at the next. Each costs 20 KB in a search."""

ASK_EVERY_S = 30.0
"""How often a relay is asked again: it forgets who does not ask."""
ASK_SOON_S = 2.0
"""The same, while it has not answered."""
ASKED_S = 100.0
"""How long a relay passes on after it was asked: three asks may be lost."""
RELAY_WITHIN_S = 8.0
"""How long a relay has to answer, and a probe to come back through it, before another is tried: keys with it
are agreed on in that time, and three probes may be lost."""
VAIN = 2
"""So many probes in a row without an answer, and two hosts of which one should be reachable ask a relay too."""
PAIRS_MOST = 1024
"""Pairs that one host passes on for: of what is lent by default more would have next to nothing each."""
PAIRS_OF_ONE = 32
"""Of these, how many one host may be an end of."""
SHARE = 2.0
"""What a pair may use of what is lent, as a multiple of its even part, once there are several."""
RELAYS_TRIED = 8
"""How many relays two partners try in turn before they begin at the first again."""
VIAS_BURST, VIAS_PER_S = 8.0, 0.2
"""How often a partner is followed to another relay."""
PUNCH_EVERY_S, PUNCH_S = 0.1, 5.0
"""Two hosts behind NAT send to where the other is seen so often, for so long. Both learn it within a second of
each other, and each NAT has to have let one out before it lets one in."""
PUNCH_AGAIN_S = 60.0
"""How long after that it is tried again at the soonest, while a relay is in use."""
UNDER_WAY_MOST = 128
"""Probes of one partner that may yet be answered: all that two places get in PUNCH_S."""
