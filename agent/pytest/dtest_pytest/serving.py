"""A process that collects all tests of its root once, and forks a worker for each listing and batch."""

import pytest

from . import collection, following, forking, listing, records, request, running


class Serving(running.Running):
    def __init__(self, worker, root, origin, may_be_empty, measure, reports):
        super().__init__([], None, root, measure, reports)
        self._worker = worker
        self._origin = origin
        self._may_be_empty = may_be_empty
        self._listed = False
        self.is_worker = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self._measure.collected()
        self._reports.wanted(session.config)
        asked = forking.serve(session.config, self._worker, self._origin)
        self.is_worker = True
        work = request.Request(asked.arguments)
        if work.list:
            listing.write(work.list, session, self, self._may_be_empty)
            self._listed = True
            self._collected = bool(session.items)
            return True
        self._cases = work.cases()
        self._channel = records.Channel(asked.report)
        self._resolves = following.resolve_in_tear_down(session.config)
        return super().pytest_runtestloop(session)

    def _may_go_on(self):
        # What is covered is told as the process ends, and would be lost with it.
        return self._resolves and self._measure.cov is None

    def exit_status(self, status):
        if not self._listed:
            return super().exit_status(status)
        return collection.unexplained(status, failed=self.any_failed, collected=self._collected)
