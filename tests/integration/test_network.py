"""--no-network: tests that reach their own host and no other, on ssh hosts and here."""

import importlib.util
import os
import subprocess
import sys
import textwrap
import unittest

import harness
from farm import HostSpec
from harness import FAILED, PASSED, USAGE, DtestCase, FarmCase

PYTHON = "/usr/bin/python3"
FORBIDDEN = "which --no-network forbids"

# A plain test: reaches another host.
PLAIN = f"""\
    #!{PYTHON} -B
    import os, socket
    host, port = os.environ["ADDRESS"].split(":")
    socket.create_connection((host, int(port)), 20).close()
    """

CONFTEST = """\
    import os, socket, threading

    def reach(address):
        host, port = address.split(":")
        try:
            socket.create_connection((host, int(port)), 20).close()
        except OSError as error:
            return error.strerror
        return "reached"

    if "THREAD" in os.environ:  # so nothing can be forked
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    if "EARLY" in os.environ:
        reach(os.environ["ADDRESS"])
    """
TEST_A = """\
    import os, socket
    import pytest
    from conftest import reach

    def test_free():
        assert reach(os.environ["ADDRESS"]) == "reached"

    @pytest.mark.dtest_no_network
    def test_marked():
        assert reach(os.environ["ADDRESS"]) == "Network is unreachable"

    class TestOther:
        def test_free_too(self):
            assert reach(os.environ["ADDRESS"]) == "reached"

        def test_here(self):
            with socket.create_server(("127.0.0.1", 0)) as server:
                assert reach("127.0.0.1:%d" % server.getsockname()[1]) == "reached"
    """

# Says why no filter with a listener can be had.
FILTER = """\
    import ctypes, os, struct
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000))
    libc.prctl(38, 1, 0, 0, 0)
    if libc.syscall(number, 1, 8, struct.pack("HxxxxxxP", 1, ctypes.addressof(code))) < 0:
        print(os.strerror(ctypes.get_errno()))
    """
