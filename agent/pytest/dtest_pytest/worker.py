"""Configures a process as a worker of pytest-xdist sees itself, with pytest-xdist installed or not."""

import importlib.util
import os
import sys
import traceback
import zlib

import pytest

from . import fixtures, locks, neighbours, node, reporter, watching


def shared_directory():
    """Of all processes of this agent, for what they share and for their caches; outlives each of them."""
    package = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(os.path.dirname(os.path.dirname(package)), "pytest-shared")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def base_temporary(worker_id):
    """Beside those of the host's other workers, as under pytest-xdist: recipes put a lock into what holds them all."""
    return os.path.join(shared_directory(), "popen-" + worker_id)


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

    def pytest_addhooks(self, pluginmanager):
        if not xdist_will_load():
            pluginmanager.add_hookspecs(node.Hooks)

    def pytest_addoption(self, parser):
        if xdist_will_load():
            return
        add_options_of_xdist(parser)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config):
        self._measure.start(early_config)
        if self._profiled is not None:
            self._profiled.begin(early_config)
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_cmdline_main(self, config):
        # Before anybody is configured, and before pytest-xdist would start workers of its own.
        option = config.option
        config.dtest_dist = option.dist or "no"
        option.dist, option.numprocesses, option.maxprocesses, option.tx = "no", None, None, []
        option.looponfail = option.distload = option.usepdb = False
        option.maxfail = 0  # counted over all processes, by dtest
        neighbours.before_configure(config, self._own)
        dict.update(self._input, self._own)
        config.workerinput = self._input
        config.workeroutput = {}
        option.basetemp = base_temporary(self._own["workerid"])
        reporter.silence()  # the coordinator reports
        if not config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(fixtures, "dtest-worker-fixtures")
            config.addinivalue_line("markers", "xdist_group(name): tests that are to run in one worker, one after another")
        config.addinivalue_line("markers", locks.MARK)
        self._node = node.Node(config, self._own)
        yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        if not self._forks:
            self._fill()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self, exitstatus):
        yield
        self._node.workeroutput["exitstatus"] = int(exitstatus)
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

    def end(self):
        """Of a process that was to fork, and does not."""
        try:
            self._node.down(controlled=False)
        except Exception:  # a plugin's: it expects a session that was run to its end
            traceback.print_exc()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo):
        # The terminal reporter would say it.
        sys.__stderr__.write(f"{excinfo.typename}: {excinfo.value}\n")
        sys.__stderr__.flush()


def xdist_will_load():
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return False
    return importlib.util.find_spec("xdist") is not None


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
