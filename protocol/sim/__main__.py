"""`python -m protocol.sim`: runs a federation in virtual time and says what came of it."""

import sys

from protocol.sim.command import main

sys.exit(main())
