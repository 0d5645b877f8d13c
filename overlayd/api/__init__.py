"""The local API: what a face may ask of this host's peer, over a Unix socket. README.md has the paths."""
