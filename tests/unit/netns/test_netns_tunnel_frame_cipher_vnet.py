"""Sealed frames byte by byte, against vectors that a loop in another language is tested with too."""

import json
from pathlib import Path

import pytest

from netns.tunnel import cipher, frame, vnet
from netns.tunnel.tables import Cipher

VECTORS = json.loads((Path(__file__).parent / "golden" / "sealed_frames.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_a_frame_is_sealed_as_the_vector_says(vector: dict[str, str]) -> None:
    aead = cipher.aead(Cipher(vector["cipher"]), bytes.fromhex(vector["key"]))
    head = frame.header(int(vector["index"]), int(vector["counter"]))
    before = frame.inner_header(
        int(vector["flags"]),
        int(vector["vni"]),
        int(vector["csum_start"]),
        int(vector["csum_offset"]),
    )
    plain = bytes.fromhex(vector["frame"])
    sealed = head + aead.encrypt(head[4:], before + plain, head)
    assert sealed.hex() == vector["datagram"]
    assert frame.addressed(sealed) == (int(vector["index"]), int(vector["counter"]))
    opened = frame.inner(aead.decrypt(sealed[4:16], sealed[16:], sealed[:16]))
    assert opened is not None
    assert opened.frame == plain
    assert (opened.flags, opened.vni) == (int(vector["flags"]), int(vector["vni"]))


def test_a_frame_grows_by_what_the_mtu_of_guests_leaves_room_for() -> None:
    assert frame.SEALED_BYTES + frame.ETHERNET_BYTES + 20 + 8 == 82


def test_what_is_no_sealed_frame_has_no_session() -> None:
    good = frame.header(1, 2) + bytes(frame.SEALED_BYTES)
    assert frame.addressed(good) == (1, 2)
    assert frame.addressed(good[:53]) is None
    assert frame.addressed(b"\x02" + good[1:]) is None
    assert frame.addressed(b"\x01\x00\x01\x00" + good[4:]) is None
    assert frame.addressed(b"") is None


def test_an_inside_that_makes_no_sense_is_none() -> None:
    ethernet = bytes(60)
    assert frame.inner(frame.inner_header(1, 7, 34, 16) + ethernet) is not None
    assert frame.inner(frame.inner_header(1, 7, 44, 15) + ethernet) is None
    assert frame.inner(frame.inner_header(1, 7, 13, 0) + ethernet) is None
    assert frame.inner(frame.inner_header(2, 7, 0, 0) + ethernet) is None
    assert frame.inner(frame.inner_header(0, 7, 34, 16) + ethernet) is None


def test_the_fastest_cipher_goes_by_what_the_cpu_says() -> None:
    assert cipher.fastest("flags\t\t: fpu aes avx\n")[0] is Cipher.AES_256_GCM
    assert cipher.fastest("Features\t: fp asimd aes\n")[0] is Cipher.AES_256_GCM
    assert cipher.fastest("flags : fpu vaesx\n")[0] is Cipher.CHACHA20_POLY1305
    assert set(cipher.try_all()) == set(Cipher)


def test_virtios_header_is_ten_bytes_in_the_hosts_order() -> None:
    raw = vnet.written(1, vnet.GSO_TCPV4, 54, 1378, 34, 16)
    assert len(raw) == vnet.VNET_BYTES
    assert vnet.vnet(raw + b"frame") == (1, 1, 54, 1378, 34, 16)
