"""What processes have told of pytest's reports (telling.py), and what became of each case, as the coordinator keeps it
(coordinator/controller/pytest_reports.h) in a directory:

    told-NUMBER  lines of some processes, in the order in which they came
    verdicts     lines of JSON: {"case", "iteration", "attempt", "host", "outcome", "seconds", "setup", "teardown", "message",
                 "output", "file", "line"} of a case that ended for good, where a later one counts; {"selected"}: names of cases
                 that were to run; {"unlisted"}: why there are none

Of the runs of a case in pytest one counts: of the attempt that the verdict is of, the last that came to what the verdict says.
"""

import base64
import json
import os
import re

from . import records, values

HEAD = re.compile(rb'\{"e": "(\w+)", "p": "(\w+)"')
CRASHED = ("crashed", "timed out")
FAILURES = ("failed", "infra error", *CRASHED)
WITHOUT = ("not run",)  # no verdict: pytest tells of no such test


def key_of(name):
    """Of texts that were told over different ways."""
    return records.encode_text(name)


class Process:
    def __init__(self, name):
        self.name = name
        self.node = None  # what it told of itself
        self.down = None  # its workeroutput
        self.pieces = []  # (file, begin, end) of what it told, in order
        self.runs = []


class Run:
    """Of one case in one process."""

    def __init__(self, process, case):
        self.process, self.case = process, case
        self.state = "cut"  # then "passed" or "failed"
        self.uncollected = False  # it is no test, but a file or directory
        self.verdict = None  # that it counts for

    def fits(self, verdict):
        """The more the better."""
        outcome = verdict["outcome"]
        if outcome in CRASHED:
            order = ("passed", "failed", "cut")
        elif outcome in FAILURES:
            order = ("cut", "passed", "failed")
        else:
            order = ("cut", "failed", "passed")
        return self.process.node["attempt"] == verdict["attempt"], order.index(self.state)


class Gathered:
    def __init__(self, directory):
        self._directory = directory
        self.processes = []  # that told which they are, in the order in which they came
        self.verdicts = {}  # by (key of the case, iteration)
        self.selected = []  # names of tests
        self.unlisted = []
        self.notes = {}  # what could not be told, each once
        self._read_verdicts()
        self._index()
        self._choose()
        uncollected = {key_of(run.case) for process in self.processes for run in process.runs if run.uncollected}
        self.selected = [name for name in self.selected if key_of(name) not in uncollected]

    def _read_verdicts(self):
        path = os.path.join(self._directory, "verdicts")
        if not os.path.exists(path):
            return
        with open(path, "rb") as file:
            for line in file:
                told = {name: text_of(value) for name, value in json.loads(line).items()}
                if "selected" in told:
                    self.selected += map(text_of, told["selected"])
                elif "unlisted" in told:
                    self.unlisted.append(told["unlisted"])
                else:
                    key = key_of(told["case"]), told["iteration"]
                    self.verdicts.pop(key, None)
                    self.verdicts[key] = told

    # ---- What was told

    def _files(self):
        numbers = sorted(int(name[len("told-"):]) for name in os.listdir(self._directory) if name.startswith("told-"))
        return [os.path.join(self._directory, f"told-{number}") for number in numbers]

    def _index(self):
        by_name = {}
        for path in self._files():
            at = 0
            with open(path, "rb") as file:
                for line in file:
                    event, name = head_of(line)
                    process = by_name.get(name)
                    if process is None:
                        process = by_name[name] = Process(name)
                    self._take(process, event, line)
                    begin, at = at, at + len(line)
                    if process.pieces and process.pieces[-1][0] == path and process.pieces[-1][2] == begin:
                        process.pieces[-1][2] = at
                    else:
                        process.pieces.append([path, begin, at])

    def _take(self, process, event, line):
        if event in ("report", "warning"):
            return
        told = values.decode(line)
        if event == "node":
            process.node = told
            self.processes.append(process)
        elif event == "down":
            process.down = told["output"]
        elif event == "lost":
            self.notes.setdefault(f"{told['id']}: {told['why']}" if told["id"] else told["why"])
        elif process.node is not None and event in ("start", "collect"):
            run = Run(process, told["id"])
            if event == "collect":
                run.uncollected = True
                run.state = "failed" if told["data"]["outcome"] == "failed" else "passed"
            process.runs.append(run)
        elif event == "finish" and process.runs:
            process.runs[-1].state = "failed" if told["failed"] else "passed"

    def events(self, process):
        """(what, its values) of all that it told, in order."""
        for path, begin, end in process.pieces:
            with open(path, "rb") as file:
                file.seek(begin)
                while file.tell() < end:
                    told = values.decode(file.readline())
                    yield told["e"], told

    # ---- What counts

    def _choose(self):
        runs = {}
        for process in self.processes:
            for run in process.runs:
                runs.setdefault((key_of(run.case), process.node["iteration"]), []).append(run)
        for key, verdict in self.verdicts.items():
            if verdict["outcome"] in WITHOUT or key not in runs:
                continue
            _, _, run = max((run.fits(verdict), number, run) for number, run in enumerate(runs[key]))
            run.verdict = verdict

    def untold(self):
        """Verdicts of which no process has told anything."""
        told = {id(run.verdict) for process in self.processes for run in process.runs}
        return [verdict for verdict in self.verdicts.values()
                if verdict["outcome"] not in WITHOUT and id(verdict) not in told]


def head_of(line):
    """What a line tells, and the name of its process: values.py writes them first."""
    event, name = HEAD.match(line).groups()
    return event.decode(), name


def text_of(value):
    """The event log's way of writing bytes that are no UTF-8."""
    if isinstance(value, dict) and "base64" in value:
        return base64.b64decode(value["base64"]).decode("utf-8", "surrogateescape")
    return value
