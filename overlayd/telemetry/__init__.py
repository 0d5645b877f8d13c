"""What the daemon says of itself: structured logs, a ring of events, metrics."""
