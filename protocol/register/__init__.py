"""CASPaxos: one small replicated register per grid name, kept by a few stewards."""
