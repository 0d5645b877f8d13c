"""A host's end of WireGuard, as it tells others."""

from typing import Annotated

import msgspec
from msgspec import Meta

KEY_BYTES = 32


class WireguardEnd(msgspec.Struct, frozen=True, array_like=True):
    """That it can carry grids' networks by WireGuard: it made an interface when it tried."""

    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    """The public one, X25519. It is WireGuard's alone."""
    port: Annotated[int, Meta(ge=1, le=65535)]
    """UDP."""
