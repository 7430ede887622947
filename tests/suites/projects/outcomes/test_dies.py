"""What ends its process: alone to blame, and the others have their verdicts."""

import ctypes
import os
import sys


def test_before():
    pass


def test_dies_by_exit():
    print("last words")
    sys.stdout.flush()
    os._exit(0)


def test_between():
    assert 0


def test_dies_by_segfault():
    ctypes.string_at(0)


def test_dies_by_abort():
    os.abort()


def test_after():
    pass
