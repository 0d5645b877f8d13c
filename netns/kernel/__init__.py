"""What is there, and one step at a time towards what is wanted. The only importer of pyroute2."""
