"""Whether an owner can have anything on this host at all: a first look, without the netlink library.

A daemon looks at its networks when it starts. Most have none then, and pyroute2 takes 10 MiB, and as long to
import as it takes to join an overlay.
"""

import re
import socket
from pathlib import Path

from netns import model, saved
from netns.kernel import namespaces

_LINK = re.compile(rf"ov[bxsv]-[0-9a-f]{{6}}|({model.TAP_PREFIX}|{model.RATE_PREFIX}).+")


def any_of(run_dir: Path, owner_tag: str) -> bool:
    """False if `apply.observe` would find nothing; True if it has to look.

    A link's name does not say whose it is, so links of another owner are a reason to look, too.
    """
    return (
        bool(saved.networks(run_dir))
        or any(_LINK.fullmatch(name) for _, name in socket.if_nameindex())
        or any(name.startswith(model.namespace_prefix(owner_tag)) for name in namespaces.names())
    )
