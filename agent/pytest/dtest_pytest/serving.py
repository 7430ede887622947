"""A process that collects all tests of its root once, and forks a worker for each listing and batch.

Where it is none to be forked, what it has collected is of use to a listing all the same, which is what is asked of it first as a rule: it
writes that, and the process that is started in place of a fork finds it there.
"""

import os

import pytest

from . import collection, following, forking, listing, records, request, running

PART = "-part"  # behind the path of a listing: the session may yet end in a way that makes it none

class Serving(running.Running):
    def __init__(self, worker, root, names, origin, may_be_empty, measure, reports):
        super().__init__([], None, root, names, measure, reports)
        self._worker = worker
        self._origin = origin
        self._may_be_empty = may_be_empty
        self._control = forking.Control()
        self._refused = ""  # why this process is not to be forked
        self._list = ""  # path of the listing that it was asked for then
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
            self._list = request.Request(self._control.refused.arguments).list
            if self._list:
                self._collected = bool(session.items)
                listing.write(self._list + PART, session, self, self._may_be_empty)
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
        if not self._listed and not self._refused:
            return super().exit_status(status)
        status = collection.unexplained(status, failed=self.any_failed, collected=self._collected)
        if not self._refused:
            return status
        if self._list and status == 0:  # else that process finds out itself
            os.rename(self._list + PART, self._list + records.MADE)
        return 0
