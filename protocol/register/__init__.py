"""One small replicated register for each order, kept by the few stewards that the order names."""
