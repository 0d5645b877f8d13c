"""A daemon on a machine whose clock is set while it runs: set_clock_daemon.py FILE run -c CONFIG

FILE says by how many seconds the machine's clock is ahead of the right time.
"""

import sys
import time
from pathlib import Path

from overlayd import daemon

if __name__ == "__main__":
    ahead, now = Path(sys.argv.pop(1)), time.time
    time.time = lambda: now() + float(ahead.read_text())
    daemon.main()
