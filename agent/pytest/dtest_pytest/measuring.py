"""Measures what tests cover, with the project's coverage.py, as pytest-cov would in one process.

Measured is what `--coverage` of dtest asks for, or the project's own `--cov` of pytest-cov, whose engine stays off: it
would write files, and combine what it knows nothing of. Each process that ran tests tells all that it saw, what was
imported before it was forked included: coordinator/coverage/combine.py makes one of it all.

    measuring  that coverage of this process follows
    coverage   how it was measured (JSON), data: CoverageData.dumps; empty: the JSON says why there is none
"""

import contextlib
import glob
import json
import os
import shutil
import socket
import sys

import pytest

MOST_BYTES = (32 << 20) - (64 << 10)  # kMostGatheredBytes in include/dtest/messages.h, less what is said of the data
OLDEST = (5, 0)
OWN = "own"  # name of the file of what a process itself has
CONFIGURATIONS = (".coveragerc", ".coveragerc.toml", "setup.cfg", "tox.ini", "pyproject.toml")


def why_not():
    """Why this interpreter cannot measure; empty: it can."""
    version = ".".join(map(str, sys.version_info[:3]))
    host = os.environ.get("DTEST_HOST") or socket.gethostname()
    try:
        import coverage
    except ImportError as error:
        return f"host {host}: {sys.executable} (Python {version}) cannot import coverage, which --coverage needs: {error}"
    if coverage.version_info < OLDEST:
        return f"host {host}: {sys.executable} has coverage.py {coverage.__version__}, and --coverage needs 5.0"
    return ""


