"""Runs the cases of a batch in their order, and tells the agent of each.

    began     position in the batch
    finished  position, outcome, seconds, of these those of set-up and of tear-down, message, output, warning, then keys and
              values of its properties
    unknown   position: pytest does not collect it any more
    shared    seconds that a further process would need to set up what tests share: all fixtures of the session, and those of
              one module, class or package, the longest of them
    end       all have been run

and, where what they cover is measured, what measuring.py says.
"""

import time
import traceback

import pytest

from . import collection, outcome


LEAST_SHARED = 0.001  # seconds that are worth a word


class Running(collection.Collection):
    def __init__(self, cases, channel, root, measure):
        super().__init__(root)
        self._cases = cases
        self._channel = channel
        self._measure = measure
        self._current = None
        self._told_warnings = set()
        self._setting_up, self._of_session, self._of_nodes = 0, {}, {}
        self._ended = self._collected = self._failed = False

    # ---- Collection

    def _items(self, session):
        """(position, item) of all cases that are there, in the order of the batch; of the others the agent is told."""
        by_id = {item.nodeid: item for item in session.items}
        found = []
        for position, case in enumerate(self._cases):
            if case in by_id:
                found.append((position, by_id[case]))
            elif case in self.uncollected or case.partition("::")[0] in self.uncollected:
                self._tell_uncollected(position, case)
            else:
                self._channel.send("unknown", str(position))
        return found

    def _tell_uncollected(self, position, case):
        report = self.uncollected.get(case) or self.uncollected[case.partition("::")[0]]
        result = outcome.Outcome(self._root)
        if report.skipped:
            result.skip(outcome.skip_of(report, self._root))
        else:
            lines = [line for line in report.longreprtext.splitlines() if line.strip()]
            result.fail("error in collection: " + (lines[-1] if lines else ""), report.longreprtext)
        self._channel.send("began", str(position))
        self._finish(position, result)

    # ---- The loop

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        with self._measure.told(self._channel):
            self._run_all(session)
        self._ended = True
        self._collected = bool(session.items)
        return True

    def _run_all(self, session):
        items = self._items(session)
        for (position, item), (_, following) in zip(items, items[1:] + [(None, None)]):
            self._run(position, item, following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)

    def _run(self, position, item, following):
        self._current = outcome.Outcome(self._root)
        self._channel.send("began", str(position))
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except pytest.exit.Exception as leaving:
            self._current.fail(f"pytest.exit: {leaving.msg}")
            raise
        except BaseException as error:
            self._current.fail(f"{type(error).__name__}: {error}".rstrip(": "), traceback.format_exc())
            raise
        finally:
            result, self._current = self._current, None
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

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            yield
            return
        began = time.perf_counter()
        self._setting_up += 1
        yield
        self._setting_up -= 1
        if self._setting_up > 0:
            return
        seconds = time.perf_counter() - began
        if fixturedef.scope == "session":  # with several parameters it counts once
            key = (fixturedef.baseid, fixturedef.argname)
            self._of_session[key] = max(self._of_session.get(key, 0.0), seconds)
        else:
            key = request.node.nodeid
            self._of_nodes[key] = self._of_nodes.get(key, 0.0) + seconds

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
            return status or 70
        failed = self._failed or self.any_failed
        status = collection.unexplained(status, failed=failed, collected=self._collected)
        if status == 0:
            shared = sum(self._of_session.values()) + max(self._of_nodes.values(), default=0.0)
            if shared > LEAST_SHARED:
                self._channel.send("shared", f"{shared:.6f}")
            self._channel.send("end")
        return status
