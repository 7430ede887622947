"""Lists what pytest collects, into a file.

    case     id, file, line, parameter, group, number of locks, lock..., label...
    error    id, text: this file or directory could not be collected or skips itself, and what pytest says of it
    note     text: what a person should know
    nothing  that there is no case is no mistake
    end      number of cases and errors

Until all is collected there stands in its place

    collecting  id of the file or directory, or nothing while pytest is configured: the last says where a process that
                writes no more has ended
"""

import os

import pytest

from . import collection, groups, locks, records

# Marks that say how a test is called, not what it is.
NO_LABELS = frozenset(("parametrize", "usefixtures", "filterwarnings"))


def write(path, session, collected, may_be_empty):
    mode = session.config.dtest_dist
    cases = [("case", *describe(item, mode, collected.names)) for item in session.items]
    cases += [("error", nodeid, report.longreprtext) for nodeid, report in collected.uncollected.items()]
    notes = [*collected.notes(session), groups.note(mode)]
    entries = [("note", text) for text in notes if text] + cases
    if not cases and (may_be_empty or collected.all_deselected):
        entries.append(("nothing",))
    try:
        records.write(path, [*entries, ("end", str(len(cases)))])
    except OSError as error:
        raise pytest.UsageError(f"dtest: the listing cannot be written: {path}: {error.strerror}") from error


def describe(item, mode, known_as):
    file, line, _ = item.location
    parameter = getattr(getattr(item, "callspec", None), "id", "")
    labels = sorted({mark.name for mark in item.iter_markers()} - NO_LABELS)
    names = locks.of_listed(item)
    return (known_as.of(item.nodeid), str(file), str(0 if line is None else line + 1), known_as.of(parameter),
            groups.of_item(item, mode), str(len(names)), *names, *labels)


class Listing(collection.Collection):
    """In a process of its own."""

    def __init__(self, path, root, names, may_be_empty):
        super().__init__(root, names)
        self._path = path
        self._may_be_empty = may_be_empty
        self._written = self._collected = False
        self._progress = records.copy_up_of_file(path)
        self._now("")

    def _now(self, nodeid):
        try:
            os.write(self._progress, records.encode(("collecting", nodeid)))
        except OSError:  # it is told of the listing itself
            pass

    def pytest_collectstart(self, collector):
        if not isinstance(collector, (pytest.Session, pytest.Class)):
            self._now(collector.nodeid or ".")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        write(self._path, session, self, self._may_be_empty)
        self._written = True
        self._collected = bool(session.items)
        return True

    def exit_status(self, status):
        """0: the listing is whole, also where it tells of what could not be collected."""
        if not self._written:
            if status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED):
                if os.path.isfile(self._path):
                    os.unlink(self._path)  # pytest has said why there is none
            return status or records.BROKEN
        return collection.unexplained(status, failed=self.any_failed, collected=self._collected)
