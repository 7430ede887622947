"""What the integration tests share: running dtest, reading what it wrote, waiting for something to happen.

A test file is a unittest module that ends with

    if __name__ == "__main__":
        harness.main(farm=True)

CTest gives DTEST_BINARY (the program), DTEST_FIXTURES (tests/fixtures' build directory) and DTEST_GOOGLETEST (where
GoogleTest's own tests were built). A single case: `... test_local.py LocalTest.test_names`.
"""

import base64
import dataclasses
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import xml.etree.ElementTree as ElementTree

import namespaces
from farm import Farm, ordinary_hosts

# Exit statuses of dtest.
PASSED, FAILED, INTERRUPTED, BROKEN, USAGE, NOTHING = range(6)

UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "K": 2**10, "M": 2**20,
         "G": 2**30}


def main(farm=False):
    """Runs the module's tests. Exits 0, 1, or namespaces.SKIPPED where no test could run."""
    if farm:
        namespaces.enter()
    program = unittest.main(verbosity=2, exit=False, module="__main__")
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(namespaces.SKIPPED if result.skipped and len(result.skipped) >= result.testsRun else 0)


def text_of(value):
    """A string of the event log: text, or bytes that are no UTF-8."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def base_name(unit):
    """Of a unit's name, which is a path."""
    return unit.rsplit("/" if isinstance(unit, str) else b"/", 1)[-1]