class Measuring:
    """A plugin of pytest, with the name and what is public of pytest-cov's."""

    def __init__(self, everything, root, shared, off):
        self._everything = everything  # --coverage of dtest
        self._off = off  # nothing is measured
        self._root = root
        self._files = os.path.join(shared, "coverage")  # of all processes of this agent
        self._start_directory = os.getcwd()
        self._rcfile = os.environ.get("COVERAGE_RCFILE", "")  # before coverage.py sets it for multiprocessing
        self._of_subprocesses = []  # directories
        self._before_fork = b""  # what coverage.py had put away until then: it does not survive a fork
        self._project = None  # options of pytest-cov, where the project has asked for it
        self._in_root = False  # the configuration is the root's, and what is relative is so to the root
        self.cov = None
        self.cov_controller = self  # as the fixture `cov` of pytest-cov looks for it

    # ---- Its life

    def start(self, early_config):
        """Before the first conftest is imported."""
        options = early_config.known_args_namespace
        sources = getattr(options, "cov_source", None)
        if sources and not getattr(options, "no_cov", False):
            self._project = project_options(options)
        options.cov_source = []  # or pytest-cov would measure
        options.no_cov = True
        if self._off or (not self._everything and self._project is None):
            return
        try:
            self._start()
        except Exception as error:  # of its configuration, most often
            raise pytest.UsageError(f"coverage.py: {error}") from error
        early_config.pluginmanager.register(self, "_cov")

    def _start(self):
        import coverage

        startup = getattr(coverage.process_startup, "coverage", None)
        if startup is not None:  # COVERAGE_PROCESS_START is for what tests start
            startup.stop()
            startup._auto_save = False
        os.makedirs(self._files, mode=0o700, exist_ok=True)
        with self._configured(coverage) as self.cov:
            self._without_ours()
            self._with_a_core_for_contexts()
            self.cov._warn_no_data = self.cov._warn_unimported_source = self.cov._warn_preimported_source = False
            self.cov.start()
        self._tell_subprocesses()

    def collected(self):
        """In a process that forks workers from now on."""
        # Without a change of context all is still in memory, and workers inherit it.
        if self.cov is not None and getattr(self.cov, "_data", True):
            self._before_fork = self.cov.get_data().dumps()

    def begin(self):
        """In a worker that was forked from the process that has started it."""
        if self.cov is None:
            return
        import coverage

        current = coverage.Coverage.current() if hasattr(coverage.Coverage, "current") else self.cov
        if current is not self.cov:  # patch = fork: it has begun another
            if current is not None:
                current._auto_save = False
                current.stop()
            self.cov.start()
        self._tell_subprocesses()

    @contextlib.contextmanager
    def told(self, channel):
        """Around the tests of a process."""
        if self.cov is None:
            yield
            return
        channel.send("measuring")
        self._tell_subprocesses()  # conftest.py may have asked for it since
        try:
            yield
        finally:
            self.cov.stop()
            try:
                told, data = self._measured()
            except Exception as error:  # of coverage.py, a full disk
                told, data = {"lost": f"coverage.py failed: {type(error).__name__}: {error}"}, b""
            if len(data) > MOST_BYTES:
                told, data = {"lost": f"one process has more than {MOST_BYTES >> 20} MiB of it"}, b""
            channel.send("coverage", json.dumps(told), data)

    # ---- How

    @contextlib.contextmanager
    def _configured(self, coverage):
        """What coverage.py takes for relative to the directory it is configured in."""
        options = {"data_file": os.path.join(self._files, OWN), "data_suffix": True}
        if self._project is not None:
            options.update(source=self._project["source"], branch=self._project["branch"],
                           config_file=self._project["config"])
            yield coverage.Coverage(**options)
            return
        found = "COVERAGE_RCFILE" in os.environ or has_configuration(os.getcwd())
        configuration = "" if found else has_configuration(self._root)
        if not configuration:
            yield coverage.Coverage(**options)
            return
        self._in_root = True
        os.chdir(self._root)
        try:
            yield coverage.Coverage(config_file=configuration, **options)
        finally:
            os.chdir(self._start_directory)

    def _without_ours(self):
        package = os.path.dirname(os.path.abspath(__file__))
        ours = os.path.join(glob.escape(os.path.realpath(os.path.dirname(package))), "*")
        self.cov.set_option("run:omit", [*(self.cov.get_option("run:omit") or ()), ours])

    def _with_a_core_for_contexts(self):
        """sys.monitoring tells each line once: of the first test that runs it."""
        if self._context() != "test":
            return  # those of the configuration are coverage.py's to think of
        try:
            self.cov.set_option("run:core", "ctrace")
        except Exception:  # an older one: it takes its own but for a variable
            if os.environ.get("COVERAGE_CORE") == "sysmon":
                del os.environ["COVERAGE_CORE"]

    def _context(self):
        return self._project["context"] if self._project is not None else None

    # ---- Processes that tests start, where coverage.py or pytest-cov has been asked to measure them

    def _tell_subprocesses(self):
        """They write into a directory of this process, in place of the project."""
        config = self.cov.config
        patches = getattr(config, "patch", None) or ()
        by_variable = "multiprocessing" in (config.concurrency or ()) or "COVERAGE_PROCESS_START" in os.environ
        embedded = self._project is not None and has_embedding()
        if not patches and not embedded and not by_variable:
            return
        directory = self._own_directory()
        if directory not in self._of_subprocesses:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._of_subprocesses.append(directory)
        file = os.path.join(directory, ".coverage")
        config.data_file = file  # for patches; what this process has is in a file of another name
        data = getattr(self.cov, "_data", None)
        if hasattr(data, "_basename"):  # patch = _exit: a child saves what it has inherited, in a file beside
            data._basename = os.path.join(directory, OWN)
        if by_variable or "COVERAGE_FILE" in os.environ:
            os.environ["COVERAGE_FILE"] = file
        if "subprocess" in patches:
            os.environ["COVERAGE_PROCESS_CONFIG"] = config.serialize()
        if embedded:
            sources, configuration = self._project["source"], os.path.abspath(self._project["config"])
            os.environ["COV_CORE_SOURCE"] = os.pathsep if sources is None else os.pathsep.join(sources)
            os.environ["COV_CORE_CONFIG"] = configuration if os.path.exists(configuration) else os.pathsep
            os.environ["COV_CORE_DATAFILE"] = file
            if self._project["branch"]:
                os.environ["COV_CORE_BRANCH"] = "enabled"

    def _own_directory(self):
        return os.path.join(self._files, str(os.getpid()))

    def _add_subprocesses(self, data):
        """Returns what could not be added."""
        import coverage

        problems = []
        for directory in self._of_subprocesses:
            for name in (".coverage", OWN):
                for path in sorted(glob.glob(os.path.join(glob.escape(directory), f"{name}*"))):
                    if path == data.data_filename() or path.endswith("-journal"):
                        continue
                    try:
                        part = coverage.CoverageData(basename=path)
                        part.read()
                        data.update(part)
                    except Exception as error:
                        problems.append(f"of a process that a test started: {error}")
        return problems

    # ---- What it tells

    def _measured(self):
        import coverage

        data = self.cov.get_data()
        if self._before_fork:
            before = coverage.CoverageData(no_disk=True)
            before.loads(self._before_fork)
            data.update(before)
        told = {
            "host": os.environ.get("DTEST_HOST", ""),
            "root": os.path.realpath(self._root),
            "directory": os.path.realpath(self._start_directory),
            "in_root": self._in_root,
            "python": ".".join(map(str, sys.version_info[:3])),
            "coverage": coverage.__version__,
            "project": self._project,
            "required": self._required(),
            "sources": [(source, os.path.realpath(source), os.path.exists(source)) for source in self._absolute_sources()],
            "rcfile": self._rcfile,
            "problems": self._add_subprocesses(data),
        }
        dumped = data.dumps()
        data.erase()
        shutil.rmtree(self._own_directory(), ignore_errors=True)
        return told, dumped

    def _absolute_sources(self):
        config = self.cov.config
        return [source for source in (*(config.source or ()), *(getattr(config, "source_dirs", None) or ()))
                if os.path.isabs(source)]

    def _required(self):
        required = self._project["fail_under"] if self._project is not None else None
        if required is None:
            required = self.cov.get_option("report:fail_under") or 0
        precision = self._project["precision"] if self._project is not None else None
        if precision is None:
            precision = self.cov.get_option("report:precision") or 0
        return {"required": required, "precision": precision, "exact": bool(self._project and self._project["exact"])}

    # ---- What pytest-cov does around tests

    def pytest_sessionstart(self, session):
        if self._context() == "test":
            session.config.pluginmanager.register(Contexts(self.cov), "_cov_contexts")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        paused = item.get_closest_marker("no_cover") or "no_cover" in getattr(item, "fixturenames", ())
        if paused:
            self.pause()
        yield
        if paused:
            self.resume()

    def pause(self):
        self.cov.stop()

    def resume(self):
        self.cov.start()


