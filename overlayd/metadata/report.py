"""What a guest says when it is ready: cloud-init's form, JSON, or nothing at all. Bytes of a stranger."""

from urllib.parse import parse_qs

import msgspec

from protocol.grid.host_keys import KEYS_MOST, host_keys

BODY_MOST_BYTES = 16 << 10
PROBLEM_MOST_CHARACTERS = 200
_FIELDS_MOST = 32
_OFFERED_MOST = 8
"""So many keys may be named; KEYS_MOST of them are kept."""
_FORM_KEYS = ("pub_key_ed25519", "pub_key_ecdsa", "pub_key_rsa")


class Report(msgspec.Struct, frozen=True):
    """What was said. It is ready unless it names a problem."""

    host_keys: tuple[str, ...] = ()
    problem: str = ""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host_keys: tuple[str, ...] = ()
    problem: str = ""


def read_report(body: bytes, content_type: str = "") -> Report:
    """What a guest says. Of several keys those that are none, or too large, are left out.

    Raises ValueError, which says what is wrong and what is taken.
    """
    if not body.strip():
        return Report()
    if content_type.startswith("application/json") or body.lstrip()[:1] == b"{":
        return _json(body)
    return _form(body)


def one_line(said: str) -> str:
    """A guest's own words as one line of plain text, shortened: nothing in it moves a terminal."""
    plain = "".join(c if c.isprintable() else " " for c in said[: 8 * PROBLEM_MOST_CHARACTERS])
    return " ".join(plain.split())[:PROBLEM_MOST_CHARACTERS]


def _json(body: bytes) -> Report:
    try:
        said = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f'not as it is to be: {error}; {{"host_keys": ["ssh-ed25519 AAAA..."]}} or '
            '{"problem": "text"} is taken'
        ) from None
    if len(said.host_keys) > _OFFERED_MOST:
        raise ValueError(f"{len(said.host_keys)} host keys; {KEYS_MOST} are kept at most")
    good: list[str] = []
    why = None
    for key in said.host_keys:
        try:
            good += host_keys((key,))
        except ValueError as error:
            why = error
    if why is not None and not good:
        raise why
    words = one_line(said.problem)
    if said.problem and not words:
        raise ValueError("a problem without a word of text")
    return Report(host_keys(good), words)


def _form(body: bytes) -> Report:
    """What cloud-init's phone_home posts. A key that it has not is `N/A`; one that is not taken is left out."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=_FIELDS_MOST, strict_parsing=True)
    except ValueError as error:
        raise ValueError(f"neither JSON nor a form: {error}") from None
    keys: list[str] = []
    for name in _FORM_KEYS:
        for said in fields.get(name, [])[:1]:
            try:
                keys += host_keys((said,))
            except ValueError:
                continue
    return Report(host_keys(keys))
