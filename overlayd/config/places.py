"""Where things are when nobody says otherwise."""

API_SOCKET = "/run/overlayd/overlayd.sock"
