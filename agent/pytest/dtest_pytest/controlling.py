"""The controller of a run, when all its tests have been run: a pytest that is configured as pytest-xdist's controller is,
and to which everything happens that happens there, so that plugins and conftest.py write their reports.

What there is to tell stands in a directory (gathered.py). A node is one process; those of one slot have one id, one after
the other. Written is, into `result` of that directory, JSON: {"wanted": whether anything wants reports, "error", "fails": whether
that is more than a warning, "warnings", "files": paths of reports}.
What the project prints is printed; what pytest's terminal reporter would say of tests is not, since dtest has said it.
"""

import os
import re
import sys
import traceback
import warnings

import pytest
from _pytest.config import ExitCode

from . import gathered, locks, measuring, names, neighbours, network, node, process, stacks, values, wanting, worker

NOT_TERMINATED = "Not properly terminated"
OF_WORKERS = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST", "COV_CORE_SOURCE")


def main(asked):
    """Its exit status: 0, whatever it came to, if that is written."""
    for name in OF_WORKERS:
        os.environ.pop(name, None)
    sys.dont_write_bytecode = True
    stacks.show_when_stopped()
    told = gathered.Gathered(asked.control)
    shared = os.path.join(asked.control, "pytest")
    os.makedirs(shared, mode=0o700, exist_ok=True)
    root = os.path.abspath(asked.root)
    sys.argv = ["pytest", *asked.arg, *asked.path]
    controller = Controller(told, asked, root, shared)
    ending = Ending(controller)
    status, error = None, ""
    arguments = process.arguments_of(asked, root, names.Names(asked.there, asked.here), os.path.join(shared, "cache"))
    try:
        status = int(pytest.main(arguments, plugins=[controller, ending]))
    except BaseException as raised:  # of a plugin, as it writes its report
        traceback.print_exc()
        error = f"{type(raised).__name__}: {raised}"
    result = {"wanted": controller.wanted, "fails": bool(error) or controller.fails,
              "error": error or controller.error(status), "warnings": controller.warnings(), "files": controller.files()}
    with open(os.path.join(asked.control, "result"), "wb") as file:
        file.write(values.Plain().encode(result))  # which has nothing that JSON does not have
    return 0


class Node(node.Node):
    """As pytest-xdist's WorkerController: of one process."""

    def __init__(self, config, manager, told):
        input_, info = told.node["input"], told.node["info"]
        self.config = config
        self.nodemanager = manager
        self.gateway = node.Gateway(told.node["id"], info)
        self.gateway.node = self
        self.workerinput = {name: input_[name] for name in ("workerid", "workercount", "testrunuid") if name in input_}
        self.workerinput["mainargv"] = list(sys.argv)
        self.shutting_down = False
        # Directories of the host and what they are here.
        self._places = [(theirs, ours) for theirs, ours in ((told.node["root"], str(config.rootpath)), (info["cwd"], os.getcwd()))
                        if theirs != ours]
        self._told = told
        self._down = False

    def __repr__(self):
        return f"<WorkerController {self.gateway.id}>"

    def shutdown(self):
        self.shutting_down = True

    def here(self, value):
        """What the process told, with paths as they are here."""
        return moved(value, self._places) if self._places else value


class Nobody(node.Node):
    """Where a test ran of which no process has told."""

    def __init__(self, config, manager):
        self.config, self.nodemanager = config, manager
        self.gateway = node.Gateway("unknown")
        self.workerinput = {"workerid": "unknown", "workercount": len(manager.specs), "testrunuid": manager.testrunuid}


class Sched:
    """In place of pytest-xdist's scheduler: everything has been run."""

    def __init__(self, config):
        self.config = config
        self.nodes = []
        self.asked_again = []

    def mark_test_pending(self, item):
        self.asked_again.append(item)


