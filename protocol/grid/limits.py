"""Limits of one grid, each with its reason. A grid beyond them is refused by `check.problems`.

Names are written as syntax.py says, and have lengths that work wherever they lead: tests/unit/realise takes the
longest of each kind through everything that a host makes of them.
"""

from typing import Final

NAME_MAX: Final = 40
"""Characters of a cluster, network, volume or site name: with `-1024` still a DNS label (63)."""

GRID_NAME_MAX: Final = 32
"""Characters of a grid's name: it becomes part of longer names (domains, links, DNS zones)."""

VOLUME_NAME_MAX: Final = 16
"""A volume's name is the label of its file system, and ext4 keeps 16 bytes."""

VOLUME_NAMES_TAKEN: Final = ("cidata", "config-2", "seed")
"""A guest finds its seed by these labels and serials, so no volume may have them."""

IMAGE_NAME_MAX: Final = 63
"""Characters of an image's name; adverts carry all names of their hosts."""

TAG_MAX: Final = 63
"""Characters of a host's label: an advert carries all labels of its host."""

WORKSPACES_MAX: Final = 1024
"""Workspaces of one grid: its record and its certificate of holds must fit in one message."""

PLACES_MOST: Final = 1024
"""Rows of places on networks in a record that was changed: 64 clusters on 16 networks."""

VOLUMES_KEPT_MOST: Final = 256
"""Volumes of one grid that have data, also those that it uses no more: 64 at once, changed three times."""

CHANGED_RECORD_BYTES: Final = 768 << 10
"""The record of a grid that was changed. It goes about in one frame, of 1 MiB, with the votes for it and with
the orders that change it later."""

APPLY_ORDER_BYTES: Final = 96 << 10
"""What an order to apply says. A record has two of them beside the order that made the grid, in one frame."""

CLUSTERS_MAX: Final = 64
NETWORKS_MAX: Final = 16
VOLUMES_MAX: Final = 64
"""Each is a link or a file on every host that carries the grid."""

NAMES_MAX: Final = 32
"""Entries of one small list: provides, requires, sites, labels, a cluster's networks or mounts."""

DISKS_AND_CARDS_MAX: Final = 24
"""Volumes, own disk and networks of one workspace: each takes a slot of its machine's bus."""

DEVICES_MAX: Final = 16
"""Devices of one kind for one workspace: more than any host board takes."""

WITHIN_MS_MAX: Final = 10_000
"""A longer round trip is no distance but a fault."""

FIXED_PORTS_MAX: Final = 64
"""Ports of hosts that one grid names: each host is asked about all of them, and says of each why not."""

KEYS_MAX: Final = 32
KEY_LENGTH_MAX: Final = 1024
"""SSH public keys of one grid, and characters of each (RSA 4096 with a comment has about 750)."""

CPUS_MILLI_MIN: Final = 10
"""The smallest quota libvirt takes: 1 ms in a period of 100 ms."""

CPUS_MILLI_MAX: Final = 1024 * 1000
NETWORK_BITS_S_MIN: Final = 256_000
"""A frame of the largest size takes 50 ms then, and what waits for its turn waits no longer than that."""

NETWORK_BITS_S_MAX: Final = 10**12
"""No card of a host is faster."""

DISK_BYTES_S_MIN: Final = 1 << 20
"""A guest reads some 60 MiB while it boots: in a minute then."""

DISK_BYTES_S_MAX: Final = 1 << 40
DISK_OPERATIONS_S_MIN: Final = 16
"""A file system's commit takes several, and is to be done before it begins the next, after 5 s."""

DISK_OPERATIONS_S_MAX: Final = 10**8
"""No disk of a host is faster in either."""

MEMORY_BYTES_MIN: Final = 32 << 20
"""Less does not boot a Linux kernel."""

MEMORY_BYTES_MAX: Final = 64 << 40
MAX_CPUS_MILLI_MAX: Final = 240 * 1000
"""A machine whose cpus are to grow is made with a place for each, and has 255 at most."""

MAX_MEMORY_TIMES: Final = 16
"""A guest's kernel has a table of all memory that it may ever have, a 64th of it: here a fourth of its own."""

VOLUME_BYTES_MIN: Final = 8 << 20
"""Below this an ext4 with a journal has hardly any room."""

VOLUME_BYTES_MAX: Final = 1 << 50
CONSOLE_BYTES: Final = 12 << 20
"""What a console's log takes of its host's disk where a file says nothing: 100,000 lines of a boot."""

CONSOLE_BYTES_MIN: Final = 4 << 20
"""A guest writes half a megabyte a second at most, and its log is looked at every three seconds."""

CONSOLE_BYTES_MAX: Final = 1 << 30
STOP_WITHIN_S_MAX: Final = 600
"""A guest that has not shut down by then does not: it would hold up who waits for its room."""

LEASE_S_MIN: Final = 60
"""A shorter lease is over before its guests have booted."""

LEASE_S_MAX: Final = 366 * 86400
GRACE_S_MAX: Final = 30 * 86400
"""Nobody uses the disk then. A person who wants it for longer extends the lease."""

WARNINGS_MAX: Final = 8
TIME_S_MAX: Final = 1e11
"""The year 5138. Anything beyond is no Unix time in seconds."""

PATH_LENGTH_MAX: Final = 255
PREFIX_MIN: Final = 8
PREFIX_MAX: Final = 30
"""A /30 holds the gateway and one workspace; a /31 nothing."""

ATTACHMENT_BYTES_MAX: Final = 1 << 20
"""Bytes of one file that goes with an order. It is not the way to bring programs or data."""

ATTACHMENTS_MAX: Final = 16
"""Different files of one grid: as many as it may have ways to be set up."""

ATTACHMENTS_BYTES_MAX: Final = 4 << 20
"""Bytes of all files of one grid: they are on the disk of each of its carriers and stewards."""
