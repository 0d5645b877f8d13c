"""Names of images: labels on ids, in two small files. One id may have several, one name has one id here.

Names that somebody gave on this host are kept apart from those that came with a fetch. These are what
somebody's grid calls the image: worth showing, but nobody here vouches for them, and they keep no name from
being given.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.ports.images import ImageError

NAMES_MOST = 4096
"""Names that one host keeps: far more than anybody gives, and few enough to be written at once."""

NAMES_OF_ONE_MOST = 32
"""Names of one image: who makes the same image again and again leaves the others theirs."""


class NamesOfOne(msgspec.Struct, frozen=True):
    """What one image is called on a host, in order."""

    all: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    """Those of them that nobody here gave."""


NONE = NamesOfOne()


class HostNames:
    """All names of one host's images."""

    def __init__(self, directory: Path) -> None:
        self._given = ImageNames(directory / "names.json")
        self._heard = ImageNames(directory / "heard.json")

    def by_image(self) -> dict[str, NamesOfOne]:
        """The names of each image that has any: each file is read once."""
        given, heard = self._given.all(), self._heard.all()
        found: dict[str, tuple[list[str], list[str]]] = {}
        for name, digest in {**heard, **given}.items():
            names, unvouched = found.setdefault(digest, ([], []))
            names.append(name)
            if name not in given:
                unvouched.append(name)
        return {
            digest: NamesOfOne(tuple(sorted(names)), tuple(sorted(unvouched)))
            for digest, (names, unvouched) in found.items()
        }

    def of(self, digest: str) -> NamesOfOne:
        """The names of one image."""
        return self.by_image().get(digest, NONE)

    def check_free(self, name: str, digest: str) -> None:
        """Raises ImageError if somebody gave another image that name."""
        self._given.check_free(name, digest)

    def give(self, name: str, digest: str) -> None:
        """Gives a name to an image, which may have others. Raises ImageError if another was given it."""
        self._given.give(name, digest)
        self._heard.take(name)

    def hear(self, name: str, digest: str) -> None:
        """An image came under that name. If another has it, or there are too many, it does without."""
        with contextlib.suppress(ImageError):
            self._given.check_free(name, digest)
            if name not in self._given.of(digest):
                self._heard.give(name, digest)

    def take(self, name: str) -> None:
        """Takes a name away."""
        self._given.take(name)
        self._heard.take(name)

    def drop(self, digest: str) -> None:
        """Takes all names of an image away."""
        self._given.drop(digest)
        self._heard.drop(digest)


class ImageNames:
    """One file: a map from name to id, written whole, under another name first.

    It is read each time: it is small, and then nothing in memory can differ from the disk.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> dict[str, str]:
        """Every name with the id it stands for. A file that cannot be understood is as good as none."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def of(self, digest: str) -> tuple[str, ...]:
        """The names of one image, in order."""
        return tuple(sorted(name for name, held in self.all().items() if held == digest))

    def check_free(self, name: str, digest: str) -> None:
        """Raises ImageError if another image has that name."""
        held = self.all().get(name, digest)
        if held != digest:
            raise ImageError(
                f"the name {name} is taken here by image {held[:12]}; give another (--name), or free it: "
                f"overlayctl image rename {name} OTHER"
            )

    def give(self, name: str, digest: str) -> None:
        """Gives a name to an image, which may have others. Raises ImageError if another image has it."""
        self.check_free(name, digest)
        names = self.all()
        if names.get(name) == digest:
            return
        if len(self.of(digest)) >= NAMES_OF_ONE_MOST:
            raise ImageError(
                f"image {digest[:12]} has {NAMES_OF_ONE_MOST} names here, and gets no more; "
                "overlayctl image remove NAME takes one away"
            )
        if len(names) >= NAMES_MOST:
            raise ImageError(f"this host has {NAMES_MOST} names of images, and takes no more")
        self._write({**names, name: digest})

    def take(self, name: str) -> None:
        """Takes a name away."""
        names = self.all()
        if names.pop(name, None) is not None:
            self._write(names)

    def drop(self, digest: str) -> None:
        """Takes all names of an image away."""
        names = self.all()
        kept = {name: held for name, held in names.items() if held != digest}
        if kept != names:
            self._write(kept)

    def _write(self, names: dict[str, str]) -> None:
        new = self._file.with_name(f"staging-{self._file.name}")
        with new.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(msgspec.json.encode(dict(sorted(names.items()))))
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._file)
        flush(self._file.parent)
