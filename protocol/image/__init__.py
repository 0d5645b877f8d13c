"""Images: what decides how one boots, and the tree of hashes that is its identity."""
