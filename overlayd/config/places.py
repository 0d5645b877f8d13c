"""Where things are if nothing else is said."""

API_SOCKET = "/run/overlayd/overlayd.sock"
