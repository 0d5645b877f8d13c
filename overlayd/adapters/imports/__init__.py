"""Files that people bring as images, read as if they came from enemies."""
