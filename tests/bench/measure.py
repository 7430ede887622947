"""How the rows of `./dev bench` measure: running programs, timing sides in turn, and what a row gives back.

A row is a function marked with @row that takes a Bench and returns Figures. Its docstring is its section in
docs/benchmarks.md: how it is measured.
"""

import dataclasses
import datetime
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build")
DTEST = os.path.join(BUILD, "dtest")
SUITES = os.path.join(BUILD, "bench")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

ROWS = {}  # name -> Row, in the order of the table


class Failed(SystemExit):
    """What is measured did not do what it was to. Ends the row, with what it says, where nobody catches it."""


@dataclasses.dataclass
class Row:
    name: str
    function: object
    farm: bool  # needs hosts, so root and namespaces


@dataclasses.dataclass
class Figure:
    """One line of the table. `met` is None where nothing is promised, or nothing could be measured."""
    what: str
    measured: str
    reach: str = ""
    met: bool | None = None


def at_least(what, value, reach, detail="", digits=2):
    return Figure(what, f"{value:,.{digits}f}{detail}", f"at least {reach:,g}", value >= reach)


def at_most(what, value, reach, detail="", digits=2, unit=""):
    return Figure(what, f"{value:,.{digits}f}{unit}{detail}", f"at most {reach:,g}{unit}", value <= reach)


def row(name, farm=False):
    def mark(function):
        ROWS[name] = Row(name, function, farm)
        return function
    return mark


def typical(seconds):
    """The better half's median: what else the machine does makes times longer, never shorter."""
    return statistics.median(sorted(seconds)[: (len(seconds) + 1) // 2])


def side_by_side(runs, *sides):
    """The typical seconds of each side (a callable that returns seconds), measured in turn."""
    taken = [[] for _ in sides]
    for _ in range(runs):
        for seconds, side in zip(taken, sides):
            seconds.append(side())
    return [typical(seconds) for seconds in taken]


@dataclasses.dataclass
class Run:
    """A dtest that ended."""
    began: float  # time.time()
    seconds: float
    text: str     # standard output and error
    events_path: str

    def events(self, kind):
        with open(self.events_path, encoding="utf-8") as file:
            return [event for event in map(json.loads, file) if event["event"] == kind]

    def verdicts(self):
        return [event for event in self.events("case_ended") if event["final"]]

    def first_verdict(self):
        """Seconds from the start of dtest."""
        return self._since_start(self.events("case_ended")[0]["time"])

    def last_verdict(self):
        """As first_verdict."""
        return self._since_start(self.events("case_ended")[-1]["time"])

    def _since_start(self, time):
        return datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() - self.began

    def lost(self):
        """Mean idle time of slots: before their first case, between cases, after their last until dtest ended."""
        slots = {}
        for case in self.verdicts():
            start = self._since_start(case["started"])
            slots.setdefault((case["host"], case["slot"]), []).append((start, start + case["duration"]))
        before = statistics.mean(min(cases)[0] for cases in slots.values())
        after = self.seconds - statistics.mean(max(end for _, end in cases) for cases in slots.values())
        busy = statistics.mean(sum(end - start for start, end in cases) for cases in slots.values())
        return f"{before:.2f} s before, {self.seconds - before - after - busy:.2f} s between, {after:.2f} s after"

    def shipped(self):
        """Bytes of chunks the coordinator sent, compressed, by host."""
        by_host = {}
        for event in self.events("host_shipped"):
            by_host[event["host_id"]] = by_host.get(event["host_id"], 0) + event["bytes"]
        return by_host


class Bench:
    """What a row works with. Remembers every command, written with neutral paths."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.cores = os.cpu_count() or 1
        self.commands = []
        self.names = {scratch: "$T", ROOT + "/": "", ROOT: "."}  # what stands for a path, longest first

    def path(self, *parts):
        return os.path.join(self.scratch, *parts)

    def suite(self, name):
        return os.path.join(SUITES, name)

    def note(self, command, directory=None):
        text = command if isinstance(command, str) else shlex.join(command)
        for path, name in sorted(self.names.items(), key=lambda item: -len(item[0])):
            text = text.replace(path, name)
        text = re.sub(r"'(\S*\$\S*)'", r'"\1"', text)
        if directory:
            text = f"cd {directory} && " + re.sub(r"(?<![\w./-])build/", "$REPO/build/", text)
        if text not in self.commands:
            self.commands.append(text)

    def timed(self, command, ok=(0,), cwd=None, env=None, note=True, passed=None):
        """Seconds that a command takes, which is to say that so many tests passed, if `passed` is given."""
        seconds, text = self._run(command, ok, cwd, env, note)
        if passed is not None and not re.search(rf"\b{passed} passed\b", text):
            raise Failed(f"{shlex.join(command)}\n{text[-4000:]}\ndid not say that {passed} tests passed")
        return seconds

    def timed_together(self, commands):
        """Seconds until all of these commands, started at once, have ended."""
        for command in commands:
            self.note(shlex.join(command) + " &")
        begin = time.monotonic()
        started = [subprocess.Popen(command, env=clean_environment(), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL) for command in commands]
        codes = [process.wait() for process in started]
        if any(codes):
            raise Failed(f"{shlex.join(commands[0])} and its like exited with {codes}")
        return time.monotonic() - begin

    def _run(self, command, ok, cwd, env, note):
        if note:
            self.note(command, None if cwd is None else cwd.replace(self.scratch, "$T"))
        begin = time.monotonic()
        done = subprocess.run(command, cwd=cwd, env=clean_environment(env), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        seconds = time.monotonic() - begin
        if done.returncode not in ok:
            raise Failed(f"{shlex.join(command)}\nexited with {done.returncode}:\n{done.stdout[-4000:]}")
        return seconds, done.stdout

    def dtest(self, *arguments, state="state", cache="cache", ok=(0,), cwd=None, events=False, verbosity="-q",
              note=True):
        """Runs dtest with its cache, its store on this machine and its history in this row's scratch directory."""
        command = [DTEST, *arguments, *([verbosity] if verbosity else []), "--state-dir", self.path(state),
                   "--cache-dir", self.path(cache)]
        log = self.path("events.jsonl")
        if events:
            command += ["--events", log]
        began = time.time()
        seconds, text = self._run(command, ok, cwd, {"XDG_CACHE_HOME": self.path(cache)}, note)
        return Run(began, seconds, text, log)


def clean_environment(more=None):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("DTEST_", "GTEST_", "SSH_", "XDG_", "CI", "GITHUB_", "GITLAB_", "PYTHON", "PYTEST_", "PG"))}
    return dict(kept, LC_ALL="C.UTF-8", NO_COLOR="1", **(more or {}))
