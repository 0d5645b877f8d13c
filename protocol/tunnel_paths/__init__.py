"""The paths of sealed traffic between hosts. README.md has the rules."""
