"""Where all threads are, for whom the agent stops."""

import faulthandler
import signal

from . import records


def show_when_stopped():
    """The agent ends a test that takes too long by SIGTERM: then they stand in the output, past pytest's capture."""
    faulthandler.register(signal.SIGTERM, file=records.copy_up(2), all_threads=True, chain=True)
