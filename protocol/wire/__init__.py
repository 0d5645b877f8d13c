"""What peers say to each other, as bytes: one codec, one frame, one list of limits."""
