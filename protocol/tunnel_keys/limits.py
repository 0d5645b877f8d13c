"""Every limit of the keys of tunnels, and its reason."""

REKEY_S = 120.0
"""The age at which keys are replaced, as WireGuard's are: who steals one reads so much traffic."""
ASK_ANEW_S = 150.0
"""The age at which the end that does not begin asks for new keys: the other should have begun by then."""
SESSION_S = 600.0
"""The age at which keys are dropped though nobody made new ones. Two hosts whose daemons do not reach each
other, or are stopped, for less than eight minutes lose no traffic by that."""
RETIRED_S = 3.0
"""How long what was sealed by the keys before is still opened, once both ends send by the new ones: longer than
a datagram is under way."""
HANDOVER_S = 0.3
"""How long what is sent still goes by the keys before, once the other end has new ones: longer than a daemon
takes to tell its forwarder of them. Until then that would drop what is sealed by them."""
SESSIONS_MOST = 3
"""Sessions with one host: the one in use, the one before, and one whose keys the other end may not have."""
AGAIN_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""After how long what was not answered is said again, the last over and over. A host that is down is called
twice a minute, since its traffic is lost as long as it has no keys."""
ASK_FIRST_S = 1.0
"""How long the end that does not begin waits for the other, who learns of the grid at about the same time."""
HURRY_S = 0.5
"""An offer that is asked for is not said again sooner than this."""
OFFERS_BURST, OFFERS_PER_S = 8.0, 0.2
"""How many offers of one partner are answered with new keys, and how many are made because it asks: each
costs about 0.3 ms, and a session that the forwarder remembers. An honest one makes or asks for one in two
minutes, and one at each start of its daemon or its forwarder."""
LACKING_S = 15.0
"""How long a partner is without keys before people are told: a start and a few tries take less."""
PARTNERS_MOST = 8192
"""Hosts that share networks with this one: as many as a federation is made for. Of more the last have none."""
PAYLOAD_BYTES = 1024
"""What is signed: three keys of 64 digits, two numbers, a public half, and names of ciphers."""
CIPHERS_MOST = 4
"""Names of ciphers in an offer: two exist."""
