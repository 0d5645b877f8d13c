"""Brings about a host's part of a grid: compares wanted with observed, and mends the difference."""
