"""Volumes as numbers in memory."""

from overlayd.ports.volumes import VolumeError
from protocol.grid.limits import VOLUME_BYTES_MIN, VOLUME_NAME_MAX


class FakeVolumes:
    """The Volumes port on a dict. `room_bytes` is how much its disk holds."""

    def __init__(self, room_bytes: int = 64 << 30) -> None:
        self.room_bytes = room_bytes
        self.sizes: dict[str, int] = {}

    async def ensure(self, volume: str, size_bytes: int, label: str) -> str:
        """A path at which there is nothing."""
        path = self._path(volume)
        if size_bytes < VOLUME_BYTES_MIN:
            raise VolumeError(f"volume {volume} is too small; the least is {VOLUME_BYTES_MIN}")
        if not label or len(label.encode()) > VOLUME_NAME_MAX or "/" in label or " " in label:
            raise VolumeError(f"volume {volume} cannot be labelled {label!r}")
        if self.sizes.get(volume, size_bytes) > size_bytes:
            raise VolumeError(f"volume {volume} is here with {self.sizes[volume]} bytes")
        if size_bytes - self.sizes.get(volume, 0) > await self.free_bytes():
            raise VolumeError(f"no room for volume {volume}")
        self.sizes[volume] = size_bytes
        return path

    async def remove(self, volume: str) -> None:
        """Gone afterwards."""
        self._path(volume)
        self.sizes.pop(volume, None)

    async def observe(self) -> dict[str, int]:
        """Sizes by id, sorted."""
        return dict(sorted(self.sizes.items()))

    async def free_bytes(self) -> int:
        """Room less what is promised."""
        return self.room_bytes - sum(self.sizes.values())

    def _path(self, volume: str) -> str:
        if not volume or "/" in volume or volume.startswith("."):
            raise VolumeError(f"{volume!r} is not a volume's id")
        return f"/fake/volumes/{volume}.raw"
