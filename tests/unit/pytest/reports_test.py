"""pytest's own reports, by the plugin alone: what processes tell of a project's tests makes a controller write what
`pytest -n 2` writes.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ElementTree

import plugin_case
from plugin_case import SKIPPED, Server

HAS_XDIST = importlib.util.find_spec("xdist") is not None

TEST_A = """\
    import os, unittest, warnings
    import pytest

    def test_passes(record_property):
        record_property("colour", "red")
        record_property("size", 3)
        print("said")

    def test_fails():
        print("somebody sees this")
        assert 1 == 2, "no"

    @pytest.mark.parametrize("value", ["a", "b::c", "\\u00e9\\n"])
    def test_parameter(value):
        assert value != "a"

    @pytest.mark.skip(reason="no wings")
    def test_skipped(): pass

    @pytest.mark.xfail(reason="bug 1")
    def test_expected(): assert 0

    @pytest.mark.xfail(reason="bug 2", strict=True)
    def test_strict(): pass

    @pytest.fixture
    def breaks_before(): raise RuntimeError("no water")

    def test_setup(breaks_before): pass

    @pytest.fixture
    def breaks_after():
        yield
        raise RuntimeError("left the tap open")

    def test_everything_fails(breaks_after): assert 0

    def test_warns(): warnings.warn("careful")
    """
BROKEN = "import nothing_of_this_name\n\ndef test_lost():\n    pass\n"
ABSENT = "import pytest\npytest.importorskip('nothing_of_this_name')\n"

# What happens at a controller, one line each.
HOOKS = """\
    import pytest
    lines = []
    def note(*words): lines.append(" ".join(map(str, words)))
    def is_worker(config): return hasattr(config, "workerinput")

    class Controller:
        def pytest_sessionstart(self): note("sessionstart")
        @pytest.hookimpl(optionalhook=True)
        def pytest_xdist_setupnodes(self, config, specs): note("setupnodes", len(specs), config.option.numprocesses, config.option.tx)
        @pytest.hookimpl(optionalhook=True)
        def pytest_xdist_newgateway(self, gateway): note("newgateway", gateway.id, gateway.spec.popen, gateway._rinfo().platform)
        @pytest.hookimpl(optionalhook=True)
        def pytest_testnodeready(self, node): note("testnodeready", node.gateway.id, node.workerinfo["id"])
        @pytest.hookimpl(optionalhook=True)
        def pytest_xdist_node_collection_finished(self, node, ids): note("collected", node.gateway.id, *ids)
        @pytest.hookimpl(optionalhook=True)
        def pytest_handlecrashitem(self, crashitem, report, sched):
            note("handlecrashitem", crashitem, report.outcome, report.when, sched.config is not None)
        def pytest_runtest_logstart(self, nodeid, location): note("logstart", nodeid, location)
        def pytest_runtest_logreport(self, report):
            note("logreport", report.nodeid, report.when, report.outcome, report.node.gateway.id,
                 getattr(report, "worker_id", None), getattr(report, "testrun_uid", None), getattr(report, "item_index", None))
        def pytest_runtest_logfinish(self, nodeid, location): note("logfinish", nodeid, location)
        @pytest.hookimpl(optionalhook=True)
        def pytest_testnodedown(self, node, error):
            note("testnodedown", node.gateway.id, error, sorted(getattr(node, "workeroutput", {"none": 0}).items()))
        def pytest_sessionfinish(self, exitstatus): note("sessionfinish", int(exitstatus))
        def pytest_terminal_summary(self, terminalreporter):
            note("summary", *sorted((kind, len(of)) for kind, of in terminalreporter.stats.items() if kind))
            terminalreporter.write_line("a summary of the project's own")
        def pytest_unconfigure(self):
            with open("hooks.txt", "w") as file: file.write("\\n".join(lines))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(node):
        if not is_worker(node.config): note("configure_node", node.gateway.id, node.workerinput["workercount"])
        node.workerinput["given"] = ("by", 1)

    def pytest_configure(config):
        if not is_worker(config): config.pluginmanager.register(Controller())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(node): pass

    def pytest_sessionfinish(session):
        if is_worker(session.config): session.config.workeroutput["left"] = session.config.workerinput["given"]
    """


class ReportsCase(plugin_case.PluginCase):
    def setUp(self):
        super().setUp()
        self.told = os.path.join(self.directory, "told")
        os.mkdir(self.told)
        self.count = 0
        self.arguments = []  # for pytest

    def keep(self, records):
        """As the coordinator does; whether there was any."""
        lines = [record[1].encode() for record in records if record[0] == "reports"]
        if lines:
            with open(os.path.join(self.told, f"told-{self.count}"), "wb") as file:
                file.write(b"".join(line + b"\n" for line in lines))
            self.count += 1
        return bool(lines)

    def verdict(self, **told):
        with open(os.path.join(self.told, "verdicts"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"iteration": 1, "attempt": 1, "host": "local", "seconds": 0.25, "setup": 0, "teardown": 0,
                                   "message": "", "output": "", "file": "", "line": 0, **told}) + "\n")

    def selected(self, names):
        with open(os.path.join(self.told, "verdicts"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"selected": names}) + "\n")

    def run_and_keep(self, cases, worker="gw0", more=(), **variables):
        """In a process of its own; records."""
        status, records, self.printed = self.start(
            f"--run={self.path_of_cases(cases)}", *(f"--arg={each}" for each in self.arguments), *more,
            variables={"PYTEST_XDIST_WORKER": worker, "PYTEST_XDIST_WORKER_COUNT": "2", **variables})
        self.keep(records)
        for record in records:
            if record[0] == "finished":
                self.verdict(case=cases[int(record[1])], outcome=record[2], message=record[6],
                             attempt=int(variables.get("DTEST_ATTEMPT", "1")))
        return records

    def control(self, *more, variables=()):
        """What it came to."""
        self.assertEqual(self.status_of_control(*more, variables=variables), 0, self.printed)
        with open(os.path.join(self.told, "result"), encoding="utf-8") as file:
            return json.load(file)

    def status_of_control(self, *more, variables=()):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
        environment.update(variables)
        ran = subprocess.run([sys.executable, "-B", os.path.join(self.plugin, "start.py"), f"--root={self.project}",
                              "--ini=pytest.ini", "--path=", f"--control={self.told}",
                              *(f"--arg={each}" for each in self.arguments), *more],
                             cwd=self.project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             stdin=subprocess.DEVNULL, check=False)
        self.printed = ran.stdout
        return ran.returncode

    def pytest(self, *arguments):
        return subprocess.run([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", *self.arguments, *arguments],
                              cwd=self.project, stdout=subprocess.PIPE, text=True, check=False)

    def path(self, name):
        return os.path.join(self.project, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


def cases_of(path):
    """(class, name) -> what its element has, but for times."""
    cases = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        told = [(child.tag, child.get("message"), child.get("type"), [(each.get("name"), each.get("value")) for each in child],
                 (child.text or "").strip()) for child in case]
        cases.setdefault((case.get("classname"), case.get("name")), []).append(told)
    return cases


def totals_of(path):
    suite = ElementTree.parse(path).getroot().find("testsuite")
    return {name: suite.get(name) for name in ("name", "tests", "errors", "failures", "skipped")}


@unittest.skipUnless(HAS_XDIST, "compares with pytest-xdist, which is not here")
class BesideXdistTest(ReportsCase):
    def test_junit_is_that_of_xdist(self):
        self.write("test_a.py", TEST_A)
        self.write("test_broken.py", BROKEN)
        self.write("test_absent.py", ABSENT)
        self.arguments = ["--junitxml=out/report.xml"]
        names = [record[1] for record in self.list(paths=("",))]
        self.selected(names)
        self.run_and_keep(names[:4] + names[-2:], "gw0")
        self.run_and_keep(names[4:-2], "gw1")
        result = self.control()
        self.assertEqual((result["error"], result["warnings"]), ("", []), self.printed)
        self.assertEqual(result["files"], [os.path.join(self.project, "out", "report.xml")])
        self.assertIn("generated xml file: ", self.printed)
        self.assertNotIn("FAILURES", self.printed)
        ours = os.path.join(self.project, "out", "report.xml")
        theirs = os.path.join(self.directory, "theirs.xml")
        self.pytest("-n2", "--continue-on-collection-errors", f"--junitxml={theirs}")
        self.assertEqual(cases_of(ours), cases_of(theirs))
        self.assertEqual(totals_of(ours), totals_of(theirs))

    def hooks(self):
        return self.read("hooks.txt").splitlines()

    def test_hooks_are_called_as_xdist_calls_them(self):
        self.write("conftest.py", HOOKS)
        self.write("test_m.py", "def test_a(): pass\ndef test_b(): assert 0\n")
        names = ["test_m.py::test_a", "test_m.py::test_b"]
        self.selected(names)
        for number, name in enumerate(names):
            self.run_and_keep([name], f"gw{number}")
        result = self.control()
        self.assertEqual((result["wanted"], result["fails"], result["error"], result["files"]), (True, False, "", []), self.printed)
        self.assertEqual(self.printed.strip(), "a summary of the project's own")
        ours = self.hooks()
        os.remove(os.path.join(self.project, "hooks.txt"))
        self.pytest("-n2", "--dist=load", "--testrunuid=run-1")
        theirs = self.hooks()
        if not any("shouldfail" in line for line in theirs):  # pytest-xdist before 3.6
            ours = [line.replace(", ('shouldfail', False), ('shouldstop', False)", "") for line in ours]
        # Which worker runs which test, and which is faster, is no matter.
        for order in (lambda line: line.split()[0] not in ("logstart", "logreport", "logfinish"),
                      lambda line: "test_a" in line and line.startswith("log"),
                      lambda line: "test_b" in line and line.startswith("log")):
            self.assertEqual(*([self.neutral(line) for line in sorted(lines, key=self.stage) if order(line)]
                               for lines in (ours, theirs)))
        self.assertEqual([self.stage(line) for line in ours], sorted(map(self.stage, ours)))

    @staticmethod
    def neutral(line):
        return line.replace("gw0", "gw").replace("gw1", "gw")

    @staticmethod
    def stage(line):
        order = ("sessionstart", "setupnodes", "newgateway", "configure_node", "testnodeready", "collected", "log",
                 "testnodedown", "sessionfinish", "summary")
        return next(number for number, word in enumerate(order) if line.startswith(word)) if not line.startswith(
            ("newgateway", "configure_node")) else 2

    def test_a_crash_is_told_as_xdist_tells_it(self):
        self.write("conftest.py", HOOKS)
        self.write("test_m.py", "import os\ndef test_a(): os._exit(3)\n")
        self.arguments = ["--junitxml=report.xml"]
        names = ["test_m.py::test_a"]
        self.selected(names)
        self.run_and_keep(names)
        self.verdict(case=names[0], outcome="crashed", message="exited with status 3")
        self.assertEqual(self.control()["error"], "", self.printed)
        ours, our_cases, our_totals = self.hooks(), cases_of(self.path("report.xml")), totals_of(self.path("report.xml"))
        self.pytest("-n1", "--max-worker-restart=0", "--testrunuid=run-1")
        theirs, their_cases = self.hooks(), cases_of(self.path("report.xml"))
        middle = [line for line in ours if line.startswith(("log", "testnodedown", "handlecrash"))]
        self.assertEqual(middle, [line for line in theirs if line.startswith(("log", "testnodedown", "handlecrash"))])
        self.assertIn("testnodedown gw0 Not properly terminated [('none', 0)]", middle)
        self.assertEqual(our_totals, totals_of(self.path("report.xml")))
        key = ("test_m", "test_a")
        (our_error,), (their_error,) = our_cases[key], their_cases[key]
        self.assertEqual(our_error[0][1], their_error[0][1][:-1] + ': exited with status 3"')


class ControllerTest(ReportsCase):
    """What is told and what not, and what a controller makes of it."""

    def write_hooks(self):
        """A conftest.py, and no test."""
        self.write("conftest.py", HOOKS)

    def controlled(self):
        """What happened at the controller, in lines of HOOKS. Nothing went wrong."""
        result = self.control()
        self.assertEqual((result["error"], [each for each in result["warnings"] if "looks whether it is" not in each]), ("", []),
                         self.printed)
        return self.read("hooks.txt").splitlines()

    def reported(self, lines):
        return [line.split()[1:4] for line in lines if line.startswith("logreport")]

    def test_nothing_is_told_where_nothing_wants_it(self):
        self.write("test_m.py", "def test_a(): pass\n")
        cases = ["test_m.py::test_a"]

        def told(conftest="", *arguments, more=()):
            self.write("conftest.py", conftest)
            status, records, printed = self.start(f"--run={self.path_of_cases(cases)}", *more,
                                                  *(f"--arg={each}" for each in arguments))
            self.assertEqual((status, records[-1]), (0, ["end"]), printed)
            return [json.loads(record[1])["e"] for record in records if record[0] == "reports"]

        one = ["node", "start", "report", "report", "report", "finish", "down"]
        self.assertEqual(told(), [])
        self.assertEqual(told("", more=["--reports=yes"]), one)
        self.assertEqual(told("", "--junitxml=x.xml"), one)
        self.assertEqual(told("", "--junitxml=x.xml", more=["--reports=no"]), [])
        self.assertFalse(os.path.exists(self.path("x.xml")))
        self.assertEqual(told("def pytest_terminal_summary(): pass\n"), one)
        self.assertEqual(told("def pytest_sessionfinish(session): session.config.seen = 1\n"), [])
        self.assertEqual(told("def pytest_sessionfinish(session):\n"
                              "    if not hasattr(session.config, 'workerinput'): pass\n"), one)
        self.assertEqual(told("def here(config): return hasattr(config, 'workerinput')\n"
                              "def pytest_unconfigure(config):\n    if not here(config): pass\n"), one)
        self.assertEqual(told("def pytest_configure_node(node): pass\n"), [])
        self.assertEqual(told("""\
            import pytest
            class Late:
                @pytest.hookimpl(optionalhook=True)
                def pytest_testnodedown(self, node, error): pass
            def pytest_configure(config): config.pluginmanager.register(Late())
            """), one)

    def test_reports_that_are_asked_for_are_named_as_they_are_typed(self):
        self.write("test_m.py", "def test_a(): pass\n")
        self.arguments = ["--junitxml=out/x.xml"]
        records = self.run_and_keep(["test_m.py::test_a"])
        first = json.loads(next(record[1] for record in records if record[0] == "reports"))
        self.assertEqual(first["asked"], ["--junitxml=out/x.xml"])

    def test_a_controller_that_is_stopped_says_where_it_is(self):
        self.write("test_m.py", "def test_a(): pass\n")
        self.write("conftest.py", """\
            import os, signal
            def pytest_sessionfinish(session):
                if not hasattr(session.config, "workerinput"): os.kill(os.getpid(), signal.SIGTERM)
            """)
        self.run_and_keep(["test_m.py::test_a"])
        self.assertEqual(self.status_of_control(), -signal.SIGTERM)
        self.assertRegex(self.printed, 'conftest.py", line 3 in pytest_sessionfinish')

    def test_values_come_back_as_they_were(self):
        sys.path.insert(0, self.plugin)
        self.addCleanup(sys.path.remove, self.plugin)
        values = importlib.import_module("dtest_pytest.values")
        for value in ({"a": (1, [2.5, None, True]), "b": b"\0\xff", "c": {1: "x", (2, 3): "y"}, "d": {"e", "f"}},
                      {"()": [1]}, {"b": ""}, {}, (), "\udcff\n\u2028", float("inf"), -1):
            plain = values.Plain()
            self.assertEqual(values.decode(plain.encode(value)), value)
            self.assertEqual(plain.told, [])
        plain = values.Plain()
        self.assertEqual(values.decode(plain.encode([object, self.assertEqual])), [str(object), str(self.assertEqual)])
        self.assertEqual(plain.told, ["type", "method"])

    def test_paths_of_a_host_are_those_here(self):
        sys.path.insert(0, self.plugin)
        self.addCleanup(sys.path.remove, self.plugin)
        moved = importlib.import_module("dtest_pytest.controlling").moved
        places = [("/far/tree", "/here")]
        self.assertEqual(moved({"a": ["/far/tree/a.py", ("/far/tree", 3)], "/far/tree": None}, places),
                         {"a": ["/here/a.py", ("/here", 3)], "/far/tree": None})
        self.assertEqual(moved("in '/far/tree/a.py'; /far/trees, x/far/tree", places), "in '/here/a.py'; /far/trees, x/far/tree")

    def test_ids_with_paths_of_a_host_are_those_that_dtest_knows(self):
        self.write("test_m.py", "import pytest\n@pytest.mark.parametrize('path', [__file__])\ndef test_a(path): pass\n")
        self.arguments = ["--junitxml=report.xml"]
        cases = ["test_m.py::test_a[/home/p/test_m.py]"]
        self.selected(cases)
        self.run_and_keep(cases, more=("--there=.", "--here=/home/p"))
        result = self.control()
        self.assertEqual((result["error"], result["warnings"]), ("", []), self.printed)
        self.assertEqual(cases_of(self.path("report.xml")), {("test_m", "test_a[/home/p/test_m.py]"): [[]]})

    def test_what_others_write_at_the_end_is_shown(self):
        """Not what the terminal reporter says of tests."""
        self.write("conftest.py", """\
            import pytest
            def terminal(config): return config.pluginmanager.getplugin("terminalreporter")
            def pytest_runtest_logreport(report): pass
            @pytest.hookimpl(hookwrapper=True)
            def pytest_terminal_summary(terminalreporter):
                terminalreporter.write_line("before")
                yield
                terminalreporter.write_line("after")
            def pytest_unconfigure(config):
                if not hasattr(config, "workerinput"): terminal(config).write_line("at last")
            """)
        self.write("test_m.py", "def test_a(): assert 0\n")
        self.selected(["test_m.py::test_a", "test_m.py::test_b"])
        self.run_and_keep(["test_m.py::test_a"])
        self.verdict(case="test_m.py::test_b", outcome="not run")
        self.assertEqual(self.control("--interrupted=SIGINT")["error"], "", self.printed)
        self.assertEqual(self.printed.strip().splitlines(), ["before", "after", "at last"])

    def test_of_several_attempts_the_last_counts(self):
        self.write_hooks()
        self.write("test_m.py", "import os\ndef test_a(): assert os.environ['DTEST_ATTEMPT'] == '2'\n")
        cases = ["test_m.py::test_a"]
        self.selected(cases)
        self.run_and_keep(cases, "gw1", DTEST_ATTEMPT="2")
        self.run_and_keep(cases, "gw0", DTEST_ATTEMPT="1")  # comes late
        self.verdict(case=cases[0], outcome="passed", attempt=2)
        lines = self.controlled()
        self.assertEqual(self.reported(lines), [["test_m.py::test_a", when, "passed"] for when in ("setup", "call", "teardown")])
        self.assertEqual(sum(line.startswith("testnodedown") for line in lines), 2)
        self.assertIn("sessionfinish 0", lines)

    def test_a_node_is_a_process(self):
        self.write_hooks()
        self.write("test_m.py", "def test_a(): pass\ndef test_b(): pass\n")
        cases = ["test_m.py::test_a", "test_m.py::test_b"]
        self.selected(cases)
        workers = Server(self, ["--path="])
        for case in cases:
            told, printed, status = workers.fork("gw0", [case]).result()
            self.assertEqual(status, 0, printed)
            self.keep(told)
            self.verdict(case=case, outcome="passed")
        lines = self.controlled()
        output = [("exitstatus", 0), ("left", ("by", 1)), ("shouldfail", False), ("shouldstop", False)]
        self.assertEqual([line.partition(" ")[0] for line in lines], [
            "sessionstart", "setupnodes", "newgateway", "configure_node", "testnodeready", "collected",
            "logstart", *["logreport"] * 3, "logfinish", "testnodedown",
            "newgateway", "configure_node", "testnodeready", "collected",
            "logstart", *["logreport"] * 3, "logfinish", "testnodedown", "sessionfinish", "summary"])
        self.assertEqual([line for line in lines if line.startswith("testnodedown")], [f"testnodedown gw0 None {output}"] * 2)
        self.assertEqual(self.reported(lines)[-1], ["test_m.py::test_b", "teardown", "passed"])

    def test_verdicts_of_which_no_process_has_told(self):
        self.write_hooks()
        self.write("test_m.py", "def test_a(): pass\n")
        self.arguments = ["--junitxml=report.xml"]
        names = [f"test_m.py::test_{name}" for name in ("a", "lost", "skipped", "expected", "failed", "slow", "never", "cut")]
        self.selected(names)
        self.run_and_keep(names[:1])
        for name, outcome, message in (("lost", "passed", ""), ("skipped", "skipped", "no wings (a.py:3)"),
                                       ("expected", "skipped", "xfail: bug"), ("failed", "failed", "no"),
                                       ("slow", "timed out", "after 1 s"), ("never", "infra error", "no host"),
                                       ("cut", "not run", "")):
            self.verdict(case=f"test_m.py::test_{name}", outcome=outcome, message=message)
        result = self.control()
        self.assertEqual(result["error"], "what pytest told of test_m.py::test_lost, test_m.py::test_skipped, test_m.py::test_expected is lost, "
                                          "with a host or a process: reported is dtest's verdict alone", self.printed)
        self.assertTrue(result["fails"])
        self.assertEqual(len(result["warnings"]), 1, "that of pytest_configure")
        kinds = {name: [tag for tag, *_ in told[0]] for (_, name), told in cases_of(self.path("report.xml")).items()}
        self.assertEqual(kinds, {"test_a": [], "test_lost": [], "test_skipped": ["skipped"], "test_expected": ["skipped"],
                                 "test_failed": ["error"], "test_slow": ["error"], "test_never": ["error"]})
        self.assertEqual([line for line in self.read("hooks.txt").splitlines() if line.startswith("handlecrashitem")],
                         ["handlecrashitem test_m.py::test_slow failed ??? True"])

    def test_what_is_lost_is_a_warning_where_only_hooks_would_have_it(self):
        self.write_hooks()
        self.write("test_m.py", "def test_a(): pass\n")
        self.selected(["test_m.py::test_a", "test_m.py::test_lost"])
        self.run_and_keep(["test_m.py::test_a"])
        self.verdict(case="test_m.py::test_lost", outcome="passed")
        result = self.control()
        self.assertEqual((result["error"], result["fails"]), ("", False), self.printed)
        self.assertEqual([warning for warning in result["warnings"] if "looks whether it is" not in warning],
                         ["of pytest's reports: what pytest told of test_m.py::test_lost is lost, with a host or a process: "
                          "reported is dtest's verdict alone"])

    def test_a_test_that_failed_after_all(self):
        self.write("test_m.py", "def test_a(): pass\n")
        self.arguments = ["--junitxml=report.xml"]
        self.selected(["test_m.py::test_a"])
        self.run_and_keep(["test_m.py::test_a"])
        self.verdict(case="test_m.py::test_a", outcome="failed", message="its process ended badly")
        self.assertEqual(self.control()["error"], "", self.printed)
        self.assertEqual(totals_of(self.path("report.xml")),
                         {"name": "pytest", "tests": "1", "errors": "0", "failures": "1", "skipped": "0"})
        self.assertIn("its process ended badly", self.read("report.xml"))

    def test_what_goes_wrong_is_the_error(self):
        self.write("test_m.py", "def test_a(): pass\n")
        self.selected(["test_m.py::test_a"])
        self.arguments = ["--junitxml=report.xml"]
        self.run_and_keep(["test_m.py::test_a"])
        self.arguments = ["--junitxml=report.xml", "--nothing-of-this-name=x"]
        result = self.control()
        self.assertRegex(result["error"], "^pytest ended with status 4 before it reported")
        self.assertIn("unrecognized arguments: --nothing-of-this-name=x", self.printed)
        self.arguments = ["--junitxml=test_m.py/report.xml"]
        result = self.control()
        self.assertTrue(result["fails"])
        self.assertRegex(result["error"], "File exists|Not a directory")
        self.arguments = ["--junitxml=report.xml"]
        self.write("conftest.py", "def pytest_runtest_logreport(report):\n    if hasattr(report, 'node'): raise RuntimeError('no ink')\n")
        result = self.control()
        self.assertTrue(result["fails"])
        self.assertRegex(result["error"], "an internal error of pytest, in a plugin or conftest.py: RuntimeError: no ink$")
        self.write("conftest.py", "import nothing_of_this_name\n")
        self.assertRegex(self.control()["error"], "^pytest ended with status 4 before it reported")
        self.assertIn("No module named 'nothing_of_this_name'", self.printed)
        self.write("conftest.py", """\
            import os
            def pytest_unconfigure(config):
                if not hasattr(config, 'workerinput'): os.remove('report.xml')
            """)
        self.assertEqual(self.control()["error"], f"not written: --junitxml ({self.path('report.xml')})")

    def test_where_no_process_has_had_a_say(self):
        self.write("test_m.py", "def test_a(): pass\n")
        with open(os.path.join(self.told, "verdicts"), "w", encoding="utf-8") as file:
            file.write('{"unlisted": "no pytest there"}\n')
        self.assertEqual(self.control(), {"wanted": False, "fails": False, "error": "", "warnings": [], "files": []})
        self.arguments = ["--junitxml=report.xml"]
        self.assertEqual(self.control()["error"], "", self.printed)
        self.assertIn("no pytest there", self.read("report.xml"))
        self.assertEqual(totals_of(self.path("report.xml"))["errors"], "1")

    def test_warnings_are_those_of_pytest(self):
        self.write("conftest.py", """\
            seen = []
            def pytest_warning_recorded(warning_message, when, nodeid, location):
                seen.append((warning_message.category.__name__, str(warning_message.message), type(warning_message.message).__name__,
                             when, nodeid, location is None))
            def pytest_terminal_summary(config):
                if not hasattr(config, "workerinput"): open("seen", "w").write("\\n".join(map(str, seen)))
            """)
        self.write("test_m.py", """\
            import warnings
            class Ours(UserWarning):
                def __init__(self, a, b): super().__init__(f"{a} and {b}")
            warnings.warn("early", DeprecationWarning)
            def test_a(): warnings.warn("late", DeprecationWarning)
            def test_b(): warnings.warn(Ours(1, 2))
            """)
        cases = ["test_m.py::test_a", "test_m.py::test_b"]
        self.selected(cases)
        for number, case in enumerate(cases):
            self.run_and_keep([case], f"gw{number}")
        self.assertEqual(self.control()["error"], "", self.printed)
        self.assertEqual(self.read("seen").splitlines(), [
            "('DeprecationWarning', 'early', 'DeprecationWarning', 'collect', '', True)",
            "('DeprecationWarning', 'late', 'DeprecationWarning', 'runtest', 'test_m.py::test_a', True)",
            # Its class is in a module that no controller imports.
            "('UserWarning', '1 and 2', 'UserWarning', 'runtest', 'test_m.py::test_b', True)"])

    def test_what_comes_too_late_is_named(self):
        self.write("conftest.py", """\
            def pytest_configure(config):
                if not hasattr(config, "workerinput"): open("made", "w").close()
            def pytest_terminal_summary(): pass
            """)
        self.write("test_m.py", "def test_a(): pass\n")
        self.selected(["test_m.py::test_a"])
        self.run_and_keep(["test_m.py::test_a"])
        warning, = self.control()["warnings"]
        self.assertRegex(warning, "^pytest_configure of conftest looks whether it is in a worker: ")
        self.assertTrue(os.path.exists(self.path("made")))

    def test_an_interrupted_run_ends_so(self):
        self.write_hooks()
        self.write("test_m.py", "def test_a(): pass\n")
        self.selected(["test_m.py::test_a", "test_m.py::test_b"])
        self.run_and_keep(["test_m.py::test_a"])
        self.verdict(case="test_m.py::test_b", outcome="not run")
        self.assertEqual(self.control("--interrupted=SIGINT")["error"], "", self.printed)
        lines = self.read("hooks.txt").splitlines()
        self.assertEqual(len(self.reported(lines)), 3)
        self.assertIn("sessionfinish 2", lines)

    def test_a_hook_that_wants_a_test_to_run_again_is_told_of(self):
        self.write("conftest.py", "import pytest\n@pytest.hookimpl(optionalhook=True)\n"
                                  "def pytest_handlecrashitem(crashitem, report, sched): sched.mark_test_pending(crashitem)\n")
        self.write("test_m.py", "import os\ndef test_a(): os._exit(3)\n")
        self.selected(["test_m.py::test_a"])
        self.run_and_keep(["test_m.py::test_a"])
        self.verdict(case="test_m.py::test_a", outcome="crashed")
        self.assertRegex(self.control()["warnings"][0], "asked to run test_m.py::test_a again")

    def test_what_cannot_be_told_is_named(self):
        self.write("test_m.py", """\
            def test_a(record_property):
                record_property("of", object())
            def test_b(): print("x" * (33 << 20))
            """)
        self.arguments = ["--junitxml=report.xml"]
        cases = ["test_m.py::test_a", "test_m.py::test_b"]
        self.selected(cases)
        self.run_and_keep(cases)
        result = self.control()
        self.assertEqual(result["error"], "", self.printed)
        self.assertRegex("\n".join(result["warnings"]), "(?s)test_a: a value of type object can only be told as a text"
                                                        ".*test_b: it has more than 31 MiB")
        self.assertEqual({name: told for (_, name), (told,) in cases_of(self.path("report.xml")).items()}["test_b"], [])

    def test_plugins_of_the_registry_alone_are_no_reason(self):
        """pytest-cov, which has hooks of the controller: dtest does its work."""
        if importlib.util.find_spec("pytest_cov") is None:
            self.skipTest("pytest-cov is not here")
        self.write("test_m.py", "def test_a(): pass\n")
        self.assertEqual([record for record in self.run_and_keep(["test_m.py::test_a"]) if record[0] == "reports"], [])


if __name__ == "__main__":
    if importlib.util.find_spec("pytest") is None:
        print("this Python has no pytest")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
