"""The plugin that runs pytest for dtest, by itself: a project is listed and run as the agent does it, and what the
records say is compared with what pytest itself says of the same project.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import array
import collections
import ctypes
import importlib.util
from importlib import metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import unittest
import xml.etree.ElementTree as ElementTree

SKIPPED = 77
PLUGIN = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""

CONFTEST = """\
    import pytest

    @pytest.fixture
    def breaks_before():
        raise RuntimeError("no water")

    @pytest.fixture
    def breaks_after():
        yield
        raise RuntimeError("left the tap open")

    @pytest.fixture(scope="module")
    def made(request):
        with open("made", "a") as file:
            file.write(request.node.name + "\\n")
    """

TEST_A = """\
    import os, sys, unittest, warnings
    import pytest

    def test_passes(made):
        print("nobody sees this")

    def test_fails(made):
        print("somebody sees this")
        assert 1 == 2, "no"

    @pytest.mark.parametrize("value", ["a", "b::c", "x[y]", "\\u00e9\\n"])
    def test_parameter(value):
        assert value != "a"

    @pytest.mark.skip(reason="no wings")
    def test_skipped():
        pass

    def test_skips_itself():
        pytest.skip("no legs")

    @pytest.mark.xfail(reason="bug 1")
    def test_expected():
        assert 0

    @pytest.mark.xfail(reason="bug 2", strict=True)
    def test_strict():
        pass

    @pytest.mark.xfail(reason="bug 3")
    def test_unexpected():
        pass

    def test_setup(breaks_before):
        pass

    def test_teardown(breaks_after):
        pass

    def test_everything_fails(breaks_after):
        assert 0

    def test_warns():
        warnings.warn("hot")

    @pytest.mark.slow
    def test_worker(worker_id, testrun_uid, request, tmp_path):
        assert worker_id == "gw3" == os.environ["PYTEST_XDIST_WORKER"]
        assert testrun_uid == "run-1" and request.config.workerinput["workercount"] == 4
        assert tmp_path.parent.name == "popen-gw3"
        request.config.get_terminal_writer().line("through what other plugins write")

    def test_closes_and_forks(capfd):
        os.close(1)
        pid = os.fork()
        if pid == 0:
            os.write(3, b"5:3:end") if os.path.exists("/proc/self/fd/3") else None
            os._exit(0)
        os.waitpid(pid, 0)
        os.open("/dev/null", os.O_WRONLY)

    class TestUnit(unittest.TestCase):
        def test_parts(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)

        def test_whole(self):
            pass
    """

BROKEN = "import nothing_of_this_name\n\ndef test_lost():\n    pass\n"


def read_records(data):
    records, at = [], 0
    while at < len(data):
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        assert data[end:end + 1] == b"\n"
        fields, at = [], colon + 1
        while at < end:
            colon = data.index(b":", at)
            field_end = colon + 1 + int(data[at:colon])
            assert data[field_end:field_end + 1] == b","
            fields.append(data[colon + 1:field_end].decode("utf-8", "surrogateescape"))
            at = field_end + 1
        records.append(fields)
        at = end + 1
    return [record for record in records if record[0] != "runner"]  # which each process that runs tests begins with


class Server:
    """A process that forks workers, as the agent asks it to."""

    def __init__(self, test, arguments, **variables):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: workers become children of this process
        self.test = test
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with open(os.path.join(test.directory, "said-by-server"), "wb") as self.output:
            self.process = test.begin(theirs.fileno(), *arguments, "--serve=yes", variables=variables, stdout=self.output)
        theirs.close()
        test.addCleanup(self.close)

    def fork(self, worker, cases, **variables):
        path = os.path.join(self.test.directory, f"cases-{worker}")
        with open(path, "wb") as file:
            file.write(b"".join(case.encode() + b"\0" for case in cases))
        return self.ask(worker, f"--run={path}", **variables)

    def ask(self, worker, argument, **variables):
        fields = ["0", self.test.project, "1", argument, *(f"{name}={value}" for name, value in {
            "PATH": os.environ["PATH"], "PYTEST_XDIST_WORKER": worker, "PYTEST_XDIST_WORKER_COUNT": "2",
            "PYTEST_XDIST_TESTRUNUID": "run-1", "TMPDIR": f"/tmp/{worker}", **variables}.items())]
        packet = b"".join(b"%d:%b," % (len(field), field) for field in map(os.fsencode, fields))
        output = os.pipe()
        report, their_report = socket.socketpair()
        reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors = array.array("i", [output[1], their_report.fileno(), theirs.fileno()])
        self.control.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        for descriptor in (output[1], their_report.detach(), theirs.detach()):
            os.close(descriptor)
        return Forked(reply, output[0], report)

    def said(self):
        """What it printed itself, and its workers did not."""
        with open(self.output.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        self.control.close()
        self.process.wait()


class Forked:
    def __init__(self, reply, output, report):
        self.said = reply.recv(4096).decode()
        self.pid = int(self.said) if self.said.isdigit() else 0
        self.output, self.report, self.printed = output, report, ""
        if self.pid:
            reply.send(b"!")
        else:
            os.close(output)
            report.close()
        reply.close()

    def records_until(self, last):
        """Those that it tells until one whose first field is `last`."""
        data = b""
        while not data.endswith(b"%d:%b,\n" % (len(last), last.encode())):
            byte = self.report.recv(1)
            if not byte:
                raise AssertionError(f"it ends before it tells {last!r}: {data!r} {os.read(self.output, 1 << 16).decode()}")
            data += byte
        return read_records(data)

    def answer(self, *fields):
        body = b"".join(b"%d:%b," % (len(field), field.encode()) for field in fields)
        self.report.send(b"%d:%b\n" % (len(body), body))

    def wait_for_output(self, text):
        while text not in self.printed:
            self.printed += os.read(self.output, 4096).decode()

    def result(self):
        """Records, what it printed past pytest, status. Nothing follows, if it asks: a fixture may have taken its time."""
        self.report.shutdown(socket.SHUT_WR)
        with self.report.makefile("rb") as report:
            told = [record for record in read_records(report.read()) if record != ["wants more"]]
        self.report.close()
        with os.fdopen(self.output, "rb") as output:
            printed = self.printed + output.read().decode()
        status = os.waitpid(self.pid, 0)[1]
        return told, printed, -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Started(Forked):
    """A process that was not forked, whose report channel takes answers."""

    def __init__(self, test, cases, *arguments):
        self.report, theirs = socket.socketpair()
        process = test.begin(theirs.fileno(), "--path=", f"--run={test.path_of_cases(cases)}", *arguments, stdout=subprocess.PIPE)
        theirs.close()
        process.returncode = 0  # it is waited for by its id
        self.pid, self.output, self.printed = process.pid, os.dup(process.stdout.fileno()), ""
        process.stdout.close()


class PluginCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dtest-plugin-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.plugin = os.path.join(self.directory, "agent", "pytest")
        shutil.copytree(PLUGIN, self.plugin)  # it keeps its caches beside itself
        self.project = os.path.join(self.directory, "project")
        self.write("pytest.ini", "[pytest]\nmarkers = slow: takes long\n")

    def write(self, name, text):
        path = os.path.join(self.project, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))

    def begin(self, report, *arguments, variables=(), **options):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
        environment.update({"PYTEST_XDIST_WORKER": "gw3", "PYTEST_XDIST_WORKER_COUNT": "4",
                            "PYTEST_XDIST_TESTRUNUID": "run-1"})
        environment.update(variables)
        return subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" 3>&{report}', "sh", sys.executable, os.path.join(self.plugin, "start.py"),
             f"--root={self.project}", "--ini=pytest.ini", *arguments],
            env=environment, pass_fds=[report], cwd=self.project, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options)  # ignored below a shell's "&"

    def start(self, *arguments, variables=()):
        """Exit status, records of the report channel, and what was printed."""
        ours, theirs = os.pipe()
        process = self.begin(theirs, *arguments, variables=variables, stdout=subprocess.PIPE, text=True)
        os.close(theirs)
        with os.fdopen(ours, "rb") as report:
            records = read_records(report.read())
        printed = process.communicate()[0]
        return process.returncode, records, printed

    def list(self, *more, paths=("",)):
        path = os.path.join(self.directory, "listing")
        status, _, printed = self.start(*(f"--path={path}" for path in paths), f"--list={path}", *more)
        self.assertEqual(status, 0, printed)
        with open(path, "rb") as file:
            records = read_records(file.read())
        self.notes = [record[1] for record in records if record[0] == "note"]
        records = [record for record in records if record[0] != "note"]
        self.assertEqual(records.pop(), ["end", str(sum(record[0] != "nothing" for record in records))])
        return records

    def path_of_cases(self, cases):
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"".join(case.encode() + b"\0" for case in cases))
        return path

    def run_cases(self, cases, *more):
        """id -> the record of its result."""
        path = self.path_of_cases(cases)
        status, records, printed = self.start(f"--run={path}", *more)
        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
        began = [record[1] for record in records if record[0] == "began"]
        self.assertEqual(began, [record[1] for record in records if record[0] == "finished"])
        return {cases[int(record[1])]: record for record in records if record[0] == "finished"}

    def serve_cases(self, cases, *more):
        """As run_cases, in a worker."""
        records, printed, status = Server(self, ["--path=", *more]).fork("gw0", cases).result()
        self.assertEqual(status, 0, printed)
        return {cases[int(record[1])]: record for record in records if record[0] == "finished"}

    def pytest_verdicts(self):
        """What pytest says: (class, name) -> passed, failed or skipped."""
        junit = os.path.join(self.directory, "junit.xml")
        subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}",
                        "--continue-on-collection-errors"], cwd=self.project, stdout=subprocess.DEVNULL, check=False)
        verdicts = {}
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            kinds = {child.tag for child in case} - {"system-out", "system-err", "properties"}
            verdict = "failed" if kinds & {"failure", "error"} else "skipped" if kinds else "passed"
            key = (case.get("classname"), case.get("name"))
            if verdicts.get(key) != "failed":
                verdicts[key] = verdict
        return verdicts


class NamesTest(PluginCase):
    """Hosts have the project in other places than the machine that dtest was called on, and names are those of that machine."""

    def setUp(self):
        super().setUp()
        self.write("test_a.py", """\
            import os, pytest
            here = os.path.dirname(os.path.abspath(__file__))
            @pytest.mark.parametrize("path", [here, here + "/a/test_a.py", here + "er/a", "/x" + here, "a"])
            def test_path(path): assert path != here + "/a/test_a.py"
            """)
        self.places = ("--there=a", "--here=/home/site-packages", "--there=.", "--here=/home/r\u00f6t")
        self.names = [f"test_a.py::test_path[{path}]" for path in (
            "/home/r\\xf6t", "/home/site-packages/test_a.py", f"{self.project}er/a", f"/x{self.project}", "a")]

    def test_listing_and_run(self):
        cases = self.list(*self.places)
        self.assertEqual([case[1] for case in cases], self.names)
        self.assertEqual([case[4] for case in cases], [name.partition("[")[2][:-1] for name in self.names])
        for results in (self.run_cases(self.names, *self.places), self.serve_cases(self.names, *self.places)):
            self.assertEqual([results[name][2] for name in self.names], ["passed", "failed", "passed", "passed", "passed"])

    def listed(self, *arguments, paths=("",)):
        return [case[1] for case in self.list(*self.places, *arguments, paths=paths) if case[0] == "case"]

    def test_one_that_was_asked_for(self):
        self.assertEqual(self.listed(paths=(self.names[1], self.names[4])), [self.names[1], self.names[4]])
        missing = self.names[1].replace("test_a.py]", "test_b.py]")
        status, _, printed = self.start(f"--path={missing}", f"--list={os.path.join(self.directory, 'listing')}", *self.places)
        self.assertNotEqual(status, 0)
        self.assertIn(f"not found: {missing}", printed)

    def test_a_literal_path_is_what_it_is(self):
        self.write("test_b.py", """\
            import os, pytest
            here = os.path.dirname(os.path.abspath(__file__))
            @pytest.mark.parametrize("path", ["/home/r\u00f6t/b", here + "/c"])
            class TestB:
                def test_path(self, path): pass
                def test_other(self, path): pass
            """)
        names = [f"test_b.py::TestB::{test}[/home/r\\xf6t/{one}]" for test in ("test_path", "test_other") for one in "bc"]
        self.assertEqual(self.listed(paths=("test_b.py",)), names)
        for name in names:
            self.assertEqual(self.listed(paths=(name,)), [name])
            self.assertEqual(self.listed(paths=(name, "test_a.py")), [name, *self.names])
            self.assertEqual(self.listed(f"--arg=--deselect={name}", paths=("test_b.py",)), [one for one in names if one != name])
        self.assertEqual(self.listed(paths=(names[0], "test_b.py::TestB::test_path")), names[:2])
        results = self.run_cases(names, *self.places)
        self.assertEqual([results[name][2] for name in names], ["passed"] * 4)

    def test_what_is_left_out_or_chosen_by_a_name_with_a_path(self):
        self.assertEqual(self.listed("--arg=--deselect", f"--arg={self.names[0]}"), self.names[1:])
        self.assertEqual(self.listed(f"--arg=--deselect={self.names[0][:-1]}"), self.names[1:])
        self.assertEqual(self.listed("--arg=--deselect=test_a.py"), [])
        chosen = ("--arg=-k", "--arg=site-packages/test_a")
        self.assertEqual(self.listed(*chosen), [self.names[1]])
        self.assertEqual(self.run_cases([self.names[1]], *self.places, *chosen)[self.names[1]][2], "failed")
        self.write("a/test_b.py", "def test_b(): pass\n")
        self.assertEqual(len(self.listed()), 6)
        for option in ("--ignore=/home/r\u00f6t/a", "--ignore=/home/r\u00f6t/a/test_b.py", "--ignore-glob=/home/r\u00f6t/*b.py", "--ignore=a"):
            with self.subTest(option=option):
                self.assertEqual(self.listed(f"--arg={option}"), self.names)


class EnvironmentTest(PluginCase):
    """What a run ships of an environment is one there, too."""

    def setUp(self):
        super().setUp()
        self.write("packages/brought.py", "")
        self.write("test_a.py", """\
            import os, site, subprocess, sys
            def test_started():
                subprocess.run([sys.executable, "-c", "import brought"], env={"PYTHONPATH": "/none"}, check=True)
            def test_alone(): assert not set(sys.path) & set(site.getsitepackages([sys.base_prefix]))
            def test_own(): assert not [name for name in os.environ if name.startswith("DTEST_PYTEST")]
            """)
        self.cases = ["test_a.py::test_started", "test_a.py::test_alone", "test_a.py::test_own"]

    def bring_pytest(self):
        for name in ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "attr", "attrs", "pygments", "tomli", "exceptiongroup",
                     "typing_extensions"):
            module = importlib.util.find_spec(name)
            if module is not None:
                file = os.path.dirname(module.origin) if module.submodule_search_locations else module.origin
                os.symlink(file, os.path.join(self.project, "packages", os.path.basename(file)))

    def test_alone(self):
        self.bring_pytest()
        for results in (self.run_cases(self.cases, "--packages=packages"), self.serve_cases(self.cases, "--packages=packages")):
            self.assertEqual([results[case][2] for case in self.cases], ["passed"] * 3, results)

    def test_beside_what_is_installed(self):
        if sys.prefix != sys.base_prefix:  # what is beside the interpreter is not what is in this environment
            self.bring_pytest()
        results = self.run_cases(self.cases, "--packages=packages", "--system-packages=yes")
        self.assertEqual([results[case][2] for case in self.cases], ["passed", "failed", "passed"])


class PluginTest(PluginCase):

    def test_pytest_within_a_test_says_all(self):
        self.write("conftest.py", "pytest_plugins = ['pytester']\n")
        self.write("test_m.py", """\
            def test_a(pytester):
                pytester.makepyfile("def test_b(): print('of b'); assert 0")
                result = pytester.runpytest_inprocess()
                result.assert_outcomes(failed=1)
                result.stdout.fnmatch_lines(["of b"])
            """)
        for run in (self.run_cases, self.serve_cases):
            self.assertEqual(run(["test_m.py::test_a"])["test_m.py::test_a"][2], "passed")

    def test_verdicts_are_those_of_pytest(self):
        self.write("tests/conftest.py", CONFTEST)
        self.write("tests/test_a.py", TEST_A)
        self.write("tests/test_broken.py", BROKEN)
        listing = self.list()
        cases = [record[1] for record in listing]
        by_id = {record[1]: record for record in listing}
        self.assertEqual(by_id["tests/test_a.py::test_parameter[b::c]"][2:], ["tests/test_a.py", "11", "b::c", "", "0"])
        self.assertEqual(by_id["tests/test_a.py::test_worker"][5:], ["", "0", "slow"])
        self.assertIn("nothing_of_this_name", by_id["tests/test_broken.py"][2])
        results = self.run_cases(cases)
        self.assertEqual(set(results), set(cases))

        theirs = self.pytest_verdicts()
        ours = {}
        for case, record in results.items():
            names = case.replace(".py", "").replace("/", ".").split("::", 1)
            if len(names) == 1:
                ours[("", names[0])] = record[2]
            else:
                *classes, name = ([*names[1].split("::")] if "[" not in names[1] else [names[1]])
                ours[(".".join([names[0], *classes]), name)] = record[2]
        worker = ("tests.test_a", "test_worker")  # plain pytest has none
        self.assertEqual(ours.pop(worker), "passed")
        self.assertIn(theirs.pop(worker), ("failed", "passed"))
        self.assertEqual(ours, theirs)

        message = {case.partition("::")[2]: record[6] for case, record in results.items()}
        output = {case.partition("::")[2]: record[7] for case, record in results.items()}
        warning = {case.partition("::")[2]: record[8] for case, record in results.items()}
        self.assertEqual(message["test_fails"], "tests/test_a.py:9: AssertionError: no\nassert 1 == 2")
        self.assertIn("somebody sees this", output["test_fails"])
        self.assertEqual(message["test_skips_itself"], "no legs (tests/test_a.py:20)")
        self.assertEqual(message["test_expected"], "xfail: bug 1")
        self.assertEqual(message["test_strict"], "[XPASS(strict)] bug 2")
        self.assertEqual(warning["test_unexpected"], "passed, and xfail expects a failure: bug 3")
        self.assertEqual(message["test_setup"], "error in set-up: tests/conftest.py:5: RuntimeError: no water")
        self.assertEqual(message["test_teardown"], "error in tear-down: tests/conftest.py:10: RuntimeError: left the tap open")
        self.assertEqual(message["test_everything_fails"].count("\n"), 1)
        self.assertIn("UserWarning: hot (", warning["test_warns"])
        with open(os.path.join(self.project, "made"), encoding="utf-8") as file:
            self.assertEqual(file.read().count("\n"), 2, "a module's fixture: once under dtest, once under pytest")
        self.assertEqual([name for _, names, _ in os.walk(self.project) for name in names if name.startswith(("__", "."))],
                         [], "something was left in the project")

    def test_a_batch_runs_in_its_order_and_knows_what_follows(self):
        self.write("test_m.py", """\
            import pytest
            order = []

            @pytest.fixture(scope="class")
            def shared():
                order.append("made")
                yield
                order.append("gone")

            class TestA:
                def test_1(self, shared): order.append("1")
                def test_2(self, shared): order.append("2")

            def test_last():
                assert order == ["2", "made", "1", "gone"] or order == ["made", "2", "1", "gone"], order
            """)
        results = self.run_cases(["test_m.py::TestA::test_2", "test_m.py::TestA::test_1", "test_m.py::test_last"])
        self.assertEqual({record[2] for record in results.values()}, {"passed"}, results)

    def test_options_of_xdist_are_accepted_and_arguments_passed_on(self):
        self.write("pytest.ini", "[pytest]\naddopts = -n auto --dist loadgroup -ra -x\nmarkers = slow: takes long\n")
        self.write("test_m.py", "import pytest\n\ndef test_a(): assert 0\n\n@pytest.mark.slow\n"
                                "@pytest.mark.xdist_group('g')\ndef test_b(): pass\n")
        self.assertEqual([record[1] for record in self.list()], ["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[1] for record in self.list("--arg=-m", "--arg=slow")], ["test_m.py::test_b"])
        self.write("conftest.py", "def pytest_configure(config): assert config.option.no_cov\n")
        results = self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[2] for record in results.values()], ["failed", "passed"], "-x is for dtest to count")

    def test_an_argument_whose_value_may_be_left_out_takes_no_path(self):
        self.write("conftest.py", """\
            def pytest_addoption(parser):
                parser.addoption("--maybe", nargs="?", const="left out")

            def pytest_generate_tests(metafunc):
                metafunc.parametrize("given", [metafunc.config.option.maybe])
            """)
        self.write("test_a.py", "def test_a(given): assert given == 'left out'\n")
        self.write("test_b.py", "def test_b(given): pass\n")
        cases = [record[1] for record in self.list("--arg=--maybe", paths=["test_a.py"])]
        self.assertEqual(cases, ["test_a.py::test_a[left out]"])
        self.assertEqual(self.run_cases(cases, "--arg=--maybe")[cases[0]][2], "passed")

    def test_what_shared_fixtures_take_is_told(self):
        self.write("test_m.py", """\
            import pytest, time
            @pytest.fixture(scope="session")
            def inner(): time.sleep(0.2)
            @pytest.fixture(scope="session")
            def outer(request): request.getfixturevalue("inner")
            @pytest.fixture(scope="module")
            def module(): time.sleep(0.5)
            def test_a(outer, module): pass
            def test_b(outer): pass
            """)
        self.write("test_n.py", """\
            import pytest, time
            @pytest.fixture(scope="module", autouse=True)
            def module(): time.sleep(0.3)
            def test_c(): pass
            """)
        path = self.path_of_cases(["test_m.py::test_a", "test_m.py::test_b", "test_n.py::test_c"])
        status, records, printed = self.start(f"--run={path}")
        self.assertEqual(status, 0, printed)
        told = [record[:2] + record[2:3] * (record[0] == "finished") for record in records]
        self.assertEqual(told, [
            ["began", "0"], ["shared", "session"], ["shared", "module"], ["finished", "0", "passed"],
            ["began", "1"], ["finished", "1", "passed"], ["began", "2"], ["shared", "module"], ["finished", "2", "passed"], ["end"]])
        shared = [float(record[2]) for record in records if record[0] == "shared"]
        for seconds, least in zip(shared, (0.2, 0.5, 0.3)):
            self.assertGreaterEqual(seconds, least)
        set_ups = [float(record[4]) for record in records if record[0] == "finished"]
        self.assertLessEqual(shared[0] + shared[1], set_ups[0], "nothing twice")

    def test_set_up_and_tear_down_are_told_apart(self):
        self.write("conftest.py", """\
            import copy, types
            import pytest

            TOOK = {"setup": 4.0, "call": 2.0, "teardown": 1.0}

            @pytest.hookimpl(hookwrapper=True)
            def pytest_runtest_makereport(item, call):
                result = yield
                report = result.get_result()
                report.duration = TOOK[call.when]
                if call.when == "call":  # as subtests tell of themselves, within the call
                    part = copy.copy(report)
                    part.context = types.SimpleNamespace(msg="part", kwargs={})
                    item.ihook.pytest_runtest_logreport(report=part)
            """)
        self.write("test_m.py", """\
            import pytest
            @pytest.fixture
            def breaks(): raise RuntimeError("no water")
            def test_a(): pass
            def test_b(breaks): pass
            """)
        results = self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[2:6] for record in results.values()], [
            ["passed", "7.000000", "4.000000", "1.000000"], ["failed", "5.000000", "4.000000", "1.000000"]])

    def test_a_profile_is_of_imports_collection_and_fixtures(self):
        self.write("lib/heavy/__init__.py", "from heavy import part\n")
        self.write("lib/heavy/part.py", "")
        self.write("lib/light.py", "")
        self.write("conftest.py", """\
            import os, sys
            import pytest
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
            @pytest.fixture(scope="session")
            def inner(): pass
            @pytest.fixture
            def outer(request): request.getfixturevalue("inner")
            """)
        self.write("tests/test_a.py", """\
            import os
            import pytest
            os.write(2, b"a line that does not end")
            import heavy
            @pytest.mark.parametrize("x", [1, 2])
            def test_a(x, outer, tmp_path): pass
            """)
        self.write("tests/test_b.py", "import light\ndef test_b(outer): pass\n")
        directory = os.path.join(self.directory, "profile")
        os.mkdir(directory)
        cases = ["tests/test_a.py::test_a[1]", "tests/test_a.py::test_a[2]", "tests/test_b.py::test_b"]
        status, _, printed = self.collect_apart(directory)
        self.assertEqual((status, printed), (0, "a line that does not end\n"))
        self.assertEqual([record[1] for record in self.listed if record[0] == "case"], cases)
        status, _, printed = self.start(f"--run={self.path_of_cases(cases)}", variables={"DTEST_PYTEST_PROFILE": directory})
        self.assertEqual((status, printed.count("import time")), (0, 0), printed)
        rows = self.profile_rows(directory)
        self.assertEqual({row["root"] for row in rows}, {self.project})
        modules = [(row["module"], row["depth"]) for row in rows if "module" in row]
        places = [name for name, depth in modules if depth == 0]
        self.assertEqual(places[0], "Python, pytest, its plugins and dtest")
        for module, depth, place in (("heavy", 1, "tests/test_a.py"), ("heavy.part", 2, "tests/test_a.py"),
                                     ("light", 1, "tests/test_b.py"), ("pytest", None, places[0])):
            position = next(i for i, (name, _) in enumerate(modules) if name == module)
            self.assertEqual([name for name, at in modules[:position] if at == 0][-1], place, module)
            if depth is not None:
                self.assertEqual(modules[position][1], depth, module)
        self.assertEqual([name for name, _ in modules].index("heavy") + 1, [name for name, _ in modules].index("heavy.part"))
        self.assertEqual({row["file"]: row["tests"] for row in rows if row.get("tests")},
                         {"tests/test_a.py": 2, "tests/test_b.py": 1})
        apart, = [row for row in rows if "status" in row]
        self.assertEqual((apart["status"], apart["finished"], apart["left"]), (0, 1, 0))
        self.assertAlmostEqual(sum(row["seconds"] for row in rows if "file" in row), apart["seconds"], places=5)
        self.assertIn("conftest.py", {row["file"] for row in rows if "file" in row})
        self.assertEqual([name for name, _ in modules if name.startswith("dtest_pytest") and "(dtest's own)" not in name], [])
        made = collections.Counter((row["fixture"], row["scope"], row["where"]) for row in rows if "fixture" in row)
        ours = {key: count for key, count in made.items() if key[2].startswith("conftest.py")}
        self.assertEqual(ours, {("inner", "session", "conftest.py:4"): 1, ("outer", "function", "conftest.py:6"): 3})
        self.assertEqual([count for (name, _, place), count in made.items()
                          if name == "tmp_path" and place.startswith("_pytest/tmpdir.py:")], [2])
        self.assertNotIn("x", {name for name, _, _ in made}, "a parameter")

    def collect_apart(self, directory, limit=60):
        path = os.path.join(self.directory, "listing")
        ended = self.start("--path=", f"--list={path}", variables={"DTEST_PYTEST_PROFILE": directory,
                                                                   "DTEST_PYTEST_PROFILE_LIMIT": str(limit)})
        with open(path, "rb") as file:
            self.listed = read_records(file.read())
        return ended

    def profile_rows(self, directory):
        rows = []
        for name in os.listdir(directory):
            if name.endswith(".jsonl"):
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    rows += [json.loads(line) for line in file if line.strip()]
        return rows

    def test_a_profile_says_where_collecting_ended(self):
        self.write("tests/conftest.py", "import threading\n")
        self.write("tests/test_a.py", "def test_a(): pass\n")
        for line, limit, status in (("os._exit(0)", 60, 0), ("signal.pause()", 3, -signal.SIGTERM)):
            self.write("tests/test_b.py", f"import os, signal\n{line}\n")
            directory = tempfile.mkdtemp(dir=self.directory)
            ended, _, printed = self.collect_apart(directory, limit)
            self.assertEqual(self.listed[-1], ["collecting", "tests/test_b.py"], line)
            self.assertEqual("within 3 s (--list-timeout)" in printed, limit == 3, printed)
            rows = self.profile_rows(directory)
            apart, = [row for row in rows if "status" in row]
            self.assertEqual((apart["finished"], apart["at"]), (0, "tests/test_b.py"), line)
            self.assertEqual((apart["status"], ended), (status, status if status >= 0 else 128 - status), line)
            self.assertLessEqual({"tests/test_a.py", "tests/test_b.py", "tests/conftest.py"},
                                 {row["file"] for row in rows if "file" in row})

    def test_modules_whose_importer_is_not_told_are_counted(self):
        self.write("outer.py", "import inner\nimport os\nos._exit(0)\n")
        self.write("inner.py", "")
        self.write("conftest.py", "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\n")
        self.write("test_a.py", "import outer\n")
        directory = tempfile.mkdtemp(dir=self.directory)
        self.collect_apart(directory)
        apart, = [row for row in self.profile_rows(directory) if "status" in row]
        self.assertEqual((apart["finished"], apart["left"]), (0, 1))

    def test_a_profile_changes_no_verdict(self):
        self.write("test_a.py", """\
            import builtins, os
            import pytest
            def refuse(*_, **__): raise RuntimeError("replaced by a test")
            @pytest.fixture
            def after(): pass
            @pytest.fixture
            def replaced(monkeypatch):
                monkeypatch.setattr(builtins, "open", refuse)
                for name in ("getpid", "write", "open", "getcwd"):
                    monkeypatch.setattr(os, name, refuse)
            def test_replaced(replaced, after): pass
            def test_environment(after):
                assert not [name for name in os.environ if name.startswith("DTEST_PYTEST_PROFILE")]
            @pytest.fixture
            def full():
                import resource, signal
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                limits = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
                yield
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            def test_no_space(full, after): pass
            """)
        directory = os.path.join(self.directory, "profile")
        os.mkdir(directory)
        variables = {"DTEST_PYTEST_PROFILE": directory}
        cases = [f"test_a.py::test_{name}" for name in ("no_space", "replaced", "environment")]
        path = self.path_of_cases(cases)
        status, records, printed = self.start(f"--run={path}", variables=variables)
        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
        self.assertEqual([record[2] for record in records if record[0] == "finished"], ["passed"] * 3, records)
        rows = self.profile_rows(directory)
        self.assertEqual(sum(row.get("lost", 0) for row in rows), 2)
        self.assertEqual(sum(row.get("fixture") in ("replaced", "after") for row in rows), 3)
        told, _, _ = Server(self, ["--path="], **variables).fork("gw0", cases, **variables).result()
        self.assertEqual([record[2] for record in told if record[0] == "finished"], ["passed"] * 3, told)
        self.assertEqual(sum(row.get("fixture") == "after" for row in self.profile_rows(directory)), 4)

    def test_dist_groups_tests_by_the_rules_of_xdist(self):
        self.write("test_m.py", """\
            import pytest
            @pytest.mark.parametrize("value", ["x::y"])
            def test_a(value): pass
            class TestB:
                @pytest.mark.xdist_group("port")
                def test_c(self): pass
                @pytest.mark.xdist_group(name="db")
                @pytest.mark.xdist_group("port")
                def test_d(self): pass
            @pytest.mark.xdist_group
            def test_e(): pass
            """)
        installed = importlib.util.find_spec("xdist")
        joins = not installed or [int(part) for part in metadata.version("pytest-xdist").split(".")[:2]] >= [3, 7]
        for mode, groups in {
            "no": ["", "", "", ""],
            "load": ["", "", "", ""],
            "loadfile": ["test_m.py"] * 4,
            "loadscope": ["test_m.py", "test_m.py::TestB", "test_m.py::TestB", "test_m.py"],
            "loadgroup": ["", "port", "db_port" if joins else "port", "default"],
        }.items():
            self.assertEqual([record[5] for record in self.list("--arg=--dist", f"--arg={mode}")], groups, mode)
            self.assertEqual(self.notes, [])
        self.list("--arg=--dist=each")
        self.assertEqual(self.notes, ["--dist each is none of dtest's: each test runs once, in dtest's order"])

    def test_locks_are_named_by_marks(self):
        self.write("test_m.py", """\
            import pytest
            lock = pytest.mark.dtest_lock
            pytestmark = lock("module")
            @lock("port", "db")
            class TestA:
                @lock("db", "a")
                @lock("\\u00e9 b")
                def test_a(self): pass
            def test_b(): pass
            @lock
            def test_none(): pass
            @lock("")
            def test_empty(): pass
            @lock("port", 8080)
            def test_number(): pass
            @lock(name="port")
            def test_keyword(): pass
            """)
        listing = self.list("--arg=--strict-markers")
        self.assertEqual([record[6:] for record in listing], [
            ["5", "a", "db", "module", "port", "\u00e9 b", "dtest_lock"], ["1", "module", "dtest_lock"],
            *[["0", "dtest_lock"]] * 4])
        results = list(self.run_cases([record[1] for record in listing], "--arg=--strict-markers").values())
        self.assertEqual([record[2] for record in results], ["passed", "passed", *["failed"] * 4])
        for record, name, mark in zip(results[2:], ("none", "empty", "number", "keyword"),
                                      ("", "''", "'port', 8080", "name='port'")):
            self.assertEqual(record[6], f"error in set-up: test_m.py::test_{name}: @pytest.mark.dtest_lock({mark}): it takes "
                                        "names of locks, which are texts that are not empty")

    def test_a_mark_that_takes_the_network_is_a_label(self):
        self.write("test_m.py", """\
            import pytest
            @pytest.mark.dtest_no_network
            class TestA:
                def test_a(self): pass
            def test_b(): pass
            @pytest.mark.dtest_no_network(False)
            def test_c(): pass
            """)
        listing = self.list("--arg=--strict-markers")
        self.assertEqual([record[6:] for record in listing], [["0", "dtest_no_network"], ["0"], ["0", "dtest_no_network"]])
        results = list(self.run_cases([record[1] for record in listing], "--arg=--strict-markers").values())
        self.assertEqual([record[2] for record in results], ["passed", "passed", "failed"])
        self.assertEqual(results[2][6], "error in set-up: test_m.py::test_c: @pytest.mark.dtest_no_network(False): it takes nothing")

    def test_what_cannot_be_listed_says_why_in_the_words_of_pytest(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for arguments, conftest, said in (
                (["--arg=--no-such-option"], "", "unrecognized arguments: --no-such-option"),
                ([], "import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
                ([], "raise SystemExit(0)\n", ""),
                ([], "import pytest\ndef pytest_sessionstart(): pytest.exit('not today')\n", "not today"),
                ([], "import os\nos._exit(0)\n", "")):
            with self.subTest(arguments=arguments, conftest=conftest):
                self.write("conftest.py", conftest)
                listing = os.path.join(self.directory, "listing")
                status, _, printed = self.start("--path=", f"--list={listing}", *arguments)
                self.assertIn(said, printed)
                if os.path.exists(listing):
                    with open(listing, "rb") as file:
                        self.assertEqual([record[0] for record in read_records(file.read())], ["collecting"])
                else:
                    self.assertNotEqual(status, 0, printed)

    def test_who_ends_the_process_while_it_is_configured_is_named(self):
        self.write("lib.py", "import sys\ndef leave(): sys.exit(0)\n")
        self.write("test_m.py", "def test_a(): pass\n")
        listing = os.path.join(self.directory, "listing")
        for conftest, place, code in (("import sys\nsys.exit(0)\n", "conftest.py:2", "0"),
                                      ("import lib\ndef pytest_configure(): lib.leave()\n", "", "")):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", conftest)
                status, _, printed = self.start("--path=", f"--list={listing}", variables={"PYTHONPATH": self.project})
                self.assertNotEqual(status, 0)
                if place:
                    self.assertEqual(printed.splitlines()[-1], f"dtest: {place} ends the process of pytest: sys.exit({code})")
                else:
                    self.assertIn("lib.py", printed)  # pytest says it

    def test_a_listing_that_cannot_be_written_says_so(self):
        self.write("test_m.py", "def test_a(): pass\n")
        said = "ERROR: dtest: the listing cannot be written: /dev/full: No space left on device"
        status, _, printed = self.start("--path=", "--list=/dev/full")
        self.assertEqual((status, printed.strip()), (4, said))
        self.assertTrue(os.path.exists("/dev/full"))
        _, printed, status = Server(self, ["--path="]).ask("gw0", "--list=/dev/full").result()
        self.assertEqual((status, printed.strip()), (4, said))

    def test_a_listing_tells_what_was_deselected_and_warned_of(self):
        self.write("pytest.ini", "[pytest]\naddopts = -m 'not slow'\nmarkers = slow: takes long\n")
        self.write("test_m.py", "import pytest\n\n" + "".join(
            f"@pytest.mark.{mark}\ndef test_{mark}(): pass\n" for mark in ("slow", "a", "b", "c", "d")))
        self.assertEqual([record[1] for record in self.list()], [f"test_m.py::test_{mark}" for mark in "abcd"])
        self.assertEqual(self.notes[0], "1 of 5 tests deselected by -m 'not slow'")
        self.assertRegex(self.notes[1], r"^pytest warns as it collects: PytestUnknownMarkWarning: Unknown pytest.mark.a .*"
                                        r" \(test_m.py:5\)$")
        self.assertEqual(self.notes[4:], ["pytest warns as it collects: 1 more; `pytest --collect-only` shows them"])
        # From a process that forks, the same.
        listing = os.path.join(self.directory, "listing")
        notes = self.notes
        self.assertEqual(Server(self, ["--path="]).ask("gw0", f"--list={listing}").result(), ([], "", 0))
        with open(listing, "rb") as file:
            self.assertEqual([record[1] for record in read_records(file.read()) if record[0] == "note"], notes)
        self.assertEqual(self.list("--arg=-k", "--arg=slow", "--arg=-m", "--arg=a"), [["nothing"]])
        self.assertEqual(self.notes[0], "5 of 5 tests deselected by -m 'a', -k 'slow'")

    def test_that_there_is_no_test_may_be_no_mistake(self):
        self.write("helper.py", "answer = 42\n")
        self.assertEqual(self.list(), [])
        self.assertEqual(self.list("--may-be-empty=yes"), [["nothing"]])
        self.write("nowhere/pytest.py", "raise ImportError('there is none')\n")
        listing = os.path.join(self.directory, "listing")
        without = {"PYTHONPATH": os.path.join(self.project, "nowhere")}
        # What it would collect is not known without it.
        for more in ([], ["--may-be-empty=yes"]):
            self.assertNotEqual(self.start("--path=", *more, f"--list={listing}", variables=without)[0], 0)

    def test_brackets_in_a_path_are_no_parameter(self):
        self.project = os.path.join(self.project, "of [mine]")
        self.write("pytest.ini", "")
        self.write("tests [old]/test_m.py", "import pytest\n\n@pytest.mark.parametrize('x', ['[', '::'])\ndef test_a(x): pass\n")
        cases = [f"tests [old]/test_m.py::test_a[{x}]" for x in ("[", "::")]
        self.assertEqual([record[1] for record in self.list()], cases)
        self.assertEqual([record[1] for record in self.list(paths=["tests [old]"])], cases)
        self.assertEqual([record[1] for record in self.list(paths=cases[:1])], cases[:1])
        self.assertEqual([record[2] for record in self.run_cases(cases).values()], ["passed", "passed"])

    def test_what_collection_breaks_is_told_and_where(self):
        """A process that is ended says what it imported; anything else is mended."""
        listing = os.path.join(self.directory, "listing")

        def last_of_listing():
            with open(listing, "rb") as file:
                return read_records(file.read())[-1]

        self.write("test_m.py", "import os\nos._exit(3)\n")
        status, _, _ = self.start("--path=", f"--list={listing}")
        self.assertEqual((status, last_of_listing()), (3, ["collecting", "test_m.py"]))
        self.write("conftest.py", "import os\nos._exit(3)\n")
        status, _, _ = self.start("--path=", f"--list={listing}")
        self.assertEqual((status, last_of_listing()), (3, ["collecting", ""]))
        os.remove(os.path.join(self.project, "conftest.py"))
        self.write("test_m.py", "import sys\nsys.exit('enough')\n")
        status, _, printed = self.start("--path=", f"--list={listing}")
        if status == 0:
            self.assertEqual(last_of_listing(), ["end", "1"])  # pytest 7: an error of that file
        else:
            self.assertIn("enough", printed)
        self.write("below/empty", "")
        self.write("test_m.py", """\
            import os, signal, sys
            print("x" * (1 << 20))
            os.chdir("below")
            os.close(1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            def test_a(): assert os.path.basename(os.getcwd()) == "below"
            """)
        self.assertEqual([record[1] for record in self.list()], ["test_m.py::test_a"])
        workers = Server(self, ["--path="])
        told, _, status = workers.fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual(([record[2] for record in told if record[0] == "finished"], status), (["passed"], 0))

    def test_workers_are_forked_from_one_that_has_collected_once(self):
        self.write("conftest.py", """\
            import os, sys
            with open(os.path.join(os.path.dirname(__file__), "collected"), "a") as file:
                file.write("once")
            """)
        self.write("test_m.py", """\
            import os, random, atexit
            import pytest

            @pytest.fixture(scope="session")
            def mine(tmp_path_factory, worker_id):
                return f"{worker_id} {tmp_path_factory.getbasetemp().name} {os.environ['TMPDIR']}"

            def test_a(mine, record_property, capfd):
                os.system("echo past Python")
                record_property("mine", mine)
                record_property("random", str(random.random()))

            def test_b():
                print("heard")
                assert 0

            def test_dies():
                atexit.register(print, "never")
                os._exit(5)

            def test_long(capfd):
                with capfd.disabled():
                    os.write(2, b"waiting\\n")
                import time
                time.sleep(1000)
            """)
        workers = Server(self, ["--path="])
        listing = os.path.join(self.directory, "listing")
        self.assertEqual(workers.ask("gw0", f"--list={listing}").result(), ([], "", 0))
        with open(listing, "rb") as file:
            self.assertEqual([record[1] for record in read_records(file.read())],
                             [f"test_m.py::test_{name}" for name in ("a", "b", "dies", "long")] + ["4"])
        first = workers.fork("gw0", ["test_m.py::test_a", "test_m.py::test_b"])
        second = workers.fork("gw1", ["test_m.py::test_a", "test_m.py::test_dies"])
        told, printed, status = first.result()
        self.assertEqual((printed, status), ("", 0))
        self.assertEqual([record[:3] for record in told if record[0] == "finished"],
                         [["finished", "0", "passed"], ["finished", "1", "failed"]])
        self.assertEqual(told[-1], ["end"])
        told = [record for record in told if record[0] == "finished"]
        self.assertIn("heard", told[1][7])
        others, printed, status = second.result()
        self.assertEqual((printed, status), ("", 5))
        self.assertEqual(others[-1], ["began", "1"])
        others = [record for record in others if record[0] == "finished"]
        properties = [dict(zip(records[0][9::2], records[0][10::2])) for records in (told, others)]
        self.assertEqual([each["mine"] for each in properties], ["gw0 popen-gw0 /tmp/gw0", "gw1 popen-gw1 /tmp/gw1"])
        self.assertNotEqual(properties[0]["random"], properties[1]["random"])
        third = workers.fork("gw1", ["test_m.py::test_long"])
        third.wait_for_output("waiting")
        os.kill(third.pid, signal.SIGTERM)
        _, printed, status = third.result()
        self.assertEqual(status, -signal.SIGTERM)
        self.assertIn("in test_long", printed)
        workers.close()
        with open(os.path.join(self.project, "collected"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "once")

    def test_a_worker_goes_on_with_what_it_has_made(self):
        """Fixtures of the session are made once, those of a module are kept where the next test is of it, too; hooks know
        what follows."""
        self.write("conftest.py", """\
            import time
            import pytest

            def say(what):
                with open("said", "a") as file:
                    file.write(what + "\\n")

            @pytest.fixture(scope="session", autouse=True)
            def costly():
                time.sleep(0.01)
                say("session up")
                yield
                say("session down")

            @pytest.fixture(scope="module")
            def module(request):
                say("up " + request.node.name)
                yield
                say("down " + request.node.name)

            def pytest_runtest_teardown(item, nextitem):
                say(f"{item.name} before {None if nextitem is None else nextitem.name}")
            """)
        for name in "ab":
            self.write(f"test_{name}.py", f"def test_{name}1(module): pass\ndef test_{name}2(module): pass\n")
        cases = {name: f"test_{name[0]}.py::test_{name}" for name in ("a1", "a2", "b1", "b2")}
        workers = Server(self, ["--path="])
        worker = workers.fork("gw0", [cases["b1"]])
        for name in ("b2", "a1"):
            told = worker.records_until("wants more")
            self.assertEqual([record[0] for record in told if record[0] != "shared"][-2:], ["began", "wants more"])
            path = os.path.join(self.directory, "more")
            with open(path, "wb") as file:
                file.write(cases[name].encode() + b"\0")
            worker.answer(f"--run={path}")
        told = worker.records_until("wants more")
        self.assertIn(["goes on"], told)
        with open(path, "wb") as file:
            file.write(b"test_gone.py::test_gone\0" + cases["a2"].encode() + b"\0")
        worker.answer(f"--run={path}")
        told = worker.records_until("wants more")
        self.assertEqual([record[:3] for record in told if record[0] != "shared"], [
            ["finished", "0", "passed"], ["goes on"], ["unknown", "0"], ["began", "1"], ["wants more"]])
        worker.answer()
        told, printed, status = worker.result()
        self.assertEqual(([record[:3] for record in told], printed, status),
                         ([["finished", "1", "passed"], ["end"]], "", 0))
        with open(os.path.join(self.project, "said"), encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), [
                "session up", "up test_b.py", "test_b1 before test_b2", "test_b2 before test_a1", "down test_b.py",
                "up test_a.py", "test_a1 before test_a2", "test_a2 before None", "down test_a.py", "session down"])

    def test_a_worker_that_keeps_nothing_ends_with_its_batch(self):
        self.write("test_m.py", "def test_a(): pass\n")
        told, _, status = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual(([record[0] for record in told], status), (["began", "finished", "end"], 0))

    def goes_on(self, *arguments):
        """A process that is started afresh, of two files; the second one follows if it asks. What it told, and what was collected."""
        self.write("conftest.py", """\
            import pytest

            def say(text):
                with open("said", "a") as file:
                    print(text, file=file)

            @pytest.fixture(scope="session", autouse=True)
            def session():
                say("session up")
                yield
                say("session down")
            """)
        for name in "ab":
            self.write(f"test_{name}.py", f"from conftest import say\nsay('collected {name}')\n\ndef test_{name}(): say('{name}')\n")
        process = Started(self, ["test_b.py::test_b"], *arguments)
        told = []
        if "--goes-on=yes" in arguments:
            told += process.records_until("wants more")
            process.answer("--run=" + self.path_of_cases(["test_a.py::test_a"]), "--goes-on=yes")
            told += process.records_until("wants more")
            process.answer()
        rest, printed, status = process.result()
        self.assertEqual((printed, status), ("", 0))
        with open(os.path.join(self.project, "said"), encoding="utf-8") as file:
            return [record[0] for record in told + rest], file.read().splitlines()

    def test_a_process_that_is_not_forked_goes_on_with_what_it_has_collected(self):
        told, said = self.goes_on("--goes-on=yes")
        self.assertEqual(told, ["began", "wants more", "finished", "goes on", "began", "wants more", "finished", "end"])
        self.assertEqual(said, ["collected a", "collected b", "session up", "b", "a", "session down"])

    def test_a_process_that_nothing_may_follow_collects_its_own_files(self):
        told, said = self.goes_on()
        self.assertEqual((told, said), (["began", "finished", "end"], ["collected b", "session up", "b", "session down"]))

    def test_a_worker_asks_for_more_whatever_a_test_has_replaced(self):
        self.write("test_m.py", """\
            import builtins, os, time, pytest

            @pytest.fixture(scope="session", autouse=True)
            def costly(): time.sleep(0.01)

            def nothing(*_, **__): raise AssertionError("a test has replaced it")

            def test_a(monkeypatch):
                monkeypatch.setattr(builtins, "open", nothing)
                for name in ("open", "read", "write", "fsdecode"):  # pytest itself needs others
                    monkeypatch.setattr(os, name, nothing)

            def test_b(): pass
            """)
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"])
        worker.records_until("wants more")
        path = os.path.join(self.directory, "more")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_b\0")
        worker.answer(f"--run={path}")
        told = worker.records_until("wants more")
        self.assertEqual([record[:3] for record in told],
                         [["finished", "0", "passed"], ["goes on"], ["began", "0"], ["wants more"]], told[0])
        worker.answer()
        told, _, status = worker.result()
        self.assertEqual(([record[:3] for record in told], status), ([["finished", "0", "passed"], ["end"]], 0))

    def test_what_follows_is_known_to_hooks_also_of_a_protocol_of_its_own(self):
        """As flaky has it, which replaces a function of pytest's runner."""
        self.write("conftest.py", """\
            from _pytest import runner

            def call_and_report(item, when, log=True, **arguments):
                hook = getattr(item.ihook, "pytest_runtest_" + when)
                call = runner.CallInfo.from_call(lambda: hook(item=item, **arguments), when=when)
                report = item.ihook.pytest_runtest_makereport(item=item, call=call)
                item.ihook.pytest_runtest_logreport(report=report)
                return report

            runner.call_and_report = call_and_report

            def pytest_runtest_teardown(item, nextitem):
                assert nextitem is None or type(nextitem).__name__ == "Function", nextitem
            """)
        self.write("below/conftest.py", "def pytest_runtest_teardown(item, nextitem): assert nextitem is None\n")
        self.write("below/test_m.py", """\
            import time, pytest

            @pytest.fixture(scope="session", autouse=True)
            def costly(): time.sleep(0.01)

            def test_a(): pass
            """)
        case = "below/test_m.py::test_a"
        worker = Server(self, ["--path="]).fork("gw0", [case])
        worker.records_until("wants more")
        worker.answer()
        self.assertEqual([record[2] for record in worker.result()[0] if record[0] == "finished"], ["passed"])
        # Not forked: nothing can follow.
        self.assertEqual(self.run_cases([case])[case][2], "passed")

    def test_a_worker_whose_agent_is_gone_makes_an_end(self):
        self.write("test_m.py", """\
            import time, pytest

            @pytest.fixture(scope="session")
            def costly():
                time.sleep(0.01)
                yield
                with open("down", "w"): pass

            def test_a(costly): pass
            """)
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_a"])
        worker.records_until("wants more")
        worker.report.shutdown(socket.SHUT_WR)
        told, _, status = worker.result()
        self.assertEqual(([record[0] for record in told], status), (["finished", "end"], 0))
        self.assertTrue(os.path.exists(os.path.join(self.project, "down")))

    def test_an_interrupt_is_no_verdict(self):
        self.write("test_m.py", """\
            import time

            def test_long(capfd):
                with capfd.disabled():
                    print("waiting", flush=True)
                time.sleep(1000)
            """)
        worker = Server(self, ["--path="]).fork("gw0", ["test_m.py::test_long"])
        worker.wait_for_output("waiting")
        os.kill(worker.pid, signal.SIGINT)
        told, _, status = worker.result()
        self.assertEqual(([record[0] for record in told], status), (["began"], 2))

    def test_what_cannot_be_forked_says_why(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for conftest, reason in (
                ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='poller').start()\n",
                 "!1 threads run after collection (poller)"),
                ("import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n",
                 "!PYTEST_XDIST_WORKER is read while tests are collected"),
                ("import os\nNAME = 'db_' + os.environ.copy()['PYTEST_XDIST_WORKER']\n",
                 "!PYTEST_XDIST_WORKER is read while tests are collected"),
                ("import json, os\nSHOWN = json.dumps({**os.environ})\n",
                 "!PYTEST_XDIST_WORKER is read while tests are collected"),
                ("def pytest_configure(config): config.name = config.workerinput['workerid']\n",
                 '!config.workerinput["workerid"] is read while tests are collected'),
                ("def pytest_collection_finish(session): session.config.of = dict(session.config.workerinput)\n",
                 '!config.workerinput["workerid"] is read while tests are collected')):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", conftest)
                workers = Server(self, ["--path="])
                self.assertEqual(workers.fork("gw0", ["test_m.py::test_a"]).said, reason)
                workers.close()

    def test_what_the_set_up_of_a_slot_exports_is_another_slots_in_another(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for conftest, reason in (
                ("URL = os.environ['DATABASE']\n", "!DATABASE is read while tests are collected"),
                ("os.environ.setdefault('SCHEMA', 'none')\n", "!SCHEMA is read while tests are collected"),
                ("URL = os.environb[b'DATABASE']\n", "!DATABASE is read while tests are collected"),
                ("URL = os.getenvb(b'SCHEMA')\n", "!SCHEMA is read while tests are collected"),
                ("assert os.environb[b'OF_HOST'] == b'1' and b'SCHEMA' in os.environb\n", ""),
                ("assert 'DATABASE' in os.environ and os.environ['OF_HOST'] == '1'\n", "")):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", "import os\n" + conftest)
                workers = Server(self, ["--path="], DATABASE="t0", SCHEMA="s", OF_HOST="1",
                                 DTEST_SLOT_VARIABLES="DATABASE SCHEMA")
                forked = workers.fork("gw0", ["test_m.py::test_a"])
                if reason:
                    self.assertEqual(forked.said, reason)
                else:
                    self.assertEqual(forked.result()[2], 0)
                workers.close()

    def test_plugins_add_to_the_input_of_a_worker(self):
        """As at the controller of pytest-xdist: a plugin that is there from the beginning, and one that registers its
        hook and asks for its value at once."""
        self.write("conftest.py", """\
            import os

            def say(what):
                with open(os.path.join(os.path.dirname(__file__), "said"), "a") as file:
                    file.write(what + "\\n")

            class Late:
                def pytest_configure_node(self, node):
                    node.workerinput["late"] = node.gateway.id + " late"

            def pytest_configure(config):
                config.pluginmanager.register(Late())
                if os.environ.get("ASKS"):
                    config.late = config.workerinput["late"]

            def pytest_configure_node(node):
                say("up " + node.gateway.id)
                node.workerinput["of"] = node.workerinput["workerid"] + " mine"
                node.workerinput["workerid"] = "nobody"

            def pytest_sessionfinish(session):
                session.config.workeroutput["told"] = "by the worker"

            def pytest_testnodedown(node, error):
                say(f"down {node.gateway.id} {node.workeroutput.get('told')} {error}")
            """)
        self.write("test_m.py", """\
            def test_a(request):
                given = request.config.workerinput
                assert (given["of"], given["late"]) == (given["workerid"] + " mine", given["workerid"] + " late")
                assert "nothing" not in given and given.get("nothing") is None
            """)
        said = os.path.join(self.project, "said")
        workers = Server(self, ["--path=", "--reports=no"])
        for name in ("gw0", "gw1"):
            told, printed, status = workers.fork(name, ["test_m.py::test_a"]).result()
            self.assertEqual(([record[2:7:4] for record in told if record[0] == "finished"], status),
                             ([["passed", ""]], 0), printed)
        with open(said, encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), [line for name in ("gw0", "gw1") for line in (
                f"up {name}", f"down {name} by the worker None")])
        self.assertEqual(self.run_cases(["test_m.py::test_a"])["test_m.py::test_a"][2], "passed")

        os.remove(said)
        workers = Server(self, ["--path="], ASKS="1", PYTEST_XDIST_WORKER="gw0")
        self.assertEqual(workers.fork("gw0", ["test_m.py::test_a"]).said,
                         '!config.workerinput["late"] is read while tests are collected')
        with open(said, encoding="utf-8") as file:
            self.assertEqual(file.read().split()[:3:2], ["up", "down"], "what it made is unmade")
        os.environ["ASKS"] = "1"
        self.addCleanup(os.environ.pop, "ASKS")
        self.assertEqual(self.run_cases(["test_m.py::test_a"])["test_m.py::test_a"][2], "passed")

    def test_a_hook_of_the_controller_may_stand_alone(self):
        self.write("conftest.py", """\
            def pytest_testnodedown(node, error):
                with open("down", "a") as file:
                    file.write(node.gateway.id)
            """)
        self.write("test_m.py", "def test_a(): pass\n")
        told, _, status = Server(self, ["--path=", "--reports=no"]).fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual(([record[2] for record in told if record[0] == "finished"], status), (["passed"], 0))
        self.assertEqual(self.run_cases(["test_m.py::test_a"], "--reports=no")["test_m.py::test_a"][2], "passed")
        with open(os.path.join(self.project, "down"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "gw0gw3")

    def test_a_worker_keeps_what_collection_set_and_gets_the_rest_of_its_own(self):
        os.makedirs(os.path.join(self.project, "below"))
        self.write("conftest.py", """\
            import os, platform, random
            platform.architecture()
            os.environ["APP_ENV"] = "test"
            os.environ["PATH"] = "/project/bin:" + os.environ["PATH"]
            del os.environ["DROPPED"]
            os.chdir(os.path.join(os.path.dirname(__file__), "below"))
            random.seed(7)
            expected = random.getstate()
            """)
        self.write("test_m.py", """\
            import os, random, subprocess, wsgiref.handlers
            import conftest
            assert "PYTEST_XDIST_WORKER" in os.environ  # whether it is a worker
            COPIES = [wsgiref.handlers.BaseHandler.os_environ]

            def test_environment():
                for copy in COPIES:
                    assert f"{copy['PYTEST_XDIST_WORKER']}" == "gw1" and copy["PYTEST_XDIST_WORKER"] == "gw1"
                    assert subprocess.check_output("echo $PYTEST_XDIST_WORKER", shell=True, env=copy) == b"gw1\\n"
                    spawned = os.posix_spawn("/bin/sh", ["sh", "-c", "test $PYTEST_XDIST_WORKER = gw1"], copy)
                    assert os.waitpid(spawned, 0)[1] == 0
                assert os.environ["APP_ENV"] == "test"
                assert os.environ["PATH"].startswith("/project/bin:")
                assert "DROPPED" not in os.environ
                assert os.environ["TMPDIR"] == "/tmp/gw1" and os.environ["PYTEST_XDIST_WORKER"] == "gw1"
                assert "ONLY_OF_THE_SERVER" not in os.environ

            def test_directory():
                assert os.path.basename(os.getcwd()) == "below"

            def test_random():
                assert random.getstate() == conftest.expected
            """)
        workers = Server(self, ["--path="], DROPPED="1", ONLY_OF_THE_SERVER="1")
        told, _, _ = workers.fork("gw1", [f"test_m.py::test_{name}" for name in ("environment", "directory", "random")]).result()
        results = [record[2:7:4] for record in told if record[0] == "finished"]
        self.assertEqual(results, [["passed", ""]] * 3)

    def test_passed_is_only_what_pytest_says_has_passed(self):
        self.write("conftest.py", """\
            import copy, types
            import pytest

            def pytest_runtest_protocol(item):
                return True if item.name == "test_swallowed" else None

            def pytest_runtest_logreport(report):
                if "test_subtest" in report.nodeid and report.when == "call" and not hasattr(report, "context"):
                    part = copy.copy(report)
                    part.context = types.SimpleNamespace(msg="third", kwargs={})
                    part.outcome, part.longrepr = "skipped", ("test_m.py", 1, "Skipped: not here")
                    pytest.config.hook.pytest_runtest_logreport(report=part)

            def pytest_configure(config):
                pytest.config = config
            """)
        self.write("test_m.py", """\
            import pytest

            @pytest.fixture
            def leaves_early():
                yield
                pytest.skip("no soap")

            def test_swallowed(): pass
            def test_teardown(leaves_early): pass
            def test_subtest(): pass
            def test_both(leaves_early): pytest.skip("no water")
            """)
        results = self.run_cases([f"test_m.py::test_{name}" for name in ("swallowed", "teardown", "subtest", "both")])
        told = [[record[2], record[6], record[8]] for record in results.values()]
        self.assertEqual(told, [
            ["failed", "pytest told of no result", ""],
            ["passed", "", "tear-down skipped: no soap (test_m.py:6)"],
            ["passed", "", "subtest third skipped: not here (test_m.py:1)"],
            ["skipped", "no water (test_m.py:11); no soap (test_m.py:6)", ""]])

    def test_a_module_that_skips_itself_is_told_of(self):
        self.write("test_m.py", "def test_a(): pass\n")
        self.write("test_other.py", "import pytest\npytest.importorskip('nothing_of_this_name')\ndef test_b(): pass\n")
        self.write("test_here.py", "import pytest\npytest.skip('not here', allow_module_level=True)\n")
        listing = self.list()
        self.assertEqual([record[:2] for record in listing],
                         [["case", "test_m.py::test_a"], ["error", "test_here.py"], ["error", "test_other.py"]])
        cases = ["test_m.py::test_a", "test_here.py", "test_here.py::test_c", "test_other.py"]  # test_c: listed elsewhere
        results = self.run_cases(cases)
        self.assertEqual([results[case][2] for case in cases], ["passed", "skipped", "skipped", "skipped"])
        self.assertEqual(results["test_here.py::test_c"][6], "not here (test_here.py:2)")
        self.assertIn("nothing_of_this_name", results["test_other.py"][6])
        self.run_cases(["test_here.py"])

    def test_a_status_that_no_test_explains_is_not_taken_as_whole(self):
        self.write("conftest.py", "def pytest_sessionfinish(session): session.exitstatus = 1\n")
        self.write("test_m.py", "def test_a(): pass\ndef test_b(): assert 0\n")
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_a\0")
        listing = os.path.join(self.directory, "listing")
        server = Server(self, ["--path="])
        for status, records, printed in (
                self.start(f"--run={path}"), self.start("--path=", f"--list={listing}"),
                *((status, records, printed) for records, printed, status in (
                    server.fork("gw0", ["test_m.py::test_a"]).result(), server.ask("gw0", f"--list={listing}").result()))):
            self.assertEqual(status, 1)
            self.assertNotIn(["end"], records)
            self.assertIn("pytest ends with status 1, and nothing that it tells of is the reason", printed)
        self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])  # one failed: it says no more

    def test_what_breaks_off_the_session_fails_the_case_that_ran(self):
        self.write("conftest.py", """\
            def pytest_runtest_logstart(nodeid):
                assert "test_internal" not in nodeid, "a hook breaks"
            """)
        self.write("test_m.py", """\
            def test_interrupt(): raise KeyboardInterrupt("by hand")
            def test_internal(): pass
            """)
        path = os.path.join(self.directory, "cases")
        for case, message in (("interrupt", "KeyboardInterrupt: by hand"), ("internal", "AssertionError: a hook breaks")):
            with self.subTest(case=case):
                with open(path, "wb") as file:
                    file.write(f"test_m.py::test_{case}\0".encode())
                status, records, _ = self.start(f"--run={path}")
                self.assertNotEqual(status, 0)
                self.assertEqual([record[:3] for record in records], [["began", "0"], ["finished", "0", "failed"]])
                self.assertTrue(records[1][6].startswith(message), records[1][6])
                self.assertIn("Traceback", records[1][7])

    def test_it_starts_where_the_directory_of_scripts_is_not_searched(self):
        self.write("test_m.py", """\
            import os, sys

            def test_a():
                assert not [path for path in sys.path if path.endswith("agent/pytest")]
            """)
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_a\0")
        for variables in ({}, {"PYTHONSAFEPATH": "1"}):
            status, records, printed = self.start(f"--run={path}", variables=variables)
            self.assertEqual((status, [record[2] for record in records if record[0] == "finished"]), (0, ["passed"]), printed)

    def test_a_test_that_leaves_keeps_its_verdict_and_the_batch_is_not_whole(self):
        self.write("test_m.py", "import pytest\n\ndef test_a(): pytest.exit('enough')\n\ndef test_b(): pass\n")
        path = os.path.join(self.directory, "cases")
        with open(path, "wb") as file:
            file.write(b"test_m.py::test_a\0test_m.py::test_b\0")
        status, records, _ = self.start(f"--run={path}")
        self.assertNotEqual(status, 0)
        self.assertEqual([record[:3] for record in records], [["began", "0"], ["finished", "0", "failed"]])
        self.assertEqual(records[1][6], "pytest.exit: enough")


if __name__ == "__main__":
    if importlib.util.find_spec("pytest") is None:
        print(f"skipped: {sys.executable} has no pytest (apt-get install python3-pytest)")
        sys.exit(SKIPPED)
    unittest.main()
