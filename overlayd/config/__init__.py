"""What people write: the grid file (YAML) and the daemon's configuration (TOML), typed."""
