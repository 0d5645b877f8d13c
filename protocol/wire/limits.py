"""Every limit on what arrives, and its reason. Senders are held to the same limits.

Limits are checked before memory is spent: a peer that breaks one costs us the bytes it sent, no more.
"""

MAX_FRAME_BYTES = 1 << 20
"""One frame. An image chunk (512 KiB) or a page of 64 KiB records fits with room to spare. One frame
holds up a slow link of 10 Mbit/s for less than a second."""

MAX_TEXT_BYTES = 1 << 16
"""One string. The longest is an explanation meant for a person."""

MAX_ITEMS = 1 << 14
"""Elements of one list. The longest is a directory digest: 10,000 peers, one entry each."""

MAX_FIELDS = 1 << 12
"""Entries of one map. The longest is a summary of one site's hosts."""

MAX_VALUES = 1 << 17
"""Values in one frame, however nested. The most we need are 16,384 versions of five parts each. A frame of
a million zeros would take a tenth of a second to look through."""

MAX_DEPTH = 16
"""Lists and maps inside each other. Our deepest message is a grid record, at 8."""

MAX_CAUSE_CHARACTERS = 64
"""The cause copied along everything a request provokes; a RequestId has 20."""

MAX_RECORD_BYTES = 64 << 10
"""A signed record's payload. Everybody keeps everybody's: 2,000 records of this size are 128 MiB. An advert
is a hundredth of it."""

MAX_ORDER_BYTES = 512 << 10
"""A signed order's payload. It carries a whole grid and must fit in a frame beside its chain."""

MAX_ORDER_BESIDE_GRID_BYTES = 4 << 10
"""What an order's payload may take beside the grid in it. With seven stewards and the longest names it is
1.5 kB; a record keeps every order that changed its lease."""

MAX_GRANT_BYTES = 4 << 10
"""A grant's payload: four keys, two names, 32 sites of 63 characters, and a few numbers."""

MAX_CERTIFICATE_BYTES = 4 << 10
"""A certificate's payload: two keys, two names, two instants."""