WHY_NOT = subprocess.run([PYTHON, "-c", textwrap.dedent(FILTER)], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

# Runs a program under a filter that forbids filters, as containers are.
NO_SECCOMP = """\
    import ctypes, os, struct, sys
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
    program = b"".join(struct.pack("HBBI", *one) for one in [
        (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)])
    code = ctypes.create_string_buffer(program)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
    libc.prctl(22, 2, filters)  # fails where they are forbidden already
    os.execv(sys.argv[1], sys.argv[1:])
    """


class BadInputTest(DtestCase):

    def test_where_the_kernel_is_not_let_it_is_an_error_and_nothing_runs(self):
        launcher = self.write("launcher.py", textwrap.dedent(NO_SECCOMP))
        self.write("tests/reach_test", f"#!/bin/sh\necho ran >> {self.path('ran')}\n", 0o755)
        for options, code in ([], PASSED), (["--no-network"], FAILED):
            done = subprocess.run(
                [PYTHON, launcher, os.environ["DTEST_BINARY"], "tests", *options, "--cache-dir", self.path("cache"),
                 "--state-dir", self.path("state")],
                cwd=self.directory, env=self.environment(), capture_output=True, text=True, timeout=100, check=False)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        said = done.stdout + done.stderr
        self.assertIn("no host can run this executable: local: cannot keep tests from the network: "
                      "seccomp(SECCOMP_SET_MODE_FILTER): Operation not permitted (what it runs in, a container perhaps, "
                      "forbids it, and this is ", said)
        self.assertIn("run without --no-network there, or leave this host out", said)
        with open(self.path("ran"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "ran\n")

    def test_values(self):
        self.write("dtest.toml", '[[override]]\nfilter = "a"\nnetwork = "none"\n')
        result = self.dtest(self.suite("network_test"), reports=False)
        self.assertExit(result, USAGE)
        self.assertSays(result, "dtest.toml:3:11: network: ")


@unittest.skipIf(WHY_NOT, f"no test can be kept from the network here: no seccomp filter with a listener can be had: {WHY_NOT}")
class NetworkTest(FarmCase):
    specs = staticmethod(lambda: [HostSpec("h1"), HostSpec("h2"), HostSpec("h4", busybox=True)])

    def setUp(self):
        super().setUp()
        self.address = f"{self.farm['h2'].address}:22"
        self.told = f"tried to reach {self.address}, {FORBIDDEN}"
        self.variables = ["--env", f"ADDRESS={self.address}"]

    def on(self, host):
        return [*self.on_farm(host), *self.variables]

    def project(self, conftest=CONFTEST, test=TEST_A):
        self.write("tests/conftest.py", textwrap.dedent(conftest))
        self.write("tests/test_a.py", textwrap.dedent(test))
        self.write("pytest.ini", "[pytest]\naddopts = --strict-markers\npythonpath = tests\n")
        return "tests"

    def verdicts(self, result):
        return {name.rpartition("::")[2]: outcome for (_, name), outcome in result.verdicts().items()}

    def warnings(self, result):
        return {event["name"].rpartition("::")[2]: event.get("warning", "") for event in result.attempts()}

    # ---- Any program ---------------------------------------------------------------------------------------------

    def test_a_program_reaches_its_own_host_only(self):
        self.write("tests/reach_test", textwrap.dedent(PLAIN), 0o755)
        self.assertExit(self.dtest(*self.on("h1"), "tests"), PASSED)
        # Its own sshd it reaches: on h2 that is no other host.
        self.assertExit(self.dtest(*self.on("h2"), "--no-network", "tests"), PASSED)
        kept = self.dtest(*self.on("h1"), "--no-network", "tests")
        self.assertExit(kept, FAILED)
        self.assertSays(kept, "Network is unreachable", self.told)
        self.assertHostsClean()

    def test_cases_of_googletest_are_told_of_one_by_one(self):
        tests = self.suite("network_test")
        free = self.dtest(*self.on("h1"), tests)
        self.assertExit(free, PASSED)
        self.assertNotIn("tried to reach", free.text)
        kept = self.dtest(*self.on("h1"), "--no-network", tests)
        self.assertExit(kept, FAILED)
        self.assertEqual({name: outcome for (_, name), outcome in kept.verdicts().items()},
                         {"Network.ReachesOut": "failed", "Network.DoesWithout": "passed", "Network.StaysHere": "passed"})
        self.assertEqual(self.warnings(kept), {"Network.ReachesOut": "", "Network.DoesWithout": self.told,
                                               "Network.StaysHere": ""})
        self.assertIn(self.told, next(event["message"] for event in kept.attempts() if event["outcome"] == "failed"))
        failures = [failure for case in kept.junit().values() for failure in case.iter("failure")]
        self.assertEqual([self.told in failure.get("message") + (failure.text or "") for failure in failures], [True])
        # A host without a C library: the filter is the kernel's.
        bare = self.dtest(*self.on("h4"), "--no-network", tests)
        self.assertEqual(self.warnings(bare), self.warnings(kept))

    def test_overrides_and_the_file(self):
        tests = self.suite("network_test")
        self.write("dtest.toml", '[[override]]\nfilter = "name(DoesWithout)"\nnetwork = false\n')
        some = self.dtest(*self.on("h1"), tests)
        self.assertExit(some, PASSED)
        self.assertEqual(self.warnings(some)["Network.DoesWithout"], self.told)
        self.assertEqual(self.warnings(some)["Network.ReachesOut"], "")
        self.write("dtest.toml", 'network = false\n[[override]]\nfilter = "name(ReachesOut)"\nnetwork = true\n')
        most = self.dtest(*self.on("h1"), tests)
        self.assertExit(most, PASSED)
        self.assertEqual(self.warnings(most)["Network.DoesWithout"], self.told)
        # What the command line says of all is stronger than what the file says of some.
        self.assertExit(self.dtest(*self.on("h1"), "--no-network", tests), FAILED)
        free = self.dtest(*self.on("h1"), "--network", tests)
        self.assertExit(free, PASSED)
        self.assertNotIn("tried to reach", free.text)

    def test_a_case_is_reproduced_without_network(self):
        tests = self.suite("network_test")
        self.assertExit(self.dtest(*self.on("h1"), "--no-network", tests), FAILED)
        again = self.dtest("reproduce", "Network.ReachesOut", reports=False)
        self.assertExit(again, FAILED)
        self.assertSays(again, self.told)

    def test_what_set_ups_start_is_reached_and_they_have_a_network(self):
        self.write("dtest.toml", textwrap.dedent(f"""\
            [setup.host]
            command = '''
            {PYTHON} -c 'import os, socket; host, port = os.environ["ADDRESS"].split(":"); socket.create_connection((host, int(port)), 20)' || exit 1
            {PYTHON} -c 'import os, socket
            server = socket.create_server(("127.0.0.1", 0))
            print("SERVER=127.0.0.1:%d" % server.getsockname()[1], flush=True)
            if os.fork() == 0:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDWR), 1)
                os.dup2(1, 2)
                while True: server.accept()[0].close()'
            '''
            """))
        self.write("tests/reach_test", textwrap.dedent(PLAIN).replace('"ADDRESS"', '"SERVER"'), 0o755)
        result = self.dtest(*self.on("h1"), "--no-network", "tests")
        self.assertExit(result, PASSED)
        self.assertNotIn("tried to reach", result.text)

    # ---- pytest --------------------------------------------------------------------------------------------------

    def check_project(self, *more):
        tests = self.project()
        free = {"test_free": "passed", "test_free_too": "passed", "test_marked": "passed", "test_here": "passed"}
        marked = self.dtest(*self.on("h1"), *more, tests)
        self.assertExit(marked, PASSED)
        self.assertEqual(self.verdicts(marked), free)
        self.assertEqual(self.warnings(marked), {**dict.fromkeys(free, ""), "test_marked": self.told})
        kept = self.dtest(*self.on("h1"), *more, "--no-network", tests)
        self.assertExit(kept, FAILED)
        self.assertEqual(self.verdicts(kept), {**free, "test_free": "failed", "test_free_too": "failed"})
        for event in kept.attempts():
            self.assertEqual(self.told in event.get("message", ""), event["outcome"] == "failed", event)
        # A mark is stronger than what settings say; they decide of the others.
        self.write("dtest.toml", '[[override]]\nfilter = "all()"\nnetwork = true\n'
                                 '[[override]]\nfilter = "name(test_free_too)"\nnetwork = false\n')
        mixed = self.dtest(*self.on("h1"), *more, tests)
        self.assertEqual(self.verdicts(mixed), {**free, "test_free_too": "failed"})
        self.assertEqual(self.warnings(mixed)["test_marked"], self.told)
        self.assertHostsClean("h1")
        return marked, kept

    @unittest.skipUnless(importlib.util.find_spec("pytest"), "no pytest (apt-get install python3-pytest)")
    def test_forked_tests_of_pytest(self):
        for result in self.check_project():
            self.assertNotIn("collects anew", result.text)

    @unittest.skipUnless(importlib.util.find_spec("pytest"), "no pytest (apt-get install python3-pytest)")
    def test_tests_of_pytest_that_cannot_be_forked(self):
        for result in self.check_project("--env", "THREAD=1"):
            self.assertSays(result, "every process collects anew, since none can be forked")

    @unittest.skipUnless(importlib.util.find_spec("pytest"), "no pytest (apt-get install python3-pytest)")
    def test_collection_has_no_network_either_and_says_so(self):
        tests = self.project(test="def test_a(): pass\n")
        early = ["--env", "EARLY=1"]
        result = self.dtest(*self.on("h1"), *early, "--no-network", tests)
        self.assertExit(result, PASSED)
        self.assertSays(result, f"h1: a process of pytest tried to reach {self.address} outside of its cases, {FORBIDDEN}")
        free = self.dtest(*self.on("h1"), *early, tests)
        self.assertNotIn("tried to reach", free.text)
        listed = self.dtest("list", *self.on("h1"), *early, "--no-network", "--no-list-cache", tests, reports=False)
        self.assertExit(listed, PASSED)
        self.assertSays(listed, f"tried to reach {self.address}")


if __name__ == "__main__":
    harness.main(farm=True)
