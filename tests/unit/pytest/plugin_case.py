"""What runs the plugin of pytest by itself, as the agent does it: for the tests beside it, each of which is run with the directory of the plugin
(agent/pytest) as the only argument.
"""

import array
import ctypes
import importlib.util
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

    def __init__(self, test, cases, *arguments, **variables):
        self.report, theirs = socket.socketpair()
        process = test.begin(theirs.fileno(), "--path=", f"--run={test.path_of_cases(cases)}", *arguments, variables=variables,
                             stdout=subprocess.PIPE)
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


def main():
    if importlib.util.find_spec("pytest") is None:
        print(f"skipped: {sys.executable} has no pytest (apt-get install python3-pytest)")
        sys.exit(SKIPPED)
    unittest.main()
