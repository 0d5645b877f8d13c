"""What is beyond the site: a web server on port 8000, and one that takes all it is sent on port 9000."""

import http.server
import socketserver
import threading

BLOCK_BYTES = 1 << 16


class Takes(socketserver.BaseRequestHandler):
    """Reads, and forgets."""

    def handle(self) -> None:
        """Until the other side ends."""
        while self.request.recv(BLOCK_BYTES):
            pass


if __name__ == "__main__":
    taker = socketserver.ThreadingTCPServer(("", 9000), Takes)
    threading.Thread(target=taker.serve_forever, daemon=True).start()
    http.server.ThreadingHTTPServer(
        ("", 8000), http.server.SimpleHTTPRequestHandler
    ).serve_forever()
