"""What pytest says while it collects."""

import sys

import pytest

from . import locks, network, outcome

MOST_WARNINGS = 3


class Collection:
    """A plugin of pytest that hears it."""

    def __init__(self, root, names):
        self._root = root
        self.names = names
        self.uncollected = {}  # reports by the node ids of files and directories
        self._deselected = 0
        self._warnings = {}  # texts, in their order

    def pytest_collectreport(self, report):
        """A file may be collected by several: that one fails outweighs that another skips it."""
        name = report.nodeid or "."
        if report.failed or (report.skipped and name not in self.uncollected):
            self.uncollected[name] = report

    def pytest_deselected(self, items):
        self._deselected += len(items)

    def pytest_warning_recorded(self, warning_message, when, nodeid, location):
        if when != "runtest":
            text = str(warning_message.message).strip().partition("\n")[0]
            place = f"{outcome.shown(warning_message.filename, self._root)}:{warning_message.lineno}"
            self._warnings.setdefault(f"{warning_message.category.__name__}: {text} ({place})")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        locks.of_item(item)
        network.check_of_item(item)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call):
        result = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, locks.Unreadable):
            result.get_result().longrepr = str(call.excinfo.value)  # and not where dtest has found it

    @property
    def any_failed(self):
        return any(report.failed for report in self.uncollected.values())

    @property
    def all_deselected(self):
        """Where nothing is left."""
        return self._deselected > 0

    def notes(self, session):
        """What a person should know of a listing."""
        notes = []
        if self._deselected:
            total = self._deselected + len(session.items)
            notes.append(f"{self._deselected} of {total} tests deselected by {deselected_by(session.config.option)}")
        notes += [f"pytest warns as it collects: {text}" for text in list(self._warnings)[:MOST_WARNINGS]]
        if len(self._warnings) > MOST_WARNINGS:
            notes.append(f"pytest warns as it collects: {len(self._warnings) - MOST_WARNINGS} more; "
                         "`pytest --collect-only` shows them")
        return notes


def deselected_by(option):
    ways = []
    if getattr(option, "markexpr", ""):
        ways.append(f"-m '{option.markexpr}'")
    if getattr(option, "keyword", ""):
        ways.append(f"-k '{option.keyword}'")
    ways += [f"--deselect {name}" for name in getattr(option, "deselect", None) or ()]
    return ", ".join(ways) or "conftest.py or a plugin"


def unexplained(status, failed, collected):
    """The exit status of a session that ran to its end; 0 where it says no more than what was told of."""
    if failed and status == pytest.ExitCode.TESTS_FAILED or not collected and status == pytest.ExitCode.NO_TESTS_COLLECTED:
        return 0
    if status:
        sys.stderr.write(f"dtest: pytest ends with status {int(status)}, and nothing that it tells of is the reason: look for "
                         "pytest_sessionfinish in conftest.py and plugins\n")
        sys.stderr.flush()
    return int(status)
