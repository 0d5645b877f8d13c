"""What a grant lets its holder do."""

from enum import StrEnum


class Verb(StrEnum):
    """One thing that a grant allows, or does not."""

    DEPLOY = "deploy"
    """Bring grids up and change what they are."""
    RESERVE = "reserve"
    """Hold room, and say when a lease begins and ends."""
    ACT = "act"
    """Pause, resume, suspend, restore, restart, rebuild, terminate, take down."""
    RESIZE = "resize"
    """Change the quantum of what is there."""
    CONNECT = "connect"
    """Reach consoles and ports of workspaces, and networks from a host."""
    EXPOSE = "expose"
    """Have ports of workspaces reached from outside."""
    COMMIT = "commit"
    """Make images of workspaces."""
    DEVICES = "devices"
    """Use devices of hosts."""
    DELEGATE = "delegate"
    """Pass part of it on."""


EVERY_VERB = tuple(Verb)
