"""Keys for the traffic of grids' networks between hosts. README.md has the rules."""
