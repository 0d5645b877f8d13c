"""Host keys that guests name: what is kept of them."""

import base64

import pytest

from protocol.grid.host_keys import KEY_MOST_CHARACTERS, KEYS_MOST, host_keys, is_host_key
from protocol.grid.lifecycle import Phase, Status
from protocol.wire.codec import Malformed, decode, encode


def key(kind: str = "ssh-ed25519", size: int = 32, fill: int = 1) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + size.to_bytes(4, "big")
    return f"{kind} {base64.b64encode(blob + bytes([fill]) * size).decode()}"


ECDSA, RSA = "ecdsa-sha2-nistp256", "ssh-rsa"


def test_an_ed25519_key_is_enough_and_else_the_best_come_first() -> None:
    both = (key(RSA, 260), key(ECDSA, 77), f"{key()} root@guest")
    assert host_keys(both) == (key(),)
    assert host_keys(both[:2]) == (key(ECDSA, 77), key(RSA, 260))
    assert host_keys(()) == ()


def test_the_same_key_twice_is_one_and_more_than_some_are_not_kept() -> None:
    assert host_keys((key(), f" {key()}\n")) == (key(),)
    assert len(host_keys(key(fill=n) for n in range(1, 9))) == KEYS_MOST


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no type of host key"),
        ("N/A", "no type of host key"),
        (f"cert-authority {key()}", "no type of host key"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "no type of host key"),
        ("ssh-ed25519", "another key than it says"),
        ("ssh-ed25519 ***", "not in base64"),
        ("ssh-ed25519 " + key(RSA, 32).split()[1], "another key than it says"),
        (key(RSA, 400), "400 are taken at most"),
        ("ssh-rsa " + "A" * 10_000, "too long"),
        (f"\x1b[31m{key()}", "no type of host key"),
    ],
)
def test_what_is_no_host_key(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        host_keys((text,))
    assert not is_host_key(text)


def test_only_a_line_as_it_is_kept_is_one() -> None:
    assert is_host_key(key())
    assert not is_host_key(f"{key()} root@guest")
    assert not is_host_key(f"{key()}\n{key()}")
    assert len(key(RSA, 260)) <= KEY_MOST_CHARACTERS


@pytest.mark.parametrize("keys", [("x",), (key(),) * (KEYS_MOST + 1), (f"{key()}\nevil",)])
def test_a_host_that_tells_of_keys_that_are_none_is_not_heard(keys: tuple[str, ...]) -> None:
    good = Status("web-1", Phase.READY, host_keys=(key(),))
    assert decode(encode(good), Status) == good
    raw = encode(good).replace(key().encode(), b"x" * len(key()))
    with pytest.raises(Malformed):
        decode(raw, Status)
    with pytest.raises(ValueError, match="host keys"):
        Status("web-1", Phase.READY, host_keys=keys)
