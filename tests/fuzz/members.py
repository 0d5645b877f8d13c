"""Who there is in the fuzzed world, and the chains that they can show."""

from protocol.sim.keys import SimFederation

START_S = 1_000_000.0
OURS = SimFederation("fed", from_s=START_S - 1000, until_s=START_S + 5000)
THEIRS = SimFederation("strangers", from_s=START_S - 1000, until_s=START_S + 5000)
SIGNERS = (
    OURS.host("s1", "h1"),
    OURS.host("s1", "h2"),
    OURS.host("s2", "h3"),
    OURS.host("s2", "h4"),
    THEIRS.host("s1", "h2"),
)
"""The signers of peers: this one, two members, one that only records speak of, a stranger."""
CHAINS = (
    OURS.host_chain("s1", "h1"),
    OURS.host_chain("s1", "h2"),
    OURS.host_chain("s2", "h3", until_s=START_S + 900),
    OURS.host_chain("s2", "h4"),
    THEIRS.host_chain("s1", "h2"),
    OURS.site_chain("s1"),
    (),
)
