"""The whole peer as one machine: events in, effects out, a snapshot to look at."""
