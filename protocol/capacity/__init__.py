"""How much a host has, what of it is promised, and what it tells others."""
