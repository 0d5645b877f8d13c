"""Machines by libvirt: one adapter, several drivers by URI."""

import os

# libvirt opens its log when it is first imported. In the embedded driver that log is our stderr, and what it
# says there (each refusal, a warning for each guest) reaches us as exceptions anyway. To debug libvirt, set
# LIBVIRT_LOG_OUTPUTS=1:stderr.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
