"""Where all threads are, in a process that is stopped."""

import faulthandler
import signal

from . import records


def show_when_stopped():
    """What takes too long is ended by SIGTERM: then they stand in the output, past pytest's capture."""
    faulthandler.register(signal.SIGTERM, file=records.copy_up(2), all_threads=True, chain=True)
