"""How names, paths, images and keys are written. Each check answers what is wrong, or None.

Names become host names, link names, file names and parts of commands inside guests. So they are narrow:
RFC 1123 labels in lower case that start with a letter, because an all-digit label reads as an address in
DNS and as a number in YAML.
"""

import base64
import binascii
import re

from protocol.grid import limits
from protocol.grid.problem import quoted
from protocol.terms.ids import is_64_digits

_LABEL = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TAG = re.compile(
    r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?:=[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?"
)
PINNED = re.compile(r"(?P<name>[^@]*)@sha256:(?P<digits>[0-9a-f]{8,64})")
"""An image's name with digits of its digest: `debian-12@sha256:0123456789ab`."""
_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
_RESERVED = ("/proc", "/sys", "/dev", "/run")
_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def label_problem(text: str, most: int = limits.NAME_MAX) -> str | None:
    """A name of at most `most` characters: lower-case letters, digits, inner dashes."""
    if len(text) <= most and _LABEL.fullmatch(text):
        return None
    allowed = f"a name is 1 to {most} lower-case letters, digits and inner dashes, a letter first"
    if len(text) > most:
        return f"found {quoted(text)} of {len(text)} characters; {allowed}"
    return f"found {quoted(text)}; {allowed}"


def tag_problem(text: str) -> str | None:
    """A host's label: a word, or a word with a value (`ssd`, `rack=b7`). At most 63 characters."""
    if len(text) <= limits.TAG_MAX and _TAG.fullmatch(text):
        return None
    return (
        f"found {quoted(text)}; a label is 1 to {limits.TAG_MAX} lower-case letters, digits and inner"
        " dots, dashes and underscores, and may have a value: ssd or rack=b7"
    )


def image_problem(name: str, digest: str) -> str | None:
    """An image's name (`debian-12`), or a digest in its place, and its digest, which may be empty.

    As long as it is, the name may be followed by the digest, or by 8 or more digits of it.
    """
    if not digest and (pinned := PINNED.fullmatch(name)):
        name = pinned["name"]
    if not is_64_digits(name) and (message := image_name_problem(name)):
        return message
    if digest and not is_64_digits(digest):
        return f"found the digest {quoted(digest)}; a digest is 64 lower-case hexadecimal digits"
    return None


def image_name_problem(name: str) -> str | None:
    """A name that an image may be added under."""
    if len(name) <= limits.IMAGE_NAME_MAX and _IMAGE.fullmatch(name):
        return None
    return (
        f"found {quoted(name)}; an image's name is 1 to {limits.IMAGE_NAME_MAX} letters, digits, dots,"
        " dashes and underscores, a letter or digit first, for example debian-12"
    )


def path_problem(path: str) -> str | None:
    """Where a volume is mounted in a guest: absolute, plain characters, not a kernel directory."""
    if len(path) > limits.PATH_LENGTH_MAX or not _PATH.fullmatch(path):
        return (
            f"found {quoted(path)}; a mount point is an absolute path of letters, digits,"
            f" dots, dashes and underscores, at most {limits.PATH_LENGTH_MAX} characters,"
            " for example /srv/data"
        )
    top = "/" + path.split("/")[1]
    if top in _RESERVED:
        return f"found {quoted(path)}; {top} is the guest's own; mount for example at /srv"
    return None


def ssh_key_problem(key: str) -> str | None:
    """One public key as in an authorized_keys file, without options. Its base64 is decoded."""
    example = "write one public key a line, for example ssh-ed25519 AAAAC3... name"
    if "PRIVATE KEY" in key:
        return "found a private key; keep it to yourself and write the line of its .pub file"
    if len(key) > limits.KEY_LENGTH_MAX:
        return f"found {len(key)} characters; a key has at most {limits.KEY_LENGTH_MAX}; {example}"
    parts = key.split(" ", 2)
    if not key.isprintable() or len(parts) < 2:
        return f"found {quoted(key)}; {example}"
    if parts[0] not in _KEY_TYPES:
        return f"found a key of type {quoted(parts[0])}; allowed are {', '.join(_KEY_TYPES)}"
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    name = parts[0].encode()
    head = len(name).to_bytes(4, "big") + name
    if not blob.startswith(head) or len(blob) < len(head) + 32:
        return f"found {quoted(key)}, which is damaged or cut short; {example}"
    return None
