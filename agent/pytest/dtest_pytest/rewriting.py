"""Takes work off collection, which one process does while all slots of a host wait for it.

More than half of what an ordinary file of tests costs to collect is its assertions, which pytest rewrites as it imports the
file. Processes forked for it rewrite and compile files that come later, the last ones first, until both meet; none of the
project's code runs in them. A file that warns or cannot be parsed is left to the process that collects, which tells of it.
"""

import gc
import marshal
import mmap
import os
import signal
import struct
import sys
import warnings

import pytest
from _pytest.assertion import rewrite

FEWEST_FILES = 8  # that are worth a process
MOST_HELPERS = 7
NICER = 5  # than tests that run meanwhile
PLACE = struct.Struct("Q")  # offset << LENGTH_BITS | length, of a file's entry; 0: none
LENGTH_BITS = 26
ENTRY = struct.Struct("QqQ")  # number of the file, and its time of change and size; its code follows
_exit = os._exit  # less what is patched into it later (coverage.py's patch = _exit)
COLLECTOR_THRESHOLDS = (50_000, 20, 20)  # of cyclic garbage: most of what collection makes, it keeps


class Ahead:
    """A plugin of pytest."""

    def __init__(self):
        self._groups = []
        # Where pytest looks for what an earlier process has made; in place of its rewriting, errors would show a call of ours.
        self._read = rewrite._read_pyc
        rewrite._read_pyc = self._read_or_take

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection(self):
        before = gc.get_threshold()
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        yield
        if gc.get_threshold()[:2] == COLLECTOR_THRESHOLDS[:2]:  # else the project's own; Python 3.14 forgets the third
            gc.set_threshold(*before)
        rewrite._read_pyc = self._read
        for group in self._groups:
            group.end()
        self._groups = []

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
        if len(files) >= FEWEST_FILES and len(os.listdir("/proc/self/task")) == 1:
            self._groups.append(Group(files, collector.config))

    def _read_or_take(self, source, *arguments):
        code = self._read(source, *arguments)
        for group in self._groups:
            code = code or group.take(str(source))
        return code


class Group:
    """Files, and the processes that rewrite them."""

    def __init__(self, files, config):
        self._files = files
        self._config = config
        self._numbers = {file: number for number, file in enumerate(files)}
        # Shared: how far this process is, then a place for each file.
        self._shared = mmap.mmap(-1, PLACE.size * (1 + len(files)))
        idle = len(os.sched_getaffinity(0)) - 1
        self._count = min(idle, MOST_HELPERS, len(files) // FEWEST_FILES + 1)
        self._helpers = []  # each with the file in memory that it writes; fewer than `count` where more could not be had
        try:
            for helper in range(self._count):
                self._start(helper)
        except (OSError, AttributeError):
            pass  # no process or descriptor is left for it, or Python cannot make it: this process does the rest

    def has_come_to(self, file):
        """This process imports it now: helpers need not make it, nor what comes before it."""
        if file in self._numbers:
            PLACE.pack_into(self._shared, 0, self._numbers[file] + 1)

    def take(self, file):
        """The code that was made of it; None: there is none."""
        number = self._numbers.get(file)
        place = 0 if number is None else PLACE.unpack_from(self._shared, PLACE.size * (1 + number))[0]
        if not place:
            return None
        memory = self._helpers[(len(self._files) - 1 - number) % self._count][1]
        entry = os.pread(memory, place & ((1 << LENGTH_BITS) - 1), place >> LENGTH_BITS)
        now = os.stat(file)
        if len(entry) < ENTRY.size or ENTRY.unpack_from(entry) != (number, now.st_mtime_ns, now.st_size):
            return None
        return marshal.loads(entry[ENTRY.size :])

    def end(self):
        for process, memory in self._helpers:
            try:
                if os.waitpid(process, os.WNOHANG) == (0, 0):  # so it is there, and this process' own
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
            except OSError:
                pass  # what the project does with SIGCHLD has collected it
            os.close(memory)
        self._helpers = []

    def _start(self, helper):
        memory = os.memfd_create("dtest-rewritten", os.MFD_CLOEXEC)
        parent = os.getpid()
        try:
            process = os.fork()
        except OSError:
            os.close(memory)
            raise
        if process:
            self._helpers.append((process, memory))
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
                self._make(number, memory)
        finally:
            _exit(0)

    def _make(self, number, memory):
        file = rewrite.Path(self._files[number])
        if os.path.exists(rewrite.get_cache_dir(file) / (file.stem + rewrite.PYC_TAIL)):
            return  # most likely pytest uses that
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                before = os.stat(file)
                _, code = rewrite._rewrite_test(file, self._config)
                entry = ENTRY.pack(number, before.st_mtime_ns, before.st_size) + marshal.dumps(code)
            except Exception:
                return
        if warned or len(entry) >> LENGTH_BITS:
            return
        offset = os.lseek(memory, 0, os.SEEK_END)
        if os.write(memory, entry) == len(entry):
            PLACE.pack_into(self._shared, PLACE.size * (1 + number), offset << LENGTH_BITS | len(entry))
