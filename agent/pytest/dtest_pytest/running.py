"""Runs the cases of a batch in their order, and tells the agent of each.

    began     position in the batch
    finished  position, outcome, seconds, of these those of set-up and of tear-down, message, output, warning, then keys and
              values of its properties
    unknown   position: pytest does not collect it any more
    shared    scope (session, package, module or class) and seconds: what the case that runs had set up for others, too
    wants more  all have been run but for the tear-down of the last: what is to follow? The answer is a record, the
              arguments of a further batch (request.py), or none
    goes on   all have been run, and that batch begins; its positions count from 0
    end       all have been run

and, where what they cover is measured, what measuring.py says, and where pytest's own reports are wanted, what telling.py
says.
"""

import signal
import sys
import traceback

import pytest

from . import collection, databases, following, neighbours, outcome, records, request


# What hosts are to agree in.
RUNNER = f"pytest {pytest.__version__}, Python {'.'.join(map(str, sys.version_info[:2]))}"
LEAST_SHARED = 0.001  # seconds that are worth a word


def tell(text):
    """Past pytest's capture."""
    sys.__stderr__.write(f"dtest: {text}\n")
    sys.__stderr__.flush()


class Running(collection.Collection):
    def __init__(self, cases, channel, root, names, measure, reports, own_files=()):
        """`own_files`: to be collected in place of all, if this process turns out to be none that goes on."""
        super().__init__(root, names)
        self._reports = reports
        self._cases = cases
        self._channel = channel
        self._measure = measure
        self._own_files = own_files
        self._resolves = False  # what follows the last test of a batch may become known as it is torn down
        self._current = None
        self._told_warnings = set()
        self._setting_up = 0  # shared fixtures, one for the other
        self._kept = 0.0  # seconds that fixtures of the session took to set up: they live as long as the process
        self._by_id = None
        self._failed_outside = False  # a report that is of no test
        self._next = None  # the cases of a further batch
        self._ended = self._collected = self._failed = self._interrupted = False

    # ---- Collection

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session):
        if self._own_files:
            self._resolves = following.resolve_in_tear_down(session.config)
            if not self._may_go_on():
                session.config.args = list(self._own_files)

    def _items(self, session, cases):
        """(position, item) of those cases that are there, in the order of the batch."""
        if self._by_id is None:
            self._by_id = {self.names.of(item.nodeid): item for item in session.items}
        return [(position, self._by_id[case]) for position, case in enumerate(cases) if case in self._by_id]

    def _tell_missing(self):
        for position, case in enumerate(self._cases):
            if case in self._by_id:
                continue
            if case in self.uncollected or case.partition("::")[0] in self.uncollected:
                self._tell_uncollected(position, case)
            else:
                self._channel.send("unknown", str(position))

    def _tell_uncollected(self, position, case):
        report = self.uncollected.get(case) or self.uncollected[case.partition("::")[0]]
        result = outcome.Outcome(self._root)
        self._reports.uncollected(case, report)
        if report.skipped:
            result.skip(outcome.skip_of(report, self._root))
        else:
            lines = [line for line in report.longreprtext.splitlines() if line.strip()]
            result.fail("error in collection: " + (lines[-1] if lines else ""), report.longreprtext)
        self._channel.send("began", str(position))
        self._finish(position, result)

    @pytest.fixture(scope="session", name="record_testsuite_property")
    def _record_property(self):
        """A run has suites of pytest beside others: it is a property of the test that runs."""
        def record(name, value):
            if not isinstance(name, str):
                raise TypeError(f"name: expected str, got {type(name).__name__}")
            if self._current is not None:
                self._current.properties.append((name, str(value)))

        return record

    # ---- The loop

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
        self._channel.send("runner", RUNNER)
        neighbours.before_tests(session.config)
        self._reports.begin(session.config, self._channel, self.names)
        with self._measure.told(self._channel):
            self._run_all(session)
        self._ended = True
        self._collected = bool(session.items)
        return True

    def _run_all(self, session):
        self._run_batch(session)
        while self._next is not None:
            self._channel.send("goes on")
            self._cases, self._next = self._next, None
            self._run_batch(session)

    def _run_batch(self, session):
        items = self._items(session, self._cases)
        self._tell_missing()
        ends = not self._may_go_on() or databases.end_with([item for _, item in items], session.items)
        last = None if ends else following.Later(lambda: self._first_of_next(session))
        for (position, item), (_, next_item) in zip(items, items[1:] + [(None, last)]):
            self._run(position, item, next_item)
            self._break_off(session)
        if items and last is not None:
            last.item()  # the last one's protocol may not have come to its tear-down

    @staticmethod
    def _break_off(session):
        """Where a plugin says so; the terminal reporter would say why."""
        reason = session.shouldfail or session.shouldstop
        if reason:
            tell(f"a plugin or conftest.py ends the session: {reason}")
            raise (session.Failed if session.shouldfail else session.Interrupted)(reason)

    def _first_of_next(self, session):
        """The item that this process runs next, of a further batch; None: there is none."""
        if not self._is_worth_more():
            return None
        self._channel.send("wants more")
        arguments = self._channel.receive()
        if not arguments:
            return None
        self._next = request.Request(arguments).cases()
        items = self._items(session, self._next)
        return items[0][1] if items else None

    def _may_go_on(self):
        # What is covered is told as the process ends, and would be lost with it.
        return self._resolves and self._measure.cov is None

    def _is_worth_more(self):
        """Another one would collect anew."""
        return True

    def _interrupt(self, *_):
        """The run is ended: that the test which runs is cut off is no verdict."""
        self._interrupted = True
        raise KeyboardInterrupt

    def _run(self, position, item, next_item):
        self._current = outcome.Outcome(self._root)
        self._channel.send("began", str(position))
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
        except pytest.exit.Exception as leaving:
            self._current.fail(f"pytest.exit: {leaving.msg}")
            raise
        except BaseException as error:
            self._current.fail(f"{type(error).__name__}: {error}".rstrip(": "), traceback.format_exc())
            raise
        finally:
            result, self._current = self._current, None
            if not self._interrupted:
                self._finish(position, result)

    def _finish(self, position, result):
        kind, message, output, warning = result.fields()
        self._failed = self._failed or kind == "failed"
        seconds = [f"{one:.6f}" for one in result.seconds()]
        properties = [text for pair in result.properties for text in pair]
        self._channel.send("finished", str(position), kind, *seconds, message, output, warning, *properties)

    def pytest_runtest_logreport(self, report):
        if self._current is not None:
            self._current.add(report)
        elif report.failed:
            self._failed_outside = True
            tell(f"a report of no test that runs has failed: {report.nodeid}: {outcome.message_of(report, self._root)}")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            yield
            return
        began = records.System.clock()
        self._setting_up += 1
        yield
        self._setting_up -= 1
        if self._setting_up > 0:
            return
        seconds = records.System.clock() - began
        if fixturedef.scope == "session":
            self._kept += seconds
        if seconds > LEAST_SHARED and self._current is not None:
            self._channel.send("shared", fixturedef.scope, f"{seconds:.6f}")

    def pytest_warning_recorded(self, warning_message, when, nodeid, location):
        """Each warning is told of the first test that it is seen in."""
        super().pytest_warning_recorded(warning_message, when, nodeid, location)
        if self._current is None or when != "runtest":
            return
        told = (warning_message.category.__name__, str(warning_message.message), warning_message.filename, warning_message.lineno)
        if told not in self._told_warnings:
            self._told_warnings.add(told)
            self._current.warn(*told)

    def exit_status(self, status):
        """0: all cases have been run, whatever became of them."""
        if not self._ended:
            return status or records.BROKEN
        failed = self._failed or self.any_failed
        if self._failed_outside:
            return status or records.BROKEN
        status = collection.unexplained(status, failed=failed, collected=self._collected)
        if status == 0:
            self._channel.send("end")
        return status
