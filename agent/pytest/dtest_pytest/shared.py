"""What all processes of an agent share: for their caches, and for what is made once."""

import fcntl
import os


def directory():
    """Outlives each of them."""
    package = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(os.path.dirname(os.path.dirname(package)), "pytest-shared")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


class Turn:
    """What only one of them does at a time: others wait in `begin`. Whoever ends has ended its turn."""

    def __init__(self, name):
        self._file = open(os.path.join(directory(), name), "ab")

    def begin(self):
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def end(self):
        fcntl.flock(self._file, fcntl.LOCK_UN)


def once(name, work):
    """Has it done by the first of them that comes; the others wait until it is done."""
    with open(os.path.join(directory(), name), "ab", buffering=0) as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        if os.fstat(mark.fileno()).st_size == 0:
            work()
            mark.write(b"done")