class Controller:
    def __init__(self, told, asked, root, shared):
        self._told, self._asked, self._root, self._shared = told, asked, root, shared
        self._before = {}  # paths of reports: what stood there
        self._asked_reports = []
        self._measure = measuring.Measuring(False, root, shared, off=True)
        self._current = {}  # by id of the worker: its node
        self._first = []
        self._collect_reports = set()  # that were told
        self._collect_warnings = set()
        self._unserialised = set()
        self.wanted = True
        self.config = self.sched = self.nodemanager = self._nobody = None
        self.error_of_session = ""
        self._ended_as_asked = False
        self._too_late = []

    # ---- Its configuration

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config):
        options = early_config.known_args_namespace  # pytest-cov and others look there
        options.numprocesses, options.dist = self.workers, self._mode(options)
        self._measure.start(early_config)
        yield
        worker.stand_in_for_xdist(early_config)

    @property
    def workers(self):
        return max(1, len({each.node["id"] for each in self._told.processes}))

    @staticmethod
    def _mode(options):
        mode = getattr(options, "dist", "no") or "no"
        return "load" if mode == "no" else mode

    @pytest.hookimpl(hookwrapper=True)
    def pytest_cmdline_main(self, config):
        self.config = config
        option = config.option
        option.numprocesses, option.dist, option.maxprocesses, option.tx = self.workers, self._mode(option), None, []
        option.looponfail = option.distload = option.usepdb = option.collectonly = False
        option.maxfail = 0
        option.durations = None  # dtest's
        option.basetemp = os.path.join(self._shared, "temporary")
        neighbours.before_configure(config, {})
        self._too_late = wanting.too_late(config)
        yield

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config):
        config.pluginmanager.register(self.session_plugin(), "dsession")
        if not worker.has_xdist(config):
            config.addinivalue_line("markers", "xdist_group(name): tests that are to run in one worker, one after another")
        config.addinivalue_line("markers", locks.MARK)
        config.addinivalue_line("markers", network.MARK)
        self._asked_reports = [(option, os.path.abspath(os.path.expanduser(os.path.expandvars(path))) if path else "")
                               for option, path in wanting.reports_of(config)]
        self._before = {path: wanting.state_of(path) for _, path in self._asked_reports if path}

    def session_plugin(self):
        self.sched = Sched(self.config)
        uid = next((each.node["input"].get("testrunuid") for each in self._told.processes), "")
        specs = [node.spec_of(f"gw{number}") for number in range(self.workers)]
        self.nodemanager = node.Fields(config=self.config, roots=[], specs=specs, testrunuid=uid)
        self._nobody = Nobody(self.config, self.nodemanager)
        return node.Fields(config=self.config, sched=self.sched, nodemanager=self.nodemanager)

    # ---- Its session

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session):
        """The nodes come up behind what others do, as those of pytest-xdist."""
        self.config.option.tx = ["popen"] * self.workers  # not before pytest-xdist was configured: it would start them
        silence(self.config.pluginmanager.getplugin("terminalreporter"))
        yield
        self.config.hook.pytest_xdist_setupnodes(config=self.config, specs=self.nodemanager.specs)
        begun = set()
        for each in self._told.processes:
            if each.node["id"] not in begun:
                begun.add(each.node["id"])
                self._first.append((each, self._set_up(each)))

    def pytest_collection(self):
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self._ids = self._told.selected
        self._indices = {gathered.key_of(name): index for index, name in enumerate(self._ids)}
        session.testscollected = len(self._ids)
        first = {id(each): one for each, one in self._first}
        for one in first.values():
            self.config.hook.pytest_testnodeready(node=one)
        for one in first.values():
            self.config.hook.pytest_xdist_node_collection_finished(node=one, ids=list(self._ids))
        for each in self._told.processes:
            self._replay(each, first.get(id(each)) or self._begin(each))
        for verdict in self._told.untold():
            self._tell_verdict(verdict, None)
        for why in self._told.unlisted:
            self.config.hook.pytest_collectreport(report=pytest.CollectReport("", "failed", why, []))
        for one in list(self._current.values()):
            self._down(one)
        self._ended_as_asked = True
        if self._asked.interrupted:
            raise session.Interrupted(self._asked.interrupted)
        return True

    def _set_up(self, told):
        one = Node(self.config, self.nodemanager, told)
        self.config.hook.pytest_xdist_newgateway(gateway=one.gateway)
        manager = self.config.pluginmanager
        kept = [plugin for plugin in manager.get_plugins() if wanting.of_own_controller(plugin)]
        manager.subset_hook_caller("pytest_configure_node", remove_plugins=kept)(node=one)
        one.workerinput.update(told.node["input"])  # what the process had, as its hooks made it
        one.workerinfo = {**told.node["info"], "id": one.gateway.id, "spec": one.gateway.spec}
        self._current[one.gateway.id] = one
        self.sched.nodes.append(one)
        return one

    def _begin(self, told):
        """A process that follows another of the same slot."""
        before = self._current.get(told.node["id"])
        if before is not None:
            self._down(before)
        one = self._set_up(told)
        self.config.hook.pytest_testnodeready(node=one)
        self.config.hook.pytest_xdist_node_collection_finished(node=one, ids=list(self._ids))
        return one

    def _down(self, one, error=None):
        if one._down:
            return
        one._down = True
        self.sched.nodes.remove(one)
        del self._current[one.gateway.id]
        if one._told.down is None:
            error = NOT_TERMINATED
        else:
            one.workeroutput = one._told.down
        manager = self.config.pluginmanager
        kept = [plugin for plugin in manager.get_plugins() if wanting.of_own_controller(plugin)]
        manager.subset_hook_caller("pytest_testnodedown", remove_plugins=kept)(node=one, error=error)

    # ---- What a process told

    def _replay(self, told, one):
        runs = iter(told.runs)
        run = None
        held = None  # the reports of a run whose outcome is another than they say
        for event, said in self._told.events(told):
            if event == "warning":
                self._tell_warning(one.here(said))
            elif event in ("start", "collect"):
                self._finish_run(run, held, one)
                run = next(runs)
                held = self._held(run)
                if run.verdict is not None and event == "start":
                    self.config.hook.pytest_runtest_logstart(nodeid=said["id"], location=said["at"])
                elif run.verdict is not None:
                    self._tell_collect(one.here(said["data"]))
            elif run is None or run.verdict is None:
                continue
            elif event == "report" or (event == "lost" and said.get("instead")):
                data = said["data"] if event == "report" else said["instead"]
                if held is not None:
                    held.append(data)
                else:
                    self._tell_report(data, one)
            elif event == "finish":
                self._finish_run(run, held, one)
                self.config.hook.pytest_runtest_logfinish(nodeid=said["id"], location=said["at"])
                run = None
        self._finish_run(run, held, one)

    @staticmethod
    def _held(run):
        """Whether what it came to is another than its reports say, and can be said by one of them."""
        verdict = run.verdict
        return [] if verdict is not None and verdict["outcome"] in gathered.FAILURES and run.state == "passed" else None

    def _finish_run(self, run, held, one):
        if run is None or run.verdict is None:
            return
        for data in changed(held, run.verdict) if held else ():
            self._tell_report(data, one)
        if run.state == "cut" and run.verdict["outcome"] in gathered.FAILURES:
            if run.verdict["outcome"] in gathered.CRASHED:
                self._down(one, NOT_TERMINATED)
            self._tell_verdict(run.verdict, one)

    def _tell_report(self, data, one):
        identity = one.gateway.id, one.workerinput.get("testrunuid", "")
        data = {**one.here(data), "worker_id": identity[0], "testrun_uid": identity[1]}
        index = self._indices.get(gathered.key_of(data["nodeid"]))
        if index is not None:
            data["item_index"] = index
        report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        if report is None:
            self._unserialised.add(str(data.get("$report_type", "of an unknown type")))
            return
        report.node = one
        self.config.hook.pytest_runtest_logreport(report=report)

    def _tell_collect(self, data):
        """The same of several processes is told once."""
        report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        key = report.nodeid, str(report.longrepr)
        if key not in self._collect_reports:
            self._collect_reports.add(key)
            self.config.hook.pytest_collectreport(report=report)

    def _tell_warning(self, said):
        if said["when"] != "runtest":  # each process tells what was warned of before it was forked
            key = str((said["warning"], said["when"], said["id"], said["at"]))
            if key in self._collect_warnings:
                return
            self._collect_warnings.add(key)
        self.config.hook.pytest_warning_recorded.call_historic(kwargs={
            "warning_message": warning_of(said["warning"]), "when": said["when"], "nodeid": said["id"], "location": said["at"]})

    # ---- What only dtest knows

    def _tell_verdict(self, verdict, one):
        """Of a case of which pytest has not told what became of it; `one`: where it was, if that is known."""
        name, outcome, message = verdict["case"], verdict["outcome"], verdict["message"]
        file = verdict["file"] or name.partition("::")[0]
        location = (file, max(0, verdict["line"] - 1) if verdict["line"] else None, name.partition("::")[2] or file)
        hook = self.config.hook

        def tell(when, of_phase, longrepr=None, seconds=0.0, sections=(), **more):
            report = pytest.TestReport(name, location, {}, of_phase, longrepr, when, sections, seconds, **more)
            report.node = one or self._nobody
            return report

        if outcome in gathered.FAILURES:
            sections = [("dtest", verdict["output"])] if verdict["output"] else []
            report = tell("???", "failed", failure_of(verdict, one), verdict["seconds"], sections)
            if outcome in gathered.CRASHED:
                hook.pytest_handlecrashitem(crashitem=name, report=report, sched=self.sched)
            hook.pytest_runtest_logreport(report=report)
            return
        hook.pytest_runtest_logstart(nodeid=name, location=location)
        if outcome == "skipped" and message.startswith("xfail"):
            reports = [tell("setup", "passed", None, verdict["setup"]),
                       tell("call", "skipped", message, in_call(verdict), wasxfail=message.partition(": ")[2])]
        elif outcome == "skipped":
            reports = [tell("setup", "skipped", (file, verdict["line"], f"Skipped: {message}"), verdict["setup"])]
        else:
            reports = [tell("setup", "passed", None, verdict["setup"]), tell("call", "passed", None, in_call(verdict))]
        for report in [*reports, tell("teardown", "passed", None, verdict["teardown"])]:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=name, location=location)

    # ---- What it came to

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self):
        """What is written to the screen from here on is the project's, and shown."""
        writer = writer_of(self.config.pluginmanager.getplugin("terminalreporter"))
        if writer is not None:
            writer._file = sys.stdout
        yield

    def pytest_internalerror(self, excrepr):
        self.error_of_session = f"an internal error of pytest, in a plugin or conftest.py: {last_line(str(excrepr))}"
        sys.stderr.write(f"{excrepr}\n")
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo):
        if not self._ended_as_asked:
            self.error_of_session = f"{excinfo.typename}: {excinfo.value}"

    @property
    def fails(self):
        """What went wrong is of a report that was asked for, or of what the project does itself."""
        return bool(self._asked_reports or self.error_of_session)

    def files(self):
        return [path for _, path in self._asked_reports if path]

    def error(self, status):
        """Empty: all went well."""
        if not self.wanted:
            return ""
        if self.error_of_session:
            return self.error_of_session
        if not self._ended_as_asked:
            return f"pytest ended with status {status} before it reported"
        missing = [f"{option} ({path})" for option, path in wanting.missing(self._asked_reports, self._before)]
        if missing:
            return f"not written: {', '.join(missing)}"
        return self._lost() if self._asked_reports else ""

    def _lost(self):
        """Of cases whose verdict is all that came; empty: there is none."""
        lost = [verdict["case"] for verdict in self._told.untold() if verdict["outcome"] not in gathered.FAILURES]
        return f"what pytest told of {named(lost)} is lost, with a host or a process: reported is dtest's verdict alone" if lost else ""

    def warnings(self):
        told = [f"of pytest's reports: {note}" for note in list(self._told.notes)]
        if self._too_late:
            told.append(f"{', '.join(self._too_late)} looks whether it is in a worker: what it does for all tests in the controller "
                        "of pytest-xdist, before them, is done here when they have been run ([setup.host] is before them)")
        told += [f"of pytest's reports: no plugin here makes one of what it is told of a {kind}" for kind in sorted(self._unserialised)]
        lost = self._lost()
        if lost and not self._asked_reports:
            told.append(f"of pytest's reports: {lost}")
        if self.sched is not None and self.sched.asked_again:
            told.append(f"pytest_handlecrashitem has asked to run {named(self.sched.asked_again)} again: "
                        "by then dtest has run all; --retries does")
        return told


