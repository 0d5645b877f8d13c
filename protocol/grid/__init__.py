"""What a person asks for: the normalised grid, its expansion, addresses and semantic checks."""
