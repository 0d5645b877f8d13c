"""What peers decide: pure state machines and wire types. No sockets, files, clocks or randomness."""