class Ending:
    """What is to happen after pytest-xdist's part in a hook."""

    def __init__(self, controller):
        self._controller = controller

    def pytest_cmdline_main(self, config):
        config.option.tx = []  # or pytest-xdist would start workers
        if self._controller._asked.reports != "yes" and not wanting.reasons(config) and not self._controller._told.processes:
            self._controller.wanted = False
            return ExitCode.OK
        return None


def writer_of(reporter):
    """None where there is no terminal, or one that writes in its own way."""
    writer = getattr(reporter, "_tw", None)
    return writer if hasattr(writer, "_file") else None


def silence(reporter):
    """The terminal reporter knows all, and says nothing."""
    writer = writer_of(reporter)
    if writer is not None:
        writer._file = open(os.devnull, "w", encoding="utf-8")
    for name in dir(reporter):
        if name.startswith("summary_") or name in ("short_test_summary", "_report_keyboardinterrupt"):
            setattr(reporter, name, lambda *_, **__: None)


def changed(reports, verdict):
    """Reports of a case that passed, and failed after all: the last of the test itself says so."""
    at = max((number for number, data in enumerate(reports) if data.get("when") == "call"), default=len(reports) - 1)
    data = {name: value for name, value in reports[at].items() if name != "wasxfail"}
    return [*reports[:at], {**data, "outcome": "failed", "longrepr": failure_of(verdict, None)}, *reports[at + 1 :]]


