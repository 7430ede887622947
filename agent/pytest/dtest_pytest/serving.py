"""A process that collects all tests of its root once, and forks a worker for each listing and batch."""

import pytest

from . import collection, following, forking, listing, records, request, running


class Serving(running.Running):
    def __init__(self, worker, root, names, origin, may_be_empty, measure, reports):
        super().__init__([], None, root, names, measure, reports)
        self._worker = worker
        self._origin = origin
        self._may_be_empty = may_be_empty
        self._control = forking.Control()
        self._refused = ""  # why this process is not to be forked
        self._listed = False
        self.is_worker = False

    def pytest_addhooks(self, pluginmanager):
        self._origin.sharing.watch_plugins(pluginmanager)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config):
        self._origin.sharing.configured_by(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self._measure.collected()
        self._by_id = {self.names.of(item.nodeid): item for item in session.items}
        self._reports.wanted(session.config)
        try:
            asked = forking.serve(self._control, session.config, self._worker, self._origin)
        except forking.Refused as refused:
            self._refused = str(refused)
            return True
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

    def _is_worth_more(self):
        return self._kept > running.LEAST_SHARED  # a fork costs less than what tests leave behind

    def leave(self, status):
        """Ends this process, or says that it is none to be forked, when it has taken away what it had made."""
        if self.is_worker:
            forking.leave(status, self._origin)
        if self._refused:
            self._control.refuse(self._refused)

    def exit_status(self, status):
        if self._refused:
            return 0
        if not self._listed:
            return super().exit_status(status)
        return collection.unexplained(status, failed=self.any_failed, collected=self._collected)
