"""Configures a process as a worker of pytest-xdist sees itself, with pytest-xdist installed or not."""

import os
import sys
import zlib

import pytest

from . import fixtures, locks, neighbours, network, node, reporter, shared, watching


def base_temporary(worker_id):
    """Beside those of the host's other workers, as under pytest-xdist: recipes put a lock into what holds them all."""
    return os.path.join(shared.directory(), "popen-" + worker_id)


def worker_input():
    """What pytest-xdist tells a worker, and what plugins would have added to it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    return {
        "workerid": os.environ.get("PYTEST_XDIST_WORKER", "gw0"),
        "workercount": int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
        "testrunuid": run,
        "mainargv": list(sys.argv),
        "randomly_seed": zlib.crc32(run.encode()),
    }


class Worker:
    def __init__(self, forks, measure, reports, profiled=None):
        self._measure = measure
        self._reports = reports
        self._profiled = profiled  # a plugin
        self._forks = forks  # workers, and asks plugins of its own only for what is read
        self._own = worker_input()
        self._input = watching.WorkerInput(self._own, self._fill)
        self._node = None

    def _fill(self):
        return self._node.configure()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config):
        self._measure.start(early_config)
        if self._profiled is not None:
            self._profiled.begin(early_config)
        yield
        stand_in_for_xdist(early_config)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_cmdline_main(self, config):
        # Before anybody is configured, and before pytest-xdist would start workers of its own.
        option = config.option
        config.dtest_dist = option.dist or "no"
        option.dist, option.numprocesses, option.maxprocesses, option.tx = "no", None, None, []
        option.looponfail = option.distload = option.usepdb = False
        option.maxfail = 0  # counted over all processes, by dtest
        option.stepwise = option.stepwise_skip = option.stepwise_reset = False  # and each test is a case of its own, whatever became of others
        neighbours.before_configure(config, self._own)
        option.basetemp = base_temporary(self._own["workerid"])
        reporter.silence()  # the coordinator reports
        controller = None
        if neighbours.of_own_controller():
            from . import own_controller  # others need not import it

            controller = own_controller.OwnController(config, self._own, option.basetemp)
        dict.update(self._input, self._own)
        config.workerinput = self._input
        config.workeroutput = {}
        if not has_xdist(config):
            config.pluginmanager.register(fixtures, "dtest-worker-fixtures")
            config.addinivalue_line("markers", "xdist_group(name): tests that are to run in one worker, one after another")
        config.addinivalue_line("markers", locks.MARK)
        config.addinivalue_line("markers", network.MARK)
        self._node = node.Node(config, self._own, controller)
        yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        reporter.restore()
        if not self._forks:
            self._fill()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self, session, exitstatus):
        self._node.workeroutput.update(exitstatus=int(exitstatus), shouldfail=session.shouldfail, shouldstop=session.shouldstop)
        yield
        self._node.down(controlled=self._reports.told)
        self._reports.down(self._node.workeroutput)

    def begin(self, config):
        """In a worker that was forked from a process that had been configured: it is one of its own."""
        self._measure.begin()
        self._own.update(worker_input())
        self._node = node.Node(config, self._own)
        dict.clear(config.workerinput)
        dict.update(config.workerinput, self._own)
        self._fill()
        config.option.basetemp = base_temporary(self._own["workerid"])
        factory = getattr(config, "_tmp_path_factory", None)
        if factory is not None:
            config._tmp_path_factory = type(factory).from_config(config, _ispytest=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo):
        # The terminal reporter would say it.
        sys.__stderr__.write(f"{excinfo.typename}: {excinfo.value}\n")
        sys.__stderr__.flush()


def has_xdist(config):
    """By the name of its entry point, or by that of its module, as `-p xdist.plugin` and `pytest_plugins` have it."""
    return any(config.pluginmanager.hasplugin(name) for name in ("xdist", "xdist.plugin"))


def stand_in_for_xdist(config):
    """When all plugins and conftests are there that may be it: behind pytest_load_initial_conftests."""
    if not has_xdist(config):
        config.pluginmanager.add_hookspecs(node.Hooks)
        add_options_of_xdist(config._parser)


def add_options_of_xdist(parser):
    # A project's addopts may have them: they mean dtest's own slots and order.
    group = parser.getgroup("xdist", "accepted in place of pytest-xdist")
    group._addoption("-n", "--numprocesses", dest="numprocesses", default=None, help="dtest has slots")
    group.addoption("--maxprocesses", dest="maxprocesses", default=None, help="dtest has slots")
    group.addoption("--dist", dest="dist", default="no", help="which tests are to run in one worker")
    group._addoption("-d", "--distload", dest="distload", action="store_true", default=False, help="as --dist=load")
    group.addoption("--testrunuid", dest="testrunuid", default=None, help="dtest has its own")
    group.addoption("--loadscope-reorder", dest="loadscopereorder", action="store_true", default=True, help="dtest has an order of its own")
    group.addoption("--no-loadscope-reorder", dest="loadscopereorder", action="store_false", help="dtest has an order of its own")
    group.addoption("--px", dest="px", action="append", default=[], help="dtest has hosts")
    group.addoption("--maxschedchunk", dest="maxschedchunk", default=None, help="dtest has an order of its own")
    group.addoption("--max-worker-restart", dest="maxworkerrestart", default=None, help="dtest starts others")
    group.addoption("--tx", dest="tx", action="append", default=[], help="dtest has hosts")
    parser.addini("looponfailroots", "of pytest-xdist", default=None)
