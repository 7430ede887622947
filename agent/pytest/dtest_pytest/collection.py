"""What pytest could not collect: reports by the node ids of files and directories."""

import sys

import pytest


def note(uncollected, report):
    """A file may be collected by several: that one fails outweighs that another skips it."""
    name = report.nodeid or "."
    if report.failed or (report.skipped and name not in uncollected):
        uncollected[name] = report


def any_failed(uncollected):
    return any(report.failed for report in uncollected.values())


def unexplained(status, failed, collected):
    """The exit status of a session that ran to its end; 0 where it says no more than what was told of."""
    if failed and status == pytest.ExitCode.TESTS_FAILED or not collected and status == pytest.ExitCode.NO_TESTS_COLLECTED:
        return 0
    if status:
        sys.stderr.write(f"dtest: pytest ends with status {int(status)}, and nothing that it tells of is the reason: look for "
                         "pytest_sessionfinish in conftest.py and plugins\n")
        sys.stderr.flush()
    return int(status)
