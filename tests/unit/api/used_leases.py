"""Receipts of a site's own work and of a VO's members, for tests of usage."""

from typing import Any

import msgspec
from one_host import OneHost

from protocol.policy.receipts import HOUR_S, Payer, Receipt, Reserved, Used
from protocol.terms.ids import GridId, KeyId

HOUR = 400_000
STAR, KATE, PAUL = KeyId("a" * 64), KeyId("b" * 64), KeyId("c" * 64)
GIB_HOUR = 1024 * HOUR_S


def receipt(host: OneHost, payer: Payer, grid: str, hours: int = 0, **more: Any) -> Receipt:
    """An hour, so many after HOUR, of two cpus and a GiB, of which half a cpu was used."""
    from_s = (HOUR + hours) * HOUR_S
    made = Receipt(
        KeyId(host.node.me), "h1", "ams", GridId(f"{grid}-id"), grid, payer,
        from_s, from_s + HOUR_S,
        Reserved(2000 * HOUR_S, GIB_HOUR, 10 * GIB_HOUR),
        Used(500 * HOUR_S, GIB_HOUR // 2, 1 << 20, 2 << 20, 3 << 20, 4 << 20),
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def fill(host: OneHost) -> None:
    """Two hours of kate's grid, one of another of hers, one of paul's, one of the site's own, which goes on."""
    kate, paul = (
        Payer(STAR, "vo:star", "kate", (KATE,)),
        Payer(STAR, "vo:star", "", (PAUL,)),
    )
    own = Payer(KeyId("d" * 64), "ams")
    host.usage.receipts = [
        receipt(host, kate, "sim"),
        receipt(host, kate, "sim", 1),
        receipt(host, kate, "reco", 1),
        receipt(host, paul, "night", 1),
        receipt(host, own, "web", 1),
    ]
    host.usage.open = [receipt(host, own, "web", 2)]
