"""Peers that cannot reach each other talk through one that both reach, sealed end to end."""