def moved(value, places):
    """With the paths that stand in a text, and in texts of lists and dictionaries."""
    if isinstance(value, str):
        for theirs, ours in places:
            if theirs in value:
                value = re.sub(rf"(?<![\w.~/-]){re.escape(theirs)}(?![\w.-])", lambda _: ours, value)
        return value
    if isinstance(value, dict):
        return {key: moved(each, places) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(moved(each, places) for each in value)
    return value


def failure_of(verdict, one):
    if verdict["outcome"] == "failed":
        return verdict["message"] or "failed"
    who = f"worker {one.gateway.id!r}" if one is not None else "worker"
    what = {"crashed": f"{who} crashed while running {verdict['case']!r}",
            "timed out": f"{who} was stopped while running {verdict['case']!r}",
            "infra error": f"{verdict['case']!r} could not be run"}[verdict["outcome"]]
    return f"{what}: {verdict['message']}" if verdict["message"] else what


def in_call(verdict):
    return max(0.0, verdict["seconds"] - verdict["setup"] - verdict["teardown"])


def warning_of(told):
    """As it was recorded, or, where its class is not here, a UserWarning that says the same."""
    message, category = None, UserWarning
    try:
        if told["of"] is not None:
            message = class_of(*told["of"])(*told["args"])
        if told["category"] is not None:
            category = class_of(*told["category"])
    except Exception:  # of a class of the project
        category = UserWarning
    if message is None or str(message) != told["text"]:
        message = category(told["text"]) if category is UserWarning else told["text"]
    return warnings.WarningMessage(message=message, category=category, filename=told["filename"], lineno=told["lineno"],
                                   line=told["line"])


def class_of(module, name):
    __import__(module)
    return getattr(sys.modules[module], name)


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def named(cases):
    text = ", ".join(cases[:3])
    return text if len(cases) <= 3 else f"{text} and {len(cases) - 3} more"
