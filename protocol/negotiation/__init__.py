"""Quote, hold, commit: how a grid is placed without a front-end. Both sides, and what they say."""
