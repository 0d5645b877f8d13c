"""What a site says others may use of it."""
