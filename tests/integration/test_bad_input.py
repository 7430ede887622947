"""Wrong input: one clear error, the right exit status, nothing half-done."""

import os

import harness
from harness import BROKEN, FAILED, NOTHING, PASSED, USAGE, DtestCase, fixture


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class HostsFileTest(DtestCase):

    def hosts(self, content):
        return self.dtest("--hosts", self.write("hosts.txt", content), self.suite("mixed_test"), seconds=20)

    def test_missing(self):
        result = self.dtest("--hosts", self.path("nothing.txt"), self.suite("mixed_test"))
        self.assertExit(result, USAGE)
        self.assertSays(result, "nothing.txt", "No such file")

    def test_bad_lines(self):
        for content, texts in (
                ("", ["hosts.txt"]),
                ("# only a comment\n\n", ["hosts.txt"]),
                ("good\nbad slots=many\n", ["hosts.txt:2:"]),
                ("good\n\n  other slots=0\n", ["hosts.txt:3:", "slots=0"]),
                ("good colour=red\n", ["hosts.txt:1:6", "colour"]),
                ("twice\nother\ntwice\n", ["hosts.txt:3:", "twice"]),
                ("node[01-\n", ["hosts.txt:1:", "node["]),
                ("node[5-1]\n", ["hosts.txt:1:"]),
                ("node[1-999999999]\n", ["hosts.txt:1:"]),
                ("host:notaport\n", ["hosts.txt:1:"]),
                ("pod command=\"unfinished\n", ["hosts.txt:1:"]),
                ("\x00\x01\x02", ["hosts.txt:1:"])):
            with self.subTest(content=content):
                result = self.hosts(content)
                self.assertExit(result, USAGE)
                self.assertSays(result, *texts)
                self.assertFalse(os.path.exists(result.junit_path), "a JUnit file of a run that never was")

    def test_a_directory_and_an_unreadable_name(self):
        result = self.dtest("--hosts", self.directory, self.suite("mixed_test"))
        self.assertExit(result, USAGE)


class PathTest(DtestCase):

    def refused(self, path, *texts, code=USAGE):
        result = self.dtest(path, seconds=30)
        self.assertExit(result, code)
        self.assertSays(result, *texts)
        return result

    def test_paths(self):
        self.refused(self.path("nothing"), "nothing", "does not exist")
        os.mkdir(self.path("empty"))
        self.refused(self.path("empty"), "empty", code=NOTHING)
        self.write("docs/readme.txt", "text")
        self.refused(self.path("docs"), "docs", code=NOTHING)
        self.refused(self.write("not_executable_test", contents(fixture("mixed_test"))), "not_executable_test",
                     "executable")
        os.symlink("nowhere", self.path("dangling_test"))
        self.refused(self.path("dangling_test"), "dangling_test")
        self.refused(self.write("script_test", "echo no shebang\n", 0o755), "script_test")
        self.refused("/dev/null", "/dev/null")

    def test_damaged_executables(self):
        whole = contents(fixture("mixed_test"))
        for size in (3, 20, 63, 64, 1000, len(whole) // 2):
            with self.subTest(size=size):
                self.refused(self.write("truncated_test", whole[:size], 0o755), "truncated_test")

    def test_another_architecture(self):
        whole = bytearray(contents(fixture("mixed_test")))
        whole[18:20] = (183).to_bytes(2, "little")  # EM_AARCH64
        result = self.dtest(self.write("arm_test", bytes(whole), 0o755), seconds=30)
        self.assertIn(result.code, (FAILED, BROKEN, USAGE))
        self.assertSays(result, "aarch64", "arm_test")

    def test_bad_entries_of_a_directory_do_not_hide_the_good_ones(self):
        self.suite("flaky_test")
        os.symlink("nowhere", self.path("tests/dangling_test"))
        self.write("tests/truncated_test", contents(fixture("mixed_test"))[:500], 0o755)
        self.write("tests/readme.txt", "text")
        result = self.dtest(self.path("tests"), "-k", "AlwaysPasses")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names().get("Flaky.AlwaysPasses"), "passed")
        self.assertSays(result, "CANNOT LIST tests/dangling_test", "CANNOT LIST tests/truncated_test", "truncated")
        self.assertIn('"tests/truncated_test"', contents(result.junit_path).decode())

    def test_what_cannot_be_started_fails_the_run(self):
        good = contents(fixture("flaky_test"))
        self.write("tests/good_test", good, 0o755)
        self.write("tests/forgotten", good)
        self.write("tests/first_test.sh", "exit 1\n", 0o755)
        self.write("tests/dos_test.sh", "#!/bin/sh\r\nexit 1\r\n", 0o755)
        self.write("tests/lost_test.sh", "#!/no/such/shell\nexit 1\n", 0o755)
        selected = ["-k", "AlwaysPasses"]
        result = self.dtest(self.path("tests"), *selected)
        self.assertExit(result, FAILED)
        self.assertSays(result, "cannot list tests/forgotten", "chmod +x", "cannot list tests/first_test.sh", "no #! line",
                        "cannot list tests/dos_test.sh", "carriage return", "cannot list tests/lost_test.sh", "/no/such/shell")
        kinds = {name: kind for (name, case), kind in result.junit_kinds().items() if case == "[listing]"}
        self.assertEqual(kinds, dict.fromkeys(["forgotten", "first_test.sh", "dos_test.sh", "lost_test.sh"], "error"))
        self.assertEqual(result.names(), {"Flaky.AlwaysPasses": "passed"})

        allowed = self.dtest(self.path("tests"), *selected, "--allow-unrunnable", "-q")
        self.assertExit(allowed, PASSED)
        self.assertSays(allowed, "warning", "chmod +x", "no #! line")

        os.remove(self.path("tests/good_test"))
        self.assertExit(self.dtest(self.path("tests")), FAILED)
        self.assertExit(self.dtest(self.path("tests"), "--allow-unrunnable"), NOTHING)

    def test_a_directory_without_tests_leaves_a_report_of_nothing(self):
        junit = self.write("old.xml", "<testsuites tests='7'/>")
        result = self.dtest(os.path.dirname(self.write("empty/readme.txt", "text")), "--junit", junit, reports=False)
        self.assertExit(result, NOTHING)
        self.assertIn('tests="0"', contents(junit).decode())


