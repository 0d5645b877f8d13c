"""Where things are if nothing else is said, and how long their paths may be."""

SOCKET_PATH_MAX = 107
"""Bytes of a Unix socket's path on Linux: sockaddr_un holds 108, with the closing zero."""

LIBVIRT_ROOT_MAX = 50
"""Characters of the folder below which an embedded libvirt keeps its sockets: up to 57 are its own."""

LIBVIRT_ROOT = "libvirt"
"""That folder, in the state directory."""

LXC_ROOT = "lxc"
"""The folder of the libvirtd for containers, in the state directory."""

CONSOLE_SOCKET = "console/0123456789abcdef.sock"
"""What a console's socket is called in the state directory, for its length."""

API_SOCKET = "/run/overlayd/overlayd.sock"
