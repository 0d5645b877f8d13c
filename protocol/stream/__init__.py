"""One stream of bytes between two peers, each way, over messages that may be lost."""
