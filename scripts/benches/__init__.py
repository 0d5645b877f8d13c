"""What is measured, how, and against whom; run by scripts/bench."""
