"""Command line faces: they show and ask, and decide nothing."""
