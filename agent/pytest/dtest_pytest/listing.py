"""Lists what pytest collects, into a file.

    case   id, file, line, parameter, label...
    error  id, text: this file or directory could not be collected or skips itself, and what pytest says of it
    end    number of these
"""

import pytest

from . import collection, records

# Marks that say how a test is called, not what it is.
NO_LABELS = frozenset(("parametrize", "usefixtures", "filterwarnings"))


def write(path, items, uncollected):
    entries = [("case", *describe(item)) for item in items]
    entries += [("error", nodeid, report.longreprtext) for nodeid, report in uncollected.items()]
    with open(path, "wb") as file:
        for entry in entries:
            file.write(records.encode(entry))
        file.write(records.encode(("end", str(len(entries)))))


def describe(item):
    file, line, _ = item.location
    parameter = getattr(getattr(item, "callspec", None), "id", "")
    labels = sorted({mark.name for mark in item.iter_markers()} - NO_LABELS)
    return (item.nodeid, str(file), str(0 if line is None else line + 1), parameter, *labels)


class Listing:
    """In a process of its own."""

    def __init__(self, path):
        self._path = path
        self._uncollected = {}
        self._written = self._collected = False

    def pytest_collectreport(self, report):
        collection.note(self._uncollected, report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        write(self._path, session.items, self._uncollected)
        self._written = True
        self._collected = bool(session.items)
        return True

    def exit_status(self, status):
        """0: the listing is whole, also where it tells of what could not be collected."""
        if not self._written:
            return status or 70
        failed = collection.any_failed(self._uncollected)
        return collection.unexplained(status, failed=failed, collected=self._collected)
