"""For `dtest profile`: a process that collects a root with nothing in the way, and what it says of what it imports.

What the profile shows stands as lines of JSON in files of the directory that DTEST_PYTEST_PROFILE names:

    {"root", "seconds", "status", "finished", "at", "left"}  collected apart: finished 0 if not all was collected, and `at` is
                                                    where it was then; left: modules that nothing was seen to import
    {"root", "file", "seconds", "tests"}            a file or directory of that collection, or the time before and behind it
    {"root", "module", "depth", "self", "cumulative"}  an import of that process; what it imported follows, one deeper. At
                                                    depth 0 stands what is no import: the place where those below it began
    {"root", "fixture", "scope", "where", "seconds"}  was made once, by a process that runs tests
    {"root", "lost"}                                so many lines of fixtures could not be written

Where DTEST_PYTEST_PROFILE_LIMIT is set, too (seconds), the process that lists a root is the one that collects apart.
Tests see none of these variables.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time

from . import records

BEFORE = "Python, pytest, its plugins and dtest"
MARK = "dtest: imports of "
LINE = re.compile(rf"import time:\s*(\d+) \|\s*(\d+) \| ( *)(.+)|{MARK}(.+)")
HEADER = "import time: self [us] | cumulative | imported package\n"
OWN = "dtest_pytest"
SHOWS_STACKS = 1  # seconds, at most

clock = time.perf_counter  # of the system: this process and the one that collects have the same
encode = json.JSONEncoder().encode


def collect(start, arguments, directory, limit):
    """The exit status of the process that lists what these arguments say."""
    root = os.path.abspath(next(value for value in arguments if value.startswith("--root="))[len("--root=") :])
    path = os.path.join(directory, hashlib.sha256(os.fsencode(root)).hexdigest()[:16])
    command = [sys.executable, "-X", "importtime", start, *arguments, "--coverage=no", "--arg=--capture=no"]
    with open(path, "wb") as errors:
        began = clock()
        process = subprocess.Popen(command, env={**os.environ, records.PROFILE_APART: "yes"}, stdin=subprocess.DEVNULL,
                                   stderr=errors)
        # Popen.wait(timeout) looks now and then, and would be late.
        ends = [threading.Timer(min(seconds, threading.TIMEOUT_MAX), end)
                for seconds, end in ((limit, process.terminate), (limit + SHOWS_STACKS, process.kill))]
        for timer in ends:
            timer.start()
        status = process.wait()
        ended = clock()
        for timer in ends:
            timer.cancel()
        if ended - began >= limit:
            sys.stderr.write(f"dtest: it was not collected within {limit:g} s (--list-timeout)\n")
    said = Said(began)
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            rest = said.take(line)
            if rest.strip():
                sys.stderr.write(rest)
    rows = said.rows(ended)
    with open(path + ".jsonl", "wb") as file:
        for row in ({"seconds": ended - began, "status": status, **said.end()}, *rows):
            file.write(encode({"root": root, **row}).encode() + b"\n")
    return status if status >= 0 else 128 - status


class Marks:
    """From each on, time and imports belong to its place. In the process that collects, among what it prints of imports."""

    def __init__(self):
        self._descriptor = records.copy_up(2)

    def place(self, name):
        self._write([name, clock()])

    def tests(self, counts):
        """By file, of what is collected now."""
        self._write([counts])

    def _write(self, mark):
        records.System.write(self._descriptor, f"\n{MARK}{encode(mark)}\n".encode())


class Said:
    """What a process that collected said on its standard error, and when."""

    def __init__(self, began):
        self._place, self._since = BEFORE, began
        self._seconds = {}  # by place
        self._tests = None  # by file
        self._imports = {BEFORE: []}
        self._waiting = {}  # by level: for the module that imported them, which is told behind them

    def take(self, line):
        """What of it is none of these."""
        found = LINE.search(line)
        if found is None:
            return "" if line == HEADER else line
        level = len(found[3] or "") // 2
        if found[5] is not None:
            self._mark(json.loads(found[5]))
        elif level == 0:
            self._imports[self._place].append(node_of(found, self._waiting.pop(1, [])))
        else:
            self._waiting.setdefault(level, []).append(node_of(found, self._waiting.pop(level + 1, [])))
        return line[: found.start()] and line[: found.start()] + "\n"

    def _mark(self, mark):
        if len(mark) == 1:
            self._tests = mark[0]
        else:
            self._go_on(*mark)

    def _go_on(self, place, now):
        self._seconds[self._place] = self._seconds.get(self._place, 0.0) + now - self._since
        self._place, self._since = place, now
        self._imports.setdefault(place, [])

    def end(self):
        left = sum(count(node) for nodes in self._waiting.values() for node in nodes)
        return {"finished": int(self._tests is not None), "at": self._place, "left": left}

    def rows(self, ended):
        self._go_on(self._place, ended)
        tests = self._tests or {}
        rows = [{"file": file, "seconds": self._seconds.get(file, 0.0), "tests": tests.get(file, 0)}
                for file in self._seconds.keys() | tests.keys()]
        for place, nodes in self._imports.items():
            if nodes:
                rows += rows_of((place, 0.0, sum(node[2] for node in nodes), nodes), 0)
        return rows


def node_of(found, nodes):
    own = " (dtest's own)" if found[4].partition(".")[0] == OWN else ""
    return found[4] + own, int(found[1]) / 1e6, int(found[2]) / 1e6, nodes


def count(node):
    return 1 + sum(map(count, node[3]))


def rows_of(node, depth):
    """The heaviest first."""
    name, own, cumulative, nodes = node
    yield {"module": name, "depth": depth, "self": own, "cumulative": cumulative}
    for one in sorted(nodes, key=lambda node: -node[2]):
        yield from rows_of(one, depth + 1)
