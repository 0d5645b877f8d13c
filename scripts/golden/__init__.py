"""Golden vectors of the wire: what makes them, and what they are compared with."""
