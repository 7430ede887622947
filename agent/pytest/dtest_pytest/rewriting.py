"""Takes work off collection, which one process does while all slots of a host wait for it.

More than half of what an ordinary file of tests costs to collect is its assertions, which pytest rewrites as it imports the
file. Processes forked for it rewrite and compile files that come later, the last ones first, until both meet, and hand them over as
what the host keeps (bytecode.py); none of the project's code runs in them. A file that warns or cannot be parsed is left to the
process that collects, which tells of it.
"""

import gc
import mmap
import os
import signal
import struct
import sys

import pytest
from _pytest.assertion import rewrite

from . import bytecode

FEWEST_FILES = 8  # that are worth a process
MOST_HELPERS = 7
NICER = 5  # than tests that run meanwhile
PLACE = struct.Struct("Q")
_exit = os._exit  # less what is patched into it later (coverage.py's patch = _exit)
COLLECTOR_THRESHOLDS = (50_000, 20, 20)  # of cyclic garbage: most of what collection makes, it keeps


class Ahead:
    """A plugin of pytest."""

    def __init__(self, kept):
        self._groups = []
        self._kept = kept

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection(self):
        before = gc.get_threshold()
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        yield
        if gc.get_threshold()[:2] == COLLECTOR_THRESHOLDS[:2]:  # else the project's own; Python 3.14 forgets the third
            gc.set_threshold(*before)
        for group in self._groups:
            group.end()
        self._groups = []
        self._kept.sweep()

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_make_collect_report(self, collector):
        if isinstance(collector, pytest.Module):
            for group in self._groups:
                group.has_come_to(str(collector.path))
        outcome = yield
        if outcome.excinfo is not None:
            return
        nodes = outcome.get_result().result or ()
        files = list(dict.fromkeys(str(node.path) for node in nodes if isinstance(node, pytest.Module)))
        if len(files) < FEWEST_FILES or all(map(self._is_kept, files[-FEWEST_FILES:])):
            return
        if len(os.listdir("/proc/self/task")) == 1:
            self._groups.append(Group(files))

    def _is_kept(self, file):
        source, hook = bytecode.content(file), bytecode.rewriting_hook()
        return source is not None and hook is not None and self._kept.has(bytecode.kind_of_rewritten(hook), source)


class Group:
    """Files, and the processes that rewrite them."""

    def __init__(self, files):
        self._files = files
        self._numbers = {file: number for number, file in enumerate(files)}
        self._shared = mmap.mmap(-1, PLACE.size)  # how far this process is
        idle = len(os.sched_getaffinity(0)) - 1
        self._count = min(idle, MOST_HELPERS, len(files) // FEWEST_FILES + 1)
        self._helpers = []  # process ids, fewer than `count` where more could not be had
        try:
            for helper in range(self._count):
                self._start(helper)
        except OSError:
            pass  # no process is left for it: this one does the rest

    def has_come_to(self, file):
        """This process imports it now: helpers need not make it, nor what comes before it."""
        if file in self._numbers:
            PLACE.pack_into(self._shared, 0, self._numbers[file] + 1)

    def end(self):
        for process in self._helpers:
            try:
                if os.waitpid(process, os.WNOHANG) == (0, 0):  # so it is there, and this process' own
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
            except OSError:
                pass  # what the project does with SIGCHLD has collected it
        self._helpers = []

    def _start(self, helper):
        parent = os.getpid()
        process = os.fork()
        if process:
            self._helpers.append(process)
            return
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            sys.settrace(None)
            gc.disable()
            os.nice(NICER)
            for number in range(len(self._files) - 1 - helper, -1, -self._count):
                if PLACE.unpack_from(self._shared, 0)[0] > number or os.getppid() != parent:
                    break
                self._make(number)
        finally:
            _exit(0)

    def _make(self, number):
        file = rewrite.Path(self._files[number])
        try:
            rewrite._read_pyc(file, rewrite.get_cache_dir(file) / (file.stem + rewrite.PYC_TAIL))  # which makes and keeps it
        except Exception:
            pass  # the process that collects comes to it, too
