"""A plugin of pytest that writes what became of each test, as docs/pytest.md maps it, to the file that --verdicts names:

    cases          node id -> passed, failed or skipped; also files that could not be collected
    skipped_files  node ids of files that skip themselves
"""

import json


def pytest_addoption(parser):
    parser.addoption("--verdicts", help="the file to write")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Verdicts(config.option.verdicts))


class Verdicts:
    def __init__(self, path):
        self._path = path
        self._cases = {}
        self._passed = set()  # the tests themselves, less their set-up, tear-down and subtests
        self._skipped_files = []

    def pytest_collectreport(self, report):
        if report.failed:
            self._cases[report.nodeid or "."] = "failed"
        elif report.skipped:
            self._skipped_files.append(report.nodeid or ".")

    def pytest_runtest_logreport(self, report):
        name = report.nodeid
        if report.failed:
            self._cases[name] = "failed"
        elif report.outcome in ("rerun", "retried") or self._cases.get(name) == "failed":
            return
        elif report.passed and report.when == "call" and getattr(report, "context", None) is None:
            self._passed.add(name)
            self._cases[name] = "passed"
        elif report.skipped and (name not in self._passed or hasattr(report, "wasxfail")):
            self._cases[name] = "skipped"

    def pytest_unconfigure(self):
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump({"cases": self._cases, "skipped_files": self._skipped_files}, file)
