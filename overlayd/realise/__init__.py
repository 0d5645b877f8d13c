"""A host's part of a grid, brought about: wanted compared with observed, the difference mended."""