class ListingTest(DtestCase):

    def test_lists_nothing(self):
        nothing = self.suite("lists_nothing_test")
        result = self.dtest(nothing)
        self.assertExit(result, FAILED)
        self.assertSays(result, "lists no case at all", "--allow-unrunnable")
        beside_another = self.suite("lists_nothing_test", "typed_test")
        self.assertExit(self.dtest(beside_another, "-k", "-*IsShort*"), FAILED)
        self.assertExit(self.dtest(beside_another, "-k", "-*IsShort*", "--allow-unrunnable"), PASSED)
        self.assertExit(self.dtest(nothing + "/lists_nothing_test", "--allow-unrunnable"), NOTHING)

    def test_lists_forever(self):
        result = self.dtest(self.suite("lists_forever_test", "typed_test"), "--list-timeout", "5s", "-k", "-*IsShort*",
                            seconds=40)
        self.assertExit(result, FAILED)
        self.assertEqual(result.names()["Typed/0.DefaultConstructs"], "passed")
        self.assertSays(result, "lists_forever_test", "time limit of 5 s")

    def test_crashes_while_listing(self):
        result = self.dtest(self.suite("crashes_listing_test", "typed_test"), "-k", "-*IsShort*")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names()["Typed/0.DefaultConstructs"], "passed")
        self.assertSays(result, "crashes_listing_test", "Aborted", "cannot open the licence server")
        self.assertIn("crashes_listing_test", contents(result.junit_path).decode())

    def test_libraries_that_are_not_there(self):
        result = self.dtest(self.suite("library_test"))  # copied away from its library
        self.assertIn(result.code, (FAILED, BROKEN))
        self.assertSays(result, "libfixture_private.so")


