"""Processes inside a network's namespace."""
