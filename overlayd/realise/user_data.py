"""The file that a guest reads at its first boot, as far as it is here. No guest is started without it."""

from collections.abc import Awaitable, Callable

from protocol.grid.model import Workspace
from protocol.terms.ids import GridId

UserData = Callable[[GridId, str], Awaitable[bytes | None]]
"""(grid, digest) to the file; None if it has yet to come."""

WAITS = "waits for its user-data; the grid's hosts and stewards are asked for it"
"""What a workspace says that could be started if its file was here."""


async def no_user_data(grid: GridId, digest: str) -> bytes | None:
    """Of a host that keeps no files."""
    return None


async def of_workspace(read: UserData, grid: GridId, workspace: Workspace) -> bytes | None:
    """What a workspace's guest is told; nothing if its owner says nothing, None if it has yet to come."""
    return await read(grid, workspace.user_data) if workspace.user_data else b""
