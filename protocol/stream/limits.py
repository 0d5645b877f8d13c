"""A limit on everything that streams to a port of a workspace keep or send, each with its reason."""

STREAM_PIECE_BYTES = 64 << 10
"""One piece: small enough that a negotiation's message waits behind few of them, even on a slow link."""
STREAM_WINDOW_BYTES = 1 << 20
"""What may be on its way of one direction: 100 Mbit/s over a round trip of 80 ms."""
STREAM_FIRST_WINDOW_BYTES = 128 << 10
"""What a new stream may send before its other end has seen that it is used."""
STREAM_PIECES, STREAM_SMALL_PIECES = 16, 2
"""Pieces on their way at once, and how many of them may be smaller than they could be. While two are, what
comes is joined, so that a guest that says a byte at a time makes a hundred messages a second, not thousands."""
STREAMS_WINDOW_BYTES = 4 << 20
"""What all streams of two peers may have on their way in one direction: half of a lane of the inbox."""
STREAM_RESEND_S, STREAM_RESEND_MOST_S = 2.0, 8.0
"""How long an end waits for a credit before it sends again; then twice as long, up to the second."""
STREAM_GAP_EVERY_S = 0.25
"""How often at most one end says that the same bytes are missing."""
STREAM_CREDIT_AFTER_S = 0.002
"""How long a credit may wait for more to tell, for each stream that two peers have. Small pieces wait for
credits, and so does who speaks in turns, as ssh does. So all streams of two peers together say at most 1,500
small messages a second, far below what a peer may say (ALLOWANCES)."""
STREAM_BEAT_S, STREAM_SILENT_S = 10.0, 40.0
"""An end that has nothing to say says that it is there; one that is silent for so long is given up."""
STREAM_OPEN_EVERY_S, STREAM_OPEN_WITHIN_S = 2.0, 15.0
"""How often a stream is asked for until an answer comes, and for how long."""
STREAM_CONNECT_S = 8.0
"""How long a workspace has to accept a connection: shorter than the one that asked waits."""
STREAM_CHECK_S = 1.0
"""How often a host looks whether what allowed a stream still holds."""
STREAMS_OF_PEER, STREAMS_OF_WORKSPACE, STREAMS_OF_OWNER, STREAMS = 32, 64, 128, 256
"""Streams that a host carries at once: asked by one peer, to one workspace, for one owner, in all."""
STREAMS_FROM_HERE = 128
"""Streams for people at one peer: half of the connections its API takes, so that others get an answer."""
STREAM_OPENS_PER_S, STREAM_OPENS_BURST = 20.0, 64.0
"""Streams that one peer may ask a host for. Each costs a look at three signatures, 0.3 ms."""
STREAMS_ENDED = 1024
"""Streams that ended well and are remembered, so that a last credit that was lost is given again."""
