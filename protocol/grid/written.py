"""What the grid file calls a field of the model: its key, where that is not the field's name with dashes."""

from collections.abc import Mapping

KEYS: Mapping[str, tuple[str, ...]] = {
    "lease_s": ("lease", "for"),
    "start_s": ("start",),
    "before_s": ("before",),
    "grace_s": ("grace",),
    "warn_s": ("warn",),
    "on_expiry": ("on-expiry",),
    "best_effort": ("best-effort",),
    "ssh_authorized_keys": ("ssh-authorized-keys",),
    "size_bytes": ("size",),
    "cpus_milli": ("cpus",),
    "memory_bytes": ("memory",),
    "max_cpus_milli": ("max-cpus",),
    "max_memory_bytes": ("max-memory",),
    "network_bits_s": ("network-rate",),
    "disk_bytes_s": ("disk-rate",),
    "disk_operations_s": ("disk-operations",),
    "disk_bytes": ("disk",),
    "scratch_bytes": ("scratch",),
    "console_bytes": ("console",),
    "stop_within_s": ("stop-within",),
    "minimum": ("min",),
    "outside": ("as",),
    "update_at_once": ("update", "at-once"),
    "update_wait": ("update", "wait"),
    "mounts": ("volumes",),
    "labels": ("labels", "required"),
    "preferred_labels": ("labels", "preferred"),
    "near_volume": ("near", "volume"),
    "near_image": ("near", "image"),
    "within_ms": ("within",),
    "exclude_sites": ("exclude-sites",),
}
"""By field, in whatever struct it is: each name means one thing."""


def keys_of(field: str) -> tuple[str, ...]:
    """The keys that lead to a field, from the mapping its struct is written as."""
    return KEYS.get(field, (field.replace("_", "-"),))
