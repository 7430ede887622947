"""What pytest itself takes time for, for `dtest profile`. Where it goes is in apart.py.

Nothing of this may change what a test does or how it ends, whatever that has replaced or filled up.
"""

import os
import sys

import pytest

from . import apart, records

PARAMETER = "get_direct_param_fixture_func"  # pytest's function of a fixture that is none


class Collecting:
    """In the process that collects apart: which file or directory is collected, or which conftest.py imported."""

    def __init__(self):
        self._marks = apart.Marks()
        self._places = [apart.BEFORE]

    def _within(self, place, function, *arguments, **options):
        self._enter(place)
        try:
            return function(*arguments, **options)
        finally:
            self._leave()

    def _enter(self, place):
        self._places.append(place)
        self._marks.place(place)

    def _leave(self):
        self._places.pop()
        self._marks.place(self._places[-1])

    def begin(self, config):
        """Before it imports any conftest.py: pytest has no hook around that."""
        config.pluginmanager.register(self, "dtest-profile")
        manager, root = config.pluginmanager, str(config.rootpath)
        import_it = manager._importconftest

        def import_conftest(path, *arguments, **options):
            place = os.path.relpath(path, root)
            return self._within(str(path) if place.startswith("..") else place, import_it, path, *arguments, **options)

        manager._importconftest = import_conftest

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        self._enter(file_of(collector))
        yield
        self._leave()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session):
        counts = {}
        for item in session.items:
            counts[file_of(item)] = counts.get(file_of(item), 0) + 1
        self._marks.tests(counts)


class Fixtures:
    """In those that run tests: what each fixture takes, less others that it asked for as it was made."""

    def __init__(self, directory, root):
        self._root = root
        self._within = []  # seconds, of those that are being made
        # Workers that are forked later append to the same file.
        self._lines = Lines(os.path.join(directory, f"{os.getpid()}.jsonl"), root)

    def begin(self, config):
        config.pluginmanager.register(self, "dtest-profile")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        self._within.append(0.0)
        began = apart.clock()
        yield
        seconds = apart.clock() - began
        own = seconds - self._within.pop()
        if self._within:
            self._within[-1] += seconds
        if getattr(fixturedef.func, "__name__", "") != PARAMETER:
            # At once: the process may not live to tell it later.
            self._lines.write(lambda: {"fixture": fixturedef.argname, "scope": str(fixturedef.scope),
                                       "where": where(fixturedef.func, self._root), "seconds": own})

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        self._lines.tell_lost()


class Lines:
    """Of a file that is open from the beginning. What cannot be written is counted, and the count told when it can be."""

    def __init__(self, path, root):
        self._root = root
        self._lost = 0
        self._cut = False  # the last line
        try:
            self._descriptor = records.move_up(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
            self._identity = self._file()
        except OSError as error:
            self._descriptor = None
            sys.__stderr__.write(f"dtest: what fixtures take is lost: cannot write {path}: {error.strerror}\n")

    def _file(self):
        status = records.System.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def write(self, row):
        """Of what the function returns."""
        if self._descriptor is None:
            return
        try:
            if self._lost:
                self._append({"lost": self._lost})
                self._lost = 0
            self._append(row())
        except Exception:  # also of what a test has replaced
            self._lost += 1

    def _append(self, row):
        if self._file() != self._identity:
            raise OSError("a test closed the descriptor")
        line = b"\n" * self._cut + apart.encode({"root": self._root, **row}).encode() + b"\n"
        self._cut = True
        written = records.System.write(self._descriptor, line)
        if written < len(line):
            raise OSError("no space is left")
        self._cut = False

    def tell_lost(self):
        if not self._lost:
            return
        try:
            self._append({"lost": self._lost})
        except Exception:
            sys.__stderr__.write(f"dtest: {self._lost} lines of what fixtures take could not be written\n")
        self._lost = 0


def file_of(node):
    return node.nodeid.partition("::")[0] or "."


def where(function, root):
    """File and line; the file as seen from the root or from where it is installed."""
    function = getattr(function, "__func__", function)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    path = os.path.abspath(code.co_filename)
    for directory in (root, *sorted(filter(None, sys.path), key=len, reverse=True)):
        prefix = directory.rstrip("/") + "/"
        if path.startswith(prefix):
            return f"{path[len(prefix):]}:{code.co_firstlineno}"
    return f"{path}:{code.co_firstlineno}"
