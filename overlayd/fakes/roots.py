"""Root disks as numbers in memory."""

from overlayd.ports.images import DiskFile, TreeFile
from overlayd.ports.roots import Root, RootError
from protocol.image.facts import Firmware


class FakeRoots:
    """The Roots port on a dict. `room_bytes` is how much its disk holds."""

    def __init__(self, room_bytes: int = 64 << 30) -> None:
        self.room_bytes = room_bytes
        self.made: dict[str, tuple[str, int]] = {}
        """By id: the image's path, and the size."""

    async def ensure(self, root: str, base: DiskFile | TreeFile, size_bytes: int) -> Root:
        """A path at which there is nothing."""
        folder = self._folder(root)
        least = 0 if isinstance(base, TreeFile) else base.bytes
        size_bytes = size_bytes or least
        if size_bytes < least or not size_bytes:
            raise RootError(f"{root} is smaller than its image; what works: disk: {least}")
        wanted = (base.path, -(-size_bytes // 512) * 512)
        base_path, here = self.made.get(root, wanted)
        if base_path != base.path or here > wanted[1]:
            raise RootError(f"root disk {root} is here, and is not made anew")
        more = wanted[1] - (here if root in self.made else 0)
        if more > self.room_bytes - await self.growth_bytes():
            raise RootError(f"no room for root disk {root}")
        self.made[root] = wanted
        if isinstance(base, TreeFile):
            return Root(f"{folder}/root.ext4")
        variables = f"{folder}/variables.fd" if base.firmware is Firmware.UEFI else ""
        return Root(f"{folder}/disk.qcow2", variables)

    async def remove(self, root: str) -> None:
        """Gone afterwards."""
        self._folder(root)
        self.made.pop(root, None)

    async def observe(self) -> dict[str, int]:
        """Sizes by id, sorted."""
        return {root: size_bytes for root, (_, size_bytes) in sorted(self.made.items())}

    async def growth_bytes(self) -> int:
        """Nothing of any is used."""
        return sum(size_bytes for _, size_bytes in self.made.values())

    def _folder(self, root: str) -> str:
        if not root or "/" in root or root.startswith("."):
            raise RootError(f"{root!r} is not a root disk's id")
        return f"/fake/roots/{root}"
