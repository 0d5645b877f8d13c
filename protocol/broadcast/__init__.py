"""What everybody knows: a directory of signed records, spread along a tree, made right by comparison."""
