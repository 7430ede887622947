"""A plugin of pytest that writes what became of each test, as docs/pytest.md maps it, to the file that --verdicts names:

    cases          node id -> passed, failed or skipped; also files that could not be collected
    skipped_files  node ids of files that skip themselves
    texts          node id -> why it failed and what was captured then, why it was skipped, its warnings
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
        self._texts = {}

    def _say(self, name, *texts):
        self._texts.setdefault(name, []).extend(texts)

    def pytest_collectreport(self, report):
        if report.failed:
            self._cases[report.nodeid or "."] = "failed"
        elif report.skipped:
            self._skipped_files.append(report.nodeid or ".")
        if report.failed or report.skipped:
            self._say(report.nodeid or ".", *why(report))

    def pytest_runtest_logreport(self, report):
        name = report.nodeid
        if report.failed:
            if self._cases.get(name) != "failed":
                self._texts[name] = []  # that it was skipped before is no matter
            self._say(name, *why(report), *(text for _, text in report.sections))
            self._cases[name] = "failed"
        elif report.outcome in ("rerun", "retried") or self._cases.get(name) == "failed":
            return
        elif report.passed and report.when == "call" and getattr(report, "context", None) is None:
            self._passed.add(name)
            self._cases[name] = "passed"
        elif report.skipped and (name not in self._passed or hasattr(report, "wasxfail")):
            self._say(name, *why(report))
            self._cases[name] = "skipped"

    def pytest_warning_recorded(self, warning_message, when, nodeid):
        if when == "runtest":
            self._say(nodeid, f"{warning_message.category.__name__}: {warning_message.message}")

    def pytest_unconfigure(self):
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump({"cases": self._cases, "skipped_files": self._skipped_files, "texts": self._texts}, file)


def why(report):
    if hasattr(report, "wasxfail"):
        return [report.wasxfail]
    if report.skipped and isinstance(report.longrepr, tuple):
        return [report.longrepr[2].replace("Skipped: ", "", 1)]
    return [report.longreprtext]
