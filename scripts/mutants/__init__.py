"""Small changes to the sources of a room, and which of them its unit tests notice: `scripts/mutate`."""
