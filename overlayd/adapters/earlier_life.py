"""Whether a daemon has lived in a state directory before: it leaves more there than its store."""

from pathlib import Path

from overlayd.config.places import LIBVIRT_ROOT

_TRACES = {
    "a hypervisor's directory": (f"{LIBVIRT_ROOT}/*",),
    "consoles": ("console/*.log",),
    "volumes": ("volumes/*.raw",),
    "root disks": ("roots/*/root.json",),
    "networks": ("networks/*",),
}


def traces_of(state: Path) -> list[str]:
    """What an earlier life has left there, in words; nothing if the directory is new."""
    return [
        what
        for what, patterns in _TRACES.items()
        if any(next(state.glob(pattern), None) is not None for pattern in patterns)
    ]