def wait_until(condition, what, seconds=60):
    """Returns condition()'s first true value; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)  # what is waited for has no way to call


@dataclasses.dataclass
class Result:
    """A finished run of dtest and the files it was told to write."""
    code: int
    stdout: str
    stderr: str
    junit_path: str
    events_path: str

    @property
    def text(self):
        return self.stdout + self.stderr

    def events(self, kind=None):
        with open(self.events_path, encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        return [event for event in events if kind in (None, event["event"])]

    def attempts(self):
        """The attempts that ended, with the properties that came after them."""
        attempts = {}
        for event in self.events():
            key = tuple(event.get(name) for name in ("executable_id", "index", "iteration", "attempt"))
            if event["event"] == "case_ended":
                if key in attempts:
                    raise AssertionError(f"{event['name']} has two verdicts for one attempt: {attempts[key]}, {event}")
                attempts[key] = event
            elif event["event"] == "case_properties":
                attempts[key].setdefault("properties", []).extend(event["properties"])
        return list(attempts.values())

    def verdicts(self, whole_names=False):
        """(executable, case) -> outcome, of the final attempts. Fails if a case has two. Executables by their base
        names, unless `whole_names`, or two of them have the same."""
        executables = {text_of(event["executable"]) for event in self.events("case_ended")}
        whole_names |= len({base_name(name) for name in executables}) < len(executables)
        verdicts = {}
        for event in self.attempts():
            if event["final"]:
                executable, name = text_of(event["executable"]), text_of(event["name"])
                if not whole_names:
                    name = base_name(name) if name == executable else name  # a plain one's case is named like it
                    executable = base_name(executable)
                key = (executable, name, event["iteration"])
                if key in verdicts:
                    raise AssertionError(f"{key} has two final verdicts")
                verdicts[key] = event["outcome"]
        return {key if key[2] != 1 else key[:2]: outcome for key, outcome in verdicts.items()}

    def names(self):
        """case -> outcome, where only one executable ran."""
        return {key[1]: outcome for key, outcome in self.verdicts().items()}

    def junit(self, whole_names=False):
        """(classname, name) -> the testcase element, with the base name of the executable in classname and (a plain one)
        name, unless `whole_names` or two have the same; less the one that says that the run did not complete, which
        is in `run_error` then. Fails if the file is not what CI systems rely on."""
        root = ElementTree.parse(self.junit_path).getroot()
        if root.tag != "testsuites":
            raise AssertionError(f"the root of the JUnit file is <{root.tag}>")
        units = [suite.get("name") for suite in root.iter("testsuite")]
        whole_names |= len(set(map(base_name, units))) < len(set(units))
        cases = {}
        for suite in root.iter("testsuite"):
            inside = list(suite.iter("testcase"))
            for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                count = sum(case.find(tag) is not None for case in inside)
                if int(suite.get(attribute, "-1")) != count:
                    raise AssertionError(
                        f"suite {suite.get('name')} says {attribute}={suite.get(attribute)}, has {count}")
            if int(suite.get("tests")) != len(inside):
                raise AssertionError(f"suite {suite.get('name')} says tests={suite.get('tests')}, has {len(inside)}")
            unit = suite.get("name")
            for case in inside:
                key = (case.get("classname"), case.get("name"))
                if not whole_names:
                    key = tuple(base_name(unit) + text[len(unit):] if text.startswith(unit) else text for text in key)
                if key in cases:
                    raise AssertionError(f"{key} is in the JUnit file twice")
                if not re.fullmatch(r"\d+(\.\d+)?", case.get("time")):
                    raise AssertionError(f"{key}: time={case.get('time')}")
                cases[key] = case
        self.run_error = cases.pop(("dtest", "[run]"), None)
        return cases

    def junit_kinds(self):
        """(classname, name) -> "passed", "failure", "error" or "skipped"."""
        return {key: next((tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None), "passed")
                for key, case in self.junit().items()}

    def shipped(self):
        """Bytes that the closing summary says were shipped."""
        match = re.search(r"shipped ([\d.,]+) ?([KMG]?i?B?)\b", self.text)
        if not match:
            raise AssertionError(f"no `shipped ...` in the summary:\n{self.text}")
        return float(match[1].replace(",", "")) * UNITS[match[2].upper() or "B"]

    def hosts_used(self):
        return {event["host"] for event in self.attempts() if "host" in event}


class Running:
    """A dtest that was started and may be signalled."""

    def __init__(self, command, environment, directory, junit_path, events_path, terminal=None, stdout=None):
        """`terminal`: a descriptor of a terminal to be its controlling one, on which programs ask for passwords.
        `stdout`: where its standard output goes in place of the result's."""
        self.junit_path, self.events_path = junit_path, events_path
        self.stdout = tempfile.TemporaryFile("w+", errors="replace")
        self.stderr = tempfile.TemporaryFile("w+", errors="replace")
        take = None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=stdout or self.stdout, stderr=self.stderr, start_new_session=terminal is not None, preexec_fn=take)

    def events(self, kind):
        """What is in the event log so far."""
        if not os.path.exists(self.events_path):
            return []
        with open(self.events_path, encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")[:-1]
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def wait_for(self, kind, count=1, seconds=60):
        """Waits until `count` events of this kind are in the log."""

        def enough():
            if self.process.poll() is not None and len(self.events(kind)) < count:
                raise AssertionError(f"dtest ended before {count} {kind}:\n{self.finish(1).text}")
            return len(self.events(kind)) >= count

        wait_until(enough, f"{count} {kind}", seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def said(self):
        """Its standard output so far."""
        return os.pread(self.stdout.fileno(), 1 << 20, 0).decode(errors="replace")

    def finish(self, seconds=120):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"dtest did not end within {seconds} s; it said:\n{self._read()}") from None
        text = self._read()
        result = Result(code, *text, self.junit_path, self.events_path)
        self.close()
        return result

    def _read(self):
        texts = []
        for file in (self.stdout, self.stderr):
            file.seek(0)
            texts.append(file.read())
        return tuple(texts)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stdout.close()
        self.stderr.close()


class DtestCase(unittest.TestCase):
    """Each test has a directory of its own, with dtest's cache and state in it."""

    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dtest-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.runs = 0

    # ---- Input -----------------------------------------------------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write(self, name, content, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def suite(self, *names, directory="tests"):
        """A directory with copies of these fixtures; returns its path."""
        os.makedirs(self.path(directory), exist_ok=True)
        for name in names:
            shutil.copy(fixture(name), self.path(directory))
        return self.path(directory)

    # ---- Running ---------------------------------------------------------------------------------------------------

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("DTEST_", "GTEST_", "SSH_", "XDG_", "CI", "GITHUB_", "GITLAB_"))}
        kept.update({"HOME": self.path("home"), "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **more})
        os.makedirs(self.path("home"), exist_ok=True)
        return kept

    def start(self, *arguments, reports=True, directory=None, env=None, terminal=None, stdout=None):
        self.runs += 1
        junit, events = self.path(f"junit-{self.runs}.xml"), self.path(f"events-{self.runs}.jsonl")
        end = arguments.index("--") if "--" in arguments else len(arguments)  # what follows is for the tests
        command = [os.environ["DTEST_BINARY"], *arguments[:end], "--cache-dir", self.path("cache"), "--state-dir",
                   self.path("state")]
        if reports:
            command += ["--junit", junit, "--events", events]
        command += arguments[end:]
        running = Running(command, self.environment(**(env or {})), directory or self.directory, junit, events,
                          terminal, stdout)
        self.addCleanup(running.close)
        return running

    def dtest(self, *arguments, seconds=120, **options):
        return self.start(*arguments, **options).finish(seconds)

    def terminal(self):
        """A terminal at which nobody types."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        return slave

    def assertExit(self, result, code):
        self.assertEqual(result.code, code, f"dtest said:\n{result.text}")

    def assertSays(self, result, *texts):
        for text in texts:
            self.assertIn(text.lower(), result.text.lower())


class FarmCase(DtestCase):
    """Tests that share a farm; a test that damages a host repairs it (power_off, power_on)."""

    specs = staticmethod(ordinary_hosts)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.farm = cls.enterClassContext(Farm(cls.specs()))

    def on_farm(self, *names):
        """The options that make dtest use these hosts, default all."""
        return ["--hosts", self.farm.hosts_file(*names), "--ssh-config", self.farm.ssh_config]

    def assertHostsClean(self, *names):
        """No process, temporary file or run tree of ours is left on these hosts (default all that are on)."""
        for host in [self.farm[name] for name in names] or self.farm.hosts.values():
            if host.pid is None:
                continue
            try:
                wait_until(lambda: not host.processes(), f"the end of the processes on {host.name}", seconds=15)
            except AssertionError as error:
                raise AssertionError(f"{error}: {host.processes()}") from None
            self.assertEqual(host.temporary_files(), [], f"left on {host.name}")
            trees = host.path(f"{host.home}/.cache/dtest/trees")
            self.assertEqual(os.listdir(trees) if os.path.isdir(trees) else [], [], f"trees left on {host.name}")


def fixture(name):
    """Path of a fixture executable."""
    return os.path.join(os.environ["DTEST_FIXTURES"], "bin", name)
