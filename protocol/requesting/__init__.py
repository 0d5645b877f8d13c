"""The requester's side: one request to place, change or extend a grid, from the asking to the answer."""
