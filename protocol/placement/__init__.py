"""Which host carries what: does it fit, what is best, and why not."""