class OptionsTest(DtestCase):

    def test_wrong_usage(self):
        tests = self.suite("mixed_test")
        for arguments, text in (
                (["--no-such-option"], "--no-such-option"), ([], "path"), (["--retries", "x", tests], "retries"),
                (["--timeout", "soon", tests], "soon"), (["--shard", "3/2", tests], "3/2"),
                (["--transport", "pigeon", tests], "ssh, tcp"), (["-j", "0", tests], "'0'")):
            with self.subTest(arguments=arguments):
                result = self.dtest(*arguments, reports=False)
                self.assertExit(result, USAGE)
                self.assertSays(result, text)

    def test_reports_that_cannot_be_written_are_found_out_before_the_run(self):
        marker = self.path("ran")
        self.write("tests/marks_test", f"#!/bin/sh\ntouch {marker}\n", 0o755)
        for option in ("--junit", "--events"):
            for path in (self.path("no/such/directory/file"), self.directory, "/proc/file"):
                with self.subTest(option=option, path=path):
                    result = self.dtest(self.path("tests"), "--plain", "all", option, path, reports=False)
                    self.assertExit(result, USAGE)
                    self.assertSays(result, path)
                    self.assertFalse(os.path.exists(marker), "the tests ran")

    def test_what_is_to_be_passed_on_and_is_not_there(self):
        tests = self.suite("mixed_test")
        result = self.dtest(tests, "--env", "DTEST_TEST_UNSET")
        self.assertExit(result, USAGE)
        self.assertSays(result, "DTEST_TEST_UNSET is not set here")
        result = self.dtest(tests, "--data", "")
        self.assertExit(result, USAGE)
        self.assertSays(result, "--data: one of its values is empty")

    def test_report_names_that_cannot_be_meant(self):
        tests = self.suite("mixed_test")
        for arguments, text in ((["--junit", ""], "--junit"), (["--events", ""], "--events"),
                                (["--junit", "same", "--events", "same"], "each needs a file")):
            with self.subTest(arguments=arguments):
                result = self.dtest(tests, *arguments, reports=False)
                self.assertExit(result, USAGE)
                self.assertSays(result, text)

    def test_a_pipe_that_nobody_reads_is_not_waited_for(self):
        os.mkfifo(self.path("pipe"))
        for option in ("--junit", "--events"):
            with self.subTest(option=option):
                result = self.dtest(self.suite("mixed_test"), option, self.path("pipe"), reports=False, seconds=20)
                self.assertExit(result, USAGE)
                self.assertSays(result, "nobody reads")

    def test_a_pipe_that_is_read_gets_the_report(self):
        os.mkfifo(self.path("pipe"))
        # As a shell's >(command) does: it is open for reading before dtest begins.
        for option in ("--junit", "--events"):
            with self.subTest(option=option):
                reader = os.open(self.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
                self.addCleanup(os.close, reader)
                result = self.dtest(self.suite("flaky_test"), "-k", "AlwaysPasses", option, self.path("pipe"),
                                    reports=False)
                self.assertExit(result, PASSED)
                self.assertIn(b"AlwaysPasses", os.read(reader, 1 << 20))

    def test_full_disk_for_reports_does_not_fail_the_run(self):
        result = self.dtest(self.suite("flaky_test"), "-k", "AlwaysPasses", "--events", "/dev/full", reports=False)
        self.assertExit(result, PASSED)
        self.assertSays(result, "/dev/full", "No space")
        quiet = self.dtest(self.suite("flaky_test"), "-k", "AlwaysPasses", "--junit", "/dev/full", "-q", reports=False)
        self.assertExit(quiet, PASSED)
        self.assertSays(quiet, "/dev/full", "No space")

    def test_standard_output_on_a_full_disk(self):
        tests = self.suite("flaky_test")
        selected = [tests, "-k", "AlwaysPasses"]
        self.assertExit(self.dtest(*selected, reports=False), PASSED)  # so that there is something to report
        with open("/dev/full", "wb") as full:
            for arguments in (selected, [*selected, "-q", "--timings"], [*selected, "--junit", "-"], ["list", tests],
                              ["report"], ["history"], ["history", "export", "-"], ["hosts"], ["--help"]):
                with self.subTest(arguments=arguments):
                    result = self.dtest(*arguments, reports=False, stdout=full)
                    self.assertExit(result, BROKEN)
                    self.assertEqual(result.stderr.count("cannot write to standard output: No space left"), 1,
                                     result.stderr)

    def test_a_reader_that_goes_away_is_no_error(self):
        tests = self.suite("flaky_test")
        for arguments in ([tests, "-k", "AlwaysPasses"], ["list", tests], ["report"], ["history"], ["hosts"]):
            with self.subTest(arguments=arguments):
                reader, writer = os.pipe()
                os.close(reader)
                with open(writer, "wb") as unread:
                    result = self.dtest(*arguments, reports=False, stdout=unread)
                self.assertExit(result, PASSED)
                self.assertEqual(result.stderr, "")

    def test_closed_standard_output_is_not_the_event_log(self):
        # Python gives a child all three, so a shell closes it.
        script = self.write("closed", '#!/bin/sh\nexec "$DTEST" "$@" >&-\n', 0o755)
        binary, os.environ["DTEST_BINARY"] = os.environ["DTEST_BINARY"], script
        try:
            result = self.dtest(self.suite("flaky_test"), env={"DTEST": binary})
        finally:
            os.environ["DTEST_BINARY"] = binary
        self.assertExit(result, FAILED)
        self.assertEqual(result.events()[-1]["event"], "run_closed")

    def test_quiet_still_says_which_hosts_are_missing(self):
        # The run lasts until the host is known to be lost.
        test = self.write("waits_test", "#!/bin/sh\nuntil grep -qs host_down \"$EVENTS\"; do sleep 0.05; done\n", 0o755)
        result = self.dtest("--host", "no-such-host.invalid", "--host", "local", test, "--plain", "all", "--env",
                            f"EVENTS={self.path('events-1.jsonl')}", "-q")
        self.assertExit(result, PASSED)
        self.assertSays(result, "hosts lost:", "no-such-host.invalid")

    def test_help_and_version(self):
        self.assertRegex(self.dtest("--version", reports=False).stdout, r"^dtest \d+\.\d+")
        text = self.dtest("--help", reports=False).stdout
        for option in ("--hosts", "--junit", "--retries", "--processes", "Exit status"):
            self.assertIn(option, text)


if __name__ == "__main__":
    harness.main()
