"""What scripts/bench measures, how, and against which others."""
