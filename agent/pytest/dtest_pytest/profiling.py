"""What pytest itself takes time for, for `dtest profile`. Where it goes is in apart.py."""

import os
import sys
import time

import pytest

from . import apart

PARAMETER = "get_direct_param_fixture_func"  # pytest's function of a fixture that is none

clock = time.perf_counter  # tests may replace it


def register(config):
    """What of this is asked for."""
    root = str(config.rootpath)
    file = os.environ.get(apart.FILE)
    plugin = Collecting(file, root) if file else Fixtures(os.environ[apart.DIRECTORY], root)
    config.pluginmanager.register(plugin, "dtest-profile")


class Collecting:
    """In the process that collects apart: what each file takes, less files that are collected within it."""

    def __init__(self, path, root):
        self._path = path
        self._root = root
        self._files = {}  # [seconds, tests]
        self._now = []  # [file, seconds of what was collected within it]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        file = file_of(collector)
        self._now.append([file, 0.0])
        apart.mark(file)
        began = clock()
        yield
        seconds = clock() - began
        _, within = self._now.pop()
        self._files.setdefault(file, [0.0, 0])[0] += seconds - within
        if self._now:
            self._now[-1][1] += seconds
        apart.mark(self._now[-1][0] if self._now else apart.BEFORE)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session):
        for item in session.items:
            self._files.setdefault(file_of(item), [0.0, 0])[1] += 1
        apart.write(self._path, self._root, *({"file": file, "seconds": seconds, "tests": tests}
                                              for file, (seconds, tests) in self._files.items()))


class Fixtures:
    """In those that run tests: what each fixture takes, less others that it asked for as it was made."""

    def __init__(self, directory, root):
        self._directory = directory
        self._root = root
        self._within = []  # seconds, of those that are being made

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        self._within.append(0.0)
        began = clock()
        yield
        seconds = clock() - began
        own = seconds - self._within.pop()
        if self._within:
            self._within[-1] += seconds
        if getattr(fixturedef.func, "__name__", "") != PARAMETER:
            # At once: the process may not live to tell it later.
            apart.write(os.path.join(self._directory, f"{os.getpid()}.jsonl"), self._root, {
                "fixture": fixturedef.argname, "scope": str(fixturedef.scope),
                "where": where(fixturedef.func, self._root), "seconds": own})


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
