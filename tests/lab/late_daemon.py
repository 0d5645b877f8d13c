"""A daemon on a machine whose clock is slow: late_daemon.py SECONDS run -c FILE

It believes certificates that have expired for everybody else.
"""

import sys
import time

from overlayd import daemon

if __name__ == "__main__":
    late_s = float(sys.argv.pop(1))
    now = time.time
    time.time = lambda: now() - late_s
    daemon.main()
