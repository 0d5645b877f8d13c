"""A deterministic world of many nodes: virtual time, links that fail, invariants at every step."""
