"""What guests are told, and say, at the metadata address."""
