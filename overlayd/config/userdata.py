"""A cluster's `user-data`: a file that its guests read at their first boot, and whether they can.

It is looked at where the grid file is read, because a guest says nothing of a file that its cloud-init does not
know: it boots, and does none of it. The bytes travel as they are, so nothing is mended here.
"""

import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.grid.model import GridSpec
from protocol.terms.ids import Digest, digest_of
from protocol.terms.quantities import format_size

_WORKS = "a #cloud-config, a script (#!/bin/sh), or a MIME multipart archive would work"
_WRAPPED = (
    "#include",
    "#cloud-boothook",
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "#part-handler",
    "#upstart-job",
)
"""What cloud-init knows by its first line besides, the longer before what begins like it."""


class Attachment(msgspec.Struct, frozen=True):
    """A file that goes with an order, beside the grid that names its digest."""

    digest: Digest
    content: bytes


class UserDataError(Exception):
    """The file cannot be a guest's user-data. The text says what it is and what would work."""


def read_user_data(path: Path) -> Attachment:
    """The file. Raises UserDataError."""
    content = _read(path)
    if wrong := fault(content):
        raise UserDataError(f"{path} {wrong}")
    return Attachment(digest_of(content), content)


class Files:
    """The files that one grid file names, read once each, beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Attachment | str] = {}

    def resolved(
        self, spec: GridSpec, written: Mapping[str, str]
    ) -> tuple[GridSpec, list[tuple[str, str]]]:
        """The grid with digests for the files that are `written` by cluster, and what is wrong with those."""
        wrong, clusters = [], []
        for cluster in spec.clusters:
            name = written.get(cluster.name, "")
            found = self._file(name) if name else ""
            if isinstance(found, Attachment):
                cluster = msgspec.structs.replace(cluster, user_data=str(found.digest))
            elif found:
                wrong.append((cluster.name, found))
            clusters.append(cluster)
        return msgspec.structs.replace(spec, clusters=tuple(clusters)), wrong

    def named(self, spec: GridSpec) -> tuple[Attachment, ...]:
        """The files that a grid names, each once, in its order."""
        read = {a.digest: a for a in self._read.values() if isinstance(a, Attachment)}
        digests = dict.fromkeys(Digest(c.user_data) for c in spec.clusters if c.user_data)
        return tuple(read[digest] for digest in digests)

    def _file(self, name: str) -> Attachment | str:
        found = self._read.get(name)
        if found is None:
            try:
                found = read_user_data(self._folder / name)
            except UserDataError as error:
                found = str(error)
            self._read[name] = found
        return found


def _read(path: Path) -> bytes:
    """What is in a plain file, and never in anything that would make the reader wait."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "is a folder" if stat.S_ISDIR(mode) else "is no plain file"
            raise UserDataError(f"{path} {what}; {_WORKS}")
        with path.open("rb") as file:
            content = file.read(ATTACHMENT_BYTES_MAX + 1)
        size_bytes = path.stat().st_size
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserDataError(f"{path} cannot be read: {reason}") from None
    if len(content) > ATTACHMENT_BYTES_MAX:
        most, size = format_size(ATTACHMENT_BYTES_MAX), format_size(size_bytes)
        raise UserDataError(
            f"{path} has {size}; at most {most} are allowed, and it can fetch the rest itself"
        )
    return content


def fault(content: bytes) -> str:
    """What is wrong with user-data, as the end of a sentence about it; empty if a guest can use it."""
    first = content.split(b"\n", 1)[0].rstrip(b"\r").strip()
    word = first.split(maxsplit=1)[0].decode("utf-8", "replace") if first else ""
    if not content.strip():
        return f"is empty; {_WORKS}, and without `user-data` nothing is done"
    if content.startswith(b"\x1f\x8b"):
        return "is compressed with gzip; uncompressed it would work"
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "begins with a byte order mark, which no guest reads past; without it, as UTF-8, it would work"
    if first.startswith(b"#!"):
        return _script_fault(content, first)
    if word == "##" and b"jinja" in first:
        return fault(content.split(b"\n", 1)[1] if b"\n" in content else b"")
    if word == "#cloud-config":
        return _config_fault(content)
    if word in _WRAPPED:
        return (
            f"is a {word}, which is not sent as it is; "
            "as a part of a MIME multipart archive it would work (cloud-init devel make-mime)"
        )
    if first.lower().startswith((b"content-type:", b"mime-version:")):
        return _archive_fault(content)
    shown = first[:40].decode("utf-8", "backslashreplace")
    return f"begins with {shown!r}, by which no guest knows what it is; {_WORKS}"


def _script_fault(content: bytes, first: bytes) -> str:
    if content.split(b"\n", 1)[0].endswith(b"\r"):
        shown = first[2:].decode("utf-8", "backslashreplace").strip()
        return f"has lines that end in CR LF, so {shown} would not be found; with LF alone it would work"
    if not first[2:].strip().startswith(b"/"):
        shown = first.decode("utf-8", "backslashreplace")
        return f"begins with {shown!r}; a script names its interpreter by its path, as #!/bin/sh"
    return ""


def _config_fault(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"is not UTF-8: it has the byte 0x{content[error.start]:02x} in line {line}"
    try:
        value = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark is not None else ""
        return f"is no YAML{where}: {error.problem or error.context}"
    except yaml.reader.ReaderError as error:
        return f"is no YAML: the character U+{int(error.character):04X} is not allowed"
    except RecursionError:
        return "is nested too deeply to be read"
    if value is not None and not isinstance(value, yaml.MappingNode):
        return (
            "is a #cloud-config without keys; it has to be a mapping, as `packages: [nfs-common]`"
        )
    return ""


def _archive_fault(content: bytes) -> str:
    import email  # Few send one, and it is slow to load.

    message = email.message_from_bytes(content)
    if not message.is_multipart():
        return f"is MIME, but no multipart archive: it says {message.get_content_type()}"
    if not message.get_payload():
        return "is a MIME archive without a part"
    return ""
