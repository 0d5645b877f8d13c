"""What became of frames, counted by reason. There are as many counters as reasons, whoever sends what."""

import enum


class Count(enum.StrEnum):
    """Names as `State.counters` has them."""

    SENT = "sent"
    """Datagrams that went out sealed."""
    RECEIVED = "received"
    """Frames that came in and were good."""
    JOINED = "joined"
    """Pieces in which those were written to taps."""
    ARP_ANSWERED = "arp-answered"
    TOO_BIG_ANSWERED = "too-big-answered"
    """Who sent a packet of OUT_TOO_BIG that is not to be cut, and was told what gets there."""
    PROBES = "probes"
    """Probes and answers to ours that came in."""
    ND_ANSWERED = "nd-answered"
    PASSED_ON = "passed-on"
    """Datagrams of two others that this host is a relay for."""
    ROAMED = "roamed"
    """Times that a peer was heard from another place."""

    # Dropped on their way out.
    OUT_MALFORMED = "out-malformed"
    OUT_BROADCAST = "out-broadcast"
    """To a group of a network without multicast, or a question (ARP, ND) for nobody elsewhere. The bridge gives
    those to all of its ports."""
    OUT_NOT_OURS = "out-not-ours"
    """From a MAC that is no member here."""
    OUT_UNKNOWN = "out-unknown"
    """To a MAC that is no member elsewhere."""
    OUT_TOO_BIG = "out-too-big"
    OUT_NO_SESSION = "out-no-session"
    """No session with that peer may send."""
    OUT_NO_ENDPOINT = "out-no-endpoint"
    """Nobody knows yet where that peer is."""
    OUT_REFUSED = "out-refused"
    """The kernel did not take the datagram."""

    # Dropped on their way in.
    IN_NO_PAIR = "in-no-pair"
    """To be passed on, but of no pair, or not from where an end of its pair is."""
    IN_OVER_RATE = "in-over-rate"
    """To be passed on, but more than that pair may send, or than all of them may."""
    IN_NOT_SEALED = "in-not-sealed"
    """Too short, another type, or bytes that are to be zero are not."""
    IN_TRUNCATED = "in-truncated"
    """Longer than any frame of ours."""
    IN_UNKNOWN_SESSION = "in-unknown-session"
    IN_OLD_SESSION = "in-old-session"
    """Its session, or its count, is over."""
    IN_REPLAYED = "in-replayed"
    """Its counter was seen, or is too old to tell."""
    IN_FORGED = "in-forged"
    """It does not open."""
    IN_MALFORMED = "in-malformed"
    """Its inside makes no sense, though a peer sealed it."""
    IN_PROBES_TOO_MANY = "in-probes-too-many"
    """Probes of a peer that had as many answers in that second as it may."""
    IN_UNASKED = "in-unasked"
    """An answer to no probe that is waited for, or something else of no network."""
    IN_UNKNOWN_NETWORK = "in-unknown-network"
    IN_SPOOFED = "in-spoofed"
    """From a MAC or address that is not a member at that peer."""
    IN_NOT_HERE = "in-not-here"
    """To a MAC that is no member here."""
    IN_NOT_IP = "in-not-ip"
    """Neither IPv4, nor IPv6 on a network that has it."""
    IN_TOO_BIG = "in-too-big"
    """Longer than the network's packets may be."""
    IN_REFUSED = "in-refused"
    """The tap did not take it, or is gone."""


Counters = dict[Count, int]


def counters() -> Counters:
    """All of them, at zero."""
    return dict.fromkeys(Count, 0)
