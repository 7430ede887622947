"""Tells the coordinator what pytest reports in a process, where somebody wants pytest's own reports of the run: at its end
a controller makes them of all processes' (controlling.py).

    reports  a line of JSON (values.py), an object: `p`, a name of the process; `e`, what it tells; and

    node     asked: options that ask for reports, with the files they name; id of the worker, host, attempt, iteration, input (config.workerinput), info (as pytest-xdist's workerinfo), root
    start    id, at: pytest_runtest_logstart
    report   data: pytest_runtest_logreport, as pytest serialises it
    finish   id, at, failed: pytest_runtest_logfinish, and whether a report before it was of a failure
    collect  id, data: a file or directory that could not be collected or skips itself
    warning  warning, when, id, at: pytest_warning_recorded
    down     output: config.workeroutput, as the session ended
    lost     id, why: a report that cannot be told; of a test's with `instead`, a shorter one that is told in its place
"""

import os
import platform
import sys

import pytest

from . import values, wanting

MOST_BYTES = (32 << 20) - (64 << 10)  # kMostGatheredBytes in include/dtest/messages.h, less what the agent adds


class Reports:
    """Of one process: whether it tells any, and what. `mode`: "yes", "no", or "": where something wants them."""

    def __init__(self, mode):
        self._mode = mode
        self._wanted = None
        self._telling = None
        self._platform = ""

    def wanted(self, config):
        """Once collection has registered all plugins that there are."""
        if self._wanted is None:
            self._wanted = self._mode == "yes" or (self._mode != "no" and bool(wanting.reasons(config)))
            if self._wanted:
                self._platform = platform.platform()  # which takes its time: before a fork
        return self._wanted

    @property
    def told(self):
        """The controller will know of this process."""
        return self._telling is not None

    def begin(self, config, channel, names):
        """In a process that runs tests, before the first."""
        if self.wanted(config):
            self._telling = Telling(config, channel, names)
            self._telling.tell_node(self._platform)
            config.pluginmanager.register(self._telling, "dtest-telling")

    def uncollected(self, case, report):
        if self._telling is not None:
            self._telling.tell_report("collect", report, id=case)

    def down(self, output):
        """The session of the process has ended, with what plugins have left for the controller."""
        if self._telling is not None:
            self._telling.tell("down", output=output)


class Telling:
    def __init__(self, config, channel, names):
        self._config = config
        self._channel = channel
        self._names = names
        self._process = os.urandom(8).hex()
        self._failed = False  # the test that runs
        self._notes = set()

    def tell(self, event, **values_of_it):
        plain = values.Plain()
        line = plain.encode({"e": event, "p": self._process, **values_of_it})
        if len(line) > MOST_BYTES:
            line = plain.encode({"e": "lost", "p": self._process, "id": str(values_of_it.get("id", "")),
                                 "why": f"it has more than {MOST_BYTES >> 20} MiB, and is told without texts and values",
                                 "instead": shortened(values_of_it["data"]) if event == "report" else None})
        self._channel.send("reports", line)
        for kind in plain.told:
            if kind not in self._notes:
                self._notes.add(kind)
                self.tell("lost", id=str(values_of_it.get("id", "")),
                          why=f"a value of type {kind} can only be told as a text")

    def tell_node(self, platform_name):
        info = {"version": sys.version, "version_info": tuple(sys.version_info), "sysplatform": sys.platform,
                "platform": platform_name, "executable": sys.executable, "cwd": os.getcwd()}
        given = dict(dict.items(self._config.workerinput))
        self.tell("node", asked=[f"{option}={path}" if path else option for option, path in wanting.reports_of(self._config)], id=given.get("workerid", "gw0"), host=os.environ.get("DTEST_HOST", ""),
                  attempt=int(os.environ.get("DTEST_ATTEMPT", "1")),
                  iteration=int(os.environ.get("DTEST_ITERATION", "1")), input=given, info=info,
                  root=str(self._config.rootpath))

    def tell_report(self, event, report, **more):
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        if data is None:
            self.tell("lost", id=report.nodeid, why=f"no plugin serialises a {type(report).__name__}")
        else:
            data = {**data, "nodeid": self._names.of(report.nodeid)}
            self.tell(event, data=data, **{"id": data["nodeid"], **more})

    def pytest_runtest_logstart(self, nodeid, location):
        self._failed = False
        self.tell("start", id=self._names.of(nodeid), at=location)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        self._failed = self._failed or report.failed
        self.tell_report("report", report)

    def pytest_runtest_logfinish(self, nodeid, location):
        self.tell("finish", id=self._names.of(nodeid), at=location, failed=self._failed)

    def pytest_warning_recorded(self, warning_message, when, nodeid, location):
        self.tell("warning", warning=plain_warning(warning_message), when=when, id=self._names.of(nodeid), at=location)


def shortened(data):
    """What a report says of a test, less what may be long."""
    longrepr = "more than a report may have: dtest's own has it" if data.get("outcome") == "failed" else None
    return {**data, "longrepr": longrepr, "sections": [], "user_properties": [], "keywords": {}}


def plain_warning(recorded):
    message = recorded.message
    plain = {"text": str(message), "of": None, "args": None, "category": None}
    if isinstance(message, Warning):
        plain["of"] = (type(message).__module__, type(message).__name__)
        plain["args"] = message.args
    if recorded.category is not None:
        plain["category"] = (recorded.category.__module__, recorded.category.__name__)
    for name in ("filename", "lineno", "line"):
        plain[name] = getattr(recorded, name, None)
    return plain