class Contexts:
    """As --cov-context=test names them."""

    def __init__(self, cov):
        self._cov = cov

    def _switch(self, item, part):
        context = f"{item.nodeid}|{part}"
        self._cov.switch_context(context)
        os.environ["COV_CORE_CONTEXT"] = context

    def pytest_runtest_setup(self, item):
        self._switch(item, "setup")

    def pytest_runtest_call(self, item):
        self._switch(item, "run")

    def pytest_runtest_teardown(self, item):
        self._switch(item, "teardown")


def project_options(options):
    """What pytest-cov was asked for, as it reads it; plain data."""
    sources, report = options.cov_source, options.cov_report
    if not report:
        report = {"term": None}
    elif len(report) == 1 and "" in report:
        report = {}
    return {
        "source": None if True in sources else sources,
        "branch": options.cov_branch,
        "config": options.cov_config,
        "context": getattr(options, "cov_context", None),
        "report": report,
        "fail_under": options.cov_fail_under,
        "precision": getattr(options, "cov_precision", None),
        "exact": not hasattr(options, "cov_precision"),  # before 6 it compares what is not rounded
        "append": options.cov_append,
        "no_cov_on_fail": options.no_cov_on_fail,
    }


def has_embedding():
    """Whether pytest-cov, before 7, has subprocesses measured."""
    pytest_cov = sys.modules.get("pytest_cov")
    if pytest_cov is None:
        return False
    return os.path.exists(os.path.join(os.path.dirname(pytest_cov.__file__), "embed.py"))


def has_configuration(directory):
    """The path of coverage.py's configuration there, as coverage.py looks for it; empty: there is none."""
    for name in CONFIGURATIONS:
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        section = "[tool.coverage" if name == "pyproject.toml" else "[coverage:"
        if name.startswith(".coveragerc") or section in text:
            return path
    return ""
