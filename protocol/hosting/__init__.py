"""The host's side: what is offered, held, claimed and leased on this host."""
