"""The shell around the node: one inbox, one timer, one interpreter of effects."""
