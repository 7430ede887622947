"""dtest on this machine alone: no hosts given, one local agent, executables run where they are."""

import fcntl
import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import unittest

import fixtures
import harness
from harness import FAILED, INTERRUPTED, NOTHING, PASSED, DtestCase, fixture, text_of


class LocalTest(DtestCase):

    def test_every_outcome_in_every_report(self):
        result = self.dtest(self.suite("mixed_test"))
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), fixtures.MIXED)
        self.assertEqual(result.junit_kinds(),
                         {(f"mixed_test.{suite}", name): fixtures.JUNIT[outcome]
                          for (suite, name), outcome in ((case.split("."), outcome)
                                                         for case, outcome in fixtures.MIXED.items())})
        for outcome in ("passed", "failed", "crashed", "skipped"):
            count = list(fixtures.MIXED.values()).count(outcome)
            self.assertRegex(result.text, rf"{count} {outcome}")

    def test_failures_are_shown_with_their_output(self):
        result = self.dtest(self.suite("mixed_test"))
        self.assertSays(result, "the question was different", "printed on stdout before the failure",
                        "printed on stderr before the failure", "nobody catches this", "last words")
        self.assertNotIn("printed by a case that passes", result.text)
        junit = result.junit()
        failure = junit["mixed_test.Failing", "Assertion"].find("failure")
        self.assertIn("the question was different", failure.get("message") + failure.text)
        self.assertIn("Segmentation fault", junit["mixed_test.Crashing", "Segfault"].find("error").get("message"))
        self.assertIn("no such device", junit["mixed_test.Skipping", "WithReason"].find("skipped").get("message"))
        properties = {item.get("name"): item.get("value")
                      for item in junit["mixed_test.Passing", "Property"].iter("property")}
        self.assertEqual(properties.get("answer"), "42")

    def test_properties_of_a_case_whose_process_goes_on_for_long(self):
        running = self.start(self.suite("late_property_test"), "-j", "1", "--env", f"FIXTURE_GO={self.path('go')}")
        running.wait_for("case_ended")
        self.assertNotIn("properties", running.events("case_ended")[0])
        self.write("go", "")
        result = running.finish()
        self.assertExit(result, PASSED)
        self.assertEqual([(event["name"], event["attempt"], event["properties"])
                          for event in result.events("case_properties")], [("Late.Property", 1, [["answer", "42"]])])
        live = result.junit()["late_property_test.Late", "Property"]
        self.assertIn(("answer", "42"), [(item.get("name"), item.get("value")) for item in live.iter("property")])
        again = self.path("again.xml")
        self.assertExit(self.dtest("report", result.events_path, "--junit", again, reports=False), PASSED)
        with open(again, "rb") as one, open(result.junit_path, "rb") as other:
            self.assertEqual(one.read(), other.read())

    def test_a_process_a_case_gives_the_same_verdicts(self):
        result = self.dtest(self.suite("mixed_test"), "--processes", "case")
        self.assertEqual(result.names(), fixtures.MIXED)

    def test_processes_decides_how_cases_share_them(self):
        for processes, expect in (("case", lambda count: count == 20), ("batch", lambda count: count < 20)):
            result = self.dtest(self.suite("isolation_test"), "--processes", processes)
            self.assertExit(result, PASSED)
            seen = {dict(event["properties"])["pid"] for event in result.attempts()}
            self.assertTrue(expect(len(seen)), f"{processes}: {len(seen)} processes")

    def test_parameterised_names(self):
        result = self.dtest(self.suite("typed_test"))
        self.assertEqual(result.names(), fixtures.TYPED)
        self.assertIn(("typed_test.Texts/Text", "IsShort/2"), result.junit())

    def test_suites_with_spaces_in_their_names(self):
        expected = {"Width/char.IsOne": "passed", "Width/unsigned int.IsOne": "failed",
                    **{f"Other.{name}": "passed" for name in ("First", "Second", "Third", "Fourth")}}
        for processes in ("batch", "case"):
            result = self.dtest(self.suite("named_types_test"), "--processes", processes)
            self.assertEqual(result.names(), expected, processes)
            self.assertIn(("named_types_test.Width/unsigned int", "IsOne"), result.junit())
        selected = self.dtest(self.suite("named_types_test"), "-k", "=Width/unsigned int")
        self.assertEqual(selected.names(), {"Width/unsigned int.IsOne": "failed"})

    def test_what_a_program_prints_before_its_list_hides_no_suite(self):
        expected = {"First.Fails": "failed", "First.Passes": "passed", "Second.Passes": "passed",
                    "Second.PassesToo": "passed"}
        for noise in ("rank_0_1_", "dbg_", "device_found__"):
            for processes in ("batch", "case"):
                result = self.dtest(self.suite(f"unfinished_{noise}test"), "--processes", processes)
                self.assertEqual(result.names(), expected, f"{noise} {processes}")

    def test_the_log_says_what_the_listing_knows_of_each_case(self):
        result = self.dtest(self.suite("typed_test"), "-k", "Typed/1.*:Texts/*")
        selected, = result.events("cases_selected")
        cases = {case["name"]: case for case in selected["cases"]}
        typed, text = cases["Typed/1.DefaultConstructs"], cases["Texts/Text.IsShort/4"]
        self.assertEqual(selected["suites"][typed["suite"]], "Typed/1")
        self.assertIn("string", typed["parameter"])
        self.assertEqual(text["parameter"], '"much too long a text"')
        self.assertTrue(selected["files"][text["file"]].endswith("typed_test.cc"))
        with open(os.path.join(os.path.dirname(__file__), os.pardir, "fixtures", "typed_test.cc")) as source:
            self.assertIn("TEST_P(Text, IsShort)", source.read().splitlines()[text["line"] - 1])

    def test_plain_executables_and_scripts(self):
        tests = self.suite("plain_pass", "plain_fail", "plain_skip")
        self.write("tests/script", "#!/bin/sh\necho from the script\nexit 1\n", 0o755)
        result = self.dtest(tests, "--plain", "all")
        self.assertExit(result, FAILED)
        self.assertEqual({key[0]: outcome for key, outcome in result.verdicts().items()},
                         {"plain_pass": "passed", "plain_fail": "failed", "plain_skip": "skipped", "script": "failed"})
        self.assertSays(result, "the plain executable says why", "from the script")

    def test_only_what_is_named_as_a_test_is_run(self):
        """Each is a program that leaves a trace."""
        trace = self.path("trace")
        for name in ("attestation_server", "latest_version", "contest", "fastest", "clean_test_data.sh",
                     "deploy_to_test_env.sh", "good_test", "_deps/x-src/test/run_test.sh"):
            self.write(f"build/{name}", f"#!/bin/sh\necho {name} >> {trace}\n", 0o755)
        result = self.dtest(self.path("build"))
        self.assertExit(result, 0)
        with open(trace, encoding="utf-8") as file:
            self.assertEqual(file.read(), "good_test\n")
        self.assertSays(result, "running 1 plain program as one case each: build/good_test; --plain none leaves them out",
                        "skipped 4 programs", "not run: 2 scripts with \"test\" in the middle",
                        "not looked into, since others wrote what is there: _deps")

    def test_arguments_for_the_tests(self):
        script = self.write("args_test", '#!/bin/sh\nprintf "<%s>" "$@" >&2\nexit 1\n', 0o755)
        self.assertSays(self.dtest(script, "--", "--db", "a b", "--", "-k"), "<--db><a b><--><-k>")
        tests = self.suite("arguments_test")
        for arguments in (["db", "a b"], ["web"]):  # each lists anew
            with self.subTest(arguments=arguments):
                result = self.dtest(tests, "--", *arguments)
                self.assertExit(result, PASSED)
                self.assertEqual(result.names(), {f"Given.{argument}": "passed" for argument in arguments})

    @unittest.skipUnless(os.uname().machine == "x86_64", "32-bit x86 runs on x86-64")
    def test_a_32_bit_program(self):
        code = bytes.fromhex("b801000000 31db cd80")  # exit(0), by int 0x80
        start, size = 0x08048000, 52 + 32 + len(code)
        header = struct.pack("<4sBBB9xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 2, 3, 1, start + 84, 52, 0, 0, 52, 32, 1, 0, 0,
                             0)
        segment = struct.pack("<8I", 1, 0, start, start, size, size, 5, 0x1000)
        program = self.write("tests/small_test", header + segment + code, 0o755)
        try:
            subprocess.run([program], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"this kernel does not run 32-bit programs: {error}")
        result = self.dtest(self.path("tests"))
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"small_test": "passed"})

    def test_one_case_has_one_name_however_it_is_reached(self):
        self.suite("flaky_test", directory="a")
        os.rename(self.path("a/flaky_test"), self.path("a/dup_test"))
        self.suite("flaky_test", directory="b")
        os.rename(self.path("b/flaky_test"), self.path("b/dup_test"))
        case = "Flaky", "AlwaysPasses"
        for paths in (["a/dup_test"], ["."], ["b", "a"], [self.path("a")]):
            with self.subTest(paths=paths):
                result = self.dtest(*paths, "-k", "AlwaysPasses")
                self.assertExit(result, PASSED)
                self.assertIn(("a/dup_test", ".".join(case)), result.verdicts(whole_names=True))
                self.assertIn(("a/dup_test." + case[0], case[1]), result.junit(whole_names=True))
        result = self.dtest(".", "-k", "dup_test.Flaky.Always", "-k", "-b/dup")  # by base name, and by path
        self.assertEqual(result.verdicts(whole_names=True), {("a/dup_test", ".".join(case)): "passed"})

    def test_many_cases(self):
        result = self.dtest(self.suite("many_test"))
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), fixtures.MANY)
        self.assertEqual(set(result.names().values()), {"passed"})

    def test_long_names_and_a_googletest_with_the_flags_of_abseil(self):
        marks = self.path("marks")
        result = self.dtest(self.suite("long_names_test"), "--env", f"FIXTURE_MARKS={marks}", seconds=300)
        self.assertExit(result, PASSED)
        self.assertSays(result, "12,000 cases: 12,000 passed")
        with open(marks, encoding="ascii") as file:
            self.assertEqual(sorted(map(int, file)), list(range(12000)))  # each ran once

    def test_more_cases_with_longer_parameters_than_a_message_holds(self):
        tests = self.suite("long_parameters_test")
        listed = self.dtest("list", tests, reports=False, seconds=300)
        self.assertExit(listed, PASSED)
        self.assertEqual(listed.stdout.count("\n"), 100000)
        self.assertIn("Long/Table.RowIsThere/77777  # 77777====", listed.stdout)
        # From the list that is kept: an agent is told the cases that it did not list.
        result = self.dtest(tests, "-k", "*/77777", seconds=300)
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"Long/Table.RowIsThere/77777": "passed"})

    def test_a_build_tree_with_the_sources_of_googletest_in_it(self):
        """As FetchContent leaves it: scripts of the dependency's are no tests of ours."""
        self.suite("hello_test", directory="build")
        sources = self.path("build/_deps/googletest-src")
        shutil.copytree("/usr/src/googletest", sources)
        for directory, _, names in os.walk(sources):
            for name in names:
                if name.endswith((".py", ".sh")):
                    os.chmod(os.path.join(directory, name), 0o755)
        self.write("build/_deps/googletest-build/googletest/run_test.sh", "#!/bin/sh\nexit 1\n", 0o755)
        self.write("build/CMakeFiles/CMakeScratch/try_test", "#!/bin/sh\nexit 1\n", 0o755)
        result = self.dtest("build")
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"HelloTest.BasicAssertions": "passed"})

    def test_hard_output(self):
        result = self.dtest(self.suite("output_test"))
        self.assertEqual(result.names(), fixtures.OUTPUT)
        ended = {text_of(event["name"]): event for event in result.attempts()}
        huge = text_of(ended["Output.Huge"]["output"])
        self.assertLess(len(huge), 2 << 20)
        self.assertIn("FIRST LINE OF MANY", huge)
        self.assertIn("LAST LINE OF MANY", huge)
        self.assertGreater(ended["Output.Huge"]["output_cut"], 60 << 20)
        self.assertIn(b"before \xff\xfe\xc3( after", text_of(ended["Output.NotUtf8"]["output"]))
        self.assertIn("no newline", text_of(ended["Output.NoNewlineAtTheEnd"]["output"]))
        self.assertEqual(len(result.junit()), len(fixtures.OUTPUT))  # and it is well-formed XML

    def test_time_limit_of_a_case(self):
        result = self.dtest(self.suite("hang_test"), "--timeout", "8s", "--grace", "300ms")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), fixtures.HANG)
        self.assertSays(result, "timed out")

    def test_the_first_signal_names_what_it_waits_for(self):
        running = self.start(self.suite("hang_test"), "--grace", "60s")
        running.wait_for("case_ended")

        def heard():  # a heartbeat has told that it runs
            running.signal(signal.SIGUSR1)
            return "Hanging.Forever" in running.said()

        harness.wait_until(heard, "the name of the running case")
        running.signal(signal.SIGINT)
        running.wait_for("warning")
        running.signal(signal.SIGINT)
        result = running.finish(20)
        self.assertRegex(result.events("warning")[0]["text"],
                         r"^interrupted: waiting for running tests.*\ntests/hang_test Hanging\.Forever for \d+ s \(local\)$")

    def test_a_reader_that_stopped_reading_does_not_keep_dtest_from_its_end(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                reader, writer = os.pipe()
                self.addCleanup(os.close, reader)
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
                running = self.start(self.suite("many_test", "hang_test"), "-v", "--grace", "1s", stdout=writer)
                os.close(writer)
                running.wait_for("case_ended", 200)  # a line each is more than the pipe holds
                running.signal(number)
                result = running.finish(30)
                self.assertExit(result, INTERRUPTED)
                self.assertIn("not run", result.verdicts().values())
                self.assertEqual(len(result.junit()), len(result.verdicts()))

    def test_leaks_are_found_and_killed(self):
        result = self.dtest(self.suite("leak_test"), "--processes", "case")
        self.assertExit(result, PASSED)
        leaky = {text_of(event["name"]): event.get("leaky", False) for event in result.attempts()}
        self.assertEqual(leaky, {"Leaking.None": False, "Leaking.InItsGroup": True, "Leaking.InItsOwnSession": True})
        self.assertSays(result, "leak")
        self.assertEqual(processes_named("dtest-leaked"), [])

    def test_what_a_test_process_finds(self):
        self.write("dtest.toml", '[[override]]\nfilter = "Variables/*DTEST_SLOTS"\nslots = 2\n')
        result = self.dtest(self.suite("environment_test"), "--env", "FIXTURE_VALUE=a value = with spaces", "-j", "2",
                            env={"DTEST_JUNK": "1"})
        self.assertExit(result, PASSED)
        values = {text_of(event["name"]).split("/")[-1]: dict(event["properties"])["value"]
                  for event in result.attempts() if text_of(event["name"]).startswith("Variables/")}
        self.assertEqual(values["DTEST_WORKER_COUNT"], "2")
        self.assertEqual(values["DTEST_ATTEMPT"], "1")
        self.assertEqual(values["DTEST_SLOTS"], "2")
        self.assertEqual(values["DTEST_RUN_ID"], result.events("run_started")[0]["run_id"])
        self.assertFalse(os.path.exists(values["TEST_TMPDIR"]), "the private temporary directory is still there")

    def test_two_runs_share_a_host(self):
        os.mkfifo(self.path("go"))
        for number in range(4):
            self.write(f"tests/wait{number}_test",
                       f"#!/bin/sh\n: > {self.path('began')}{number}\ncat {self.path('go')}\n", 0o755)
        first = self.start(self.path("tests"), "-j", "4", reports=False)
        harness.wait_until(lambda: all(os.path.exists(f"{self.path('began')}{number}") for number in range(4)),
                           "four tests of the first run to begin")
        self.write("mine/quick_test", "#!/bin/sh\n", 0o755)
        second = self.dtest(self.path("mine"), "-j", "4", "--load", "auto")
        self.assertExit(second, PASSED)
        # Other tests may be runs beside them.
        self.assertRegex(second.text, r"local: uses [12] of its 4 slots for now, since \d+ other runs? of dtest there")
        with open(self.path("go"), "w", encoding="utf-8"):
            pass
        self.assertExit(first.finish(), PASSED)

    def test_temporary_directory_removed_by_a_test(self):
        for number in range(4):
            self.write(f"tests/vandal{number}", '#!/bin/sh\ntouch "$TEST_TMPDIR/file" && rm -r "$TEST_TMPDIR"\n', 0o755)
            self.write(f"tests/symlink{number}", '#!/bin/sh\ntouch "$TMPDIR/file" && rm -r "$TMPDIR" && '
                       f'ln -s {self.directory} "$TMPDIR"\n', 0o755)
        self.write("precious", "keep")
        result = self.dtest(self.path("tests"), "--plain", "all", "-j", "1", "--repeat", "2")
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), 16)
        self.assertTrue(os.path.exists(self.path("precious")), "what a test's symbolic link pointed to was emptied")

    def test_first_run_longer_than_a_second(self):
        # The local agent hears nothing for longer than any of its first deadlines.
        for extra in ([], ["--processes", "case"]):
            result = self.dtest(self.suite("slow_test"), "-k", "*/1", "-k", "*/2", "--env", "FIXTURE_MS=2500", *extra)
            self.assertExit(result, PASSED)
            self.assertEqual(set(result.names().values()), {"passed"})
            self.assertEqual(result.events("host_down"), [])

    def test_nohup(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            running = self.start(self.suite("slow_test"), "--env", "FIXTURE_MS=50", "-j", "2")
        finally:
            signal.signal(signal.SIGHUP, before)
        running.wait_for("case_ended", 2)
        running.signal(signal.SIGHUP)
        result = running.finish()
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), fixtures.SLOW)

    def test_working_directory_in_place(self):
        self.write("testdata/greeting.txt", "hello\n")
        result = self.dtest(self.suite("working_directory_test"))
        self.assertEqual(result.names(), {"WorkingDirectory.HoldsTheData": "passed",
                                          "WorkingDirectory.CanBeWritten": "passed"})

    def test_libraries_by_runpath(self):
        result = self.dtest(fixture("library_test"))
        self.assertEqual(result.names(), fixtures.LIBRARY)

    def test_a_main_of_its_own_that_talks_first(self):
        result = self.dtest(self.suite("noisy_main_test"))
        self.assertEqual(result.names(), {"Noisy.Passes": "passed", "Noisy.Fails": "failed"})

    def test_a_main_that_hands_on_no_arguments(self):
        result = self.dtest(self.suite("noisy_main_test"), "--env", "FIXTURE_DEAF=1")
        self.assertExit(result, FAILED)
        self.assertEqual(list(result.names().values()), ["failed"])
        self.assertSays(result, "it ran its tests instead of listing them", "it is run as one case")

    def test_a_main_that_has_a_filter_of_its_own(self):
        result = self.dtest(self.suite("noisy_main_test"), "--env", "FIXTURE_FILTER=Noisy.Passes")
        self.assertSays(result, "1 test is left out by a filter of its own")

    def test_death_between_suites_is_no_green_run(self):
        # Each suite by itself passes: only a process that runs two knows.
        result = self.dtest(self.suite("between_suites_test"), "-j", "1")
        self.assertExit(result, FAILED)
        self.assertEqual(set(result.names().values()), {"passed", "crashed"})
        self.assertSays(result, "before the test, in the set-up of its suite", "the widget pool is initialised twice")

    def test_crash_in_suite_setup(self):
        result = self.dtest(self.suite("suite_setup_test"))
        self.assertEqual(result.names()["GoodSetup.Passes"], "passed")
        self.assertEqual({result.names()["BadSetup.First"], result.names()["BadSetup.Second"]}, {"crashed"})
        self.assertSays(result, "before the first test, in the set-up of its suite")

    def test_cases_after_lines_that_nobody_ended(self):
        for processes in ("batch", "case"):
            result = self.dtest(self.suite("unfinished_lines_test"), "--processes", processes)
            self.assertEqual(result.names(), {"Database.Fails": "failed", "Queue.Dies": "crashed"})
            self.assertNotIn("set-up", result.text)

    def test_names_that_differ_from_process_to_process(self):
        for processes in ("batch", "case"):
            result = self.dtest(self.suite("names_change_test"), "--processes", processes)
            self.assertExit(result, FAILED)
            self.assertSays(result, "its names differ from one process to the next")
            self.assertEqual(set(result.names().values()), {"infra error"})
            self.assertEqual(len(result.attempts()), 3)  # once is enough
            self.assertIn("its names differ",
                          result.junit()["names_change_test", "[listing]"].find("error").get("message"))

    def test_a_case_that_was_not_listed(self):
        listed = {f"Listed.{name}": "passed" for name in ("One", "Two", "Three", "Four")}
        for processes in ("batch", "case"):
            for known in (False, True):  # how long its cases take: then they are one batch
                with self.subTest(processes=processes, known=known):
                    result = self.dtest(self.suite("unlisted_case_test"), "-j", "1", "--processes", processes)
                    self.assertExit(result, FAILED)
                    self.assertRegex(result.text, r"it (listed 4|was asked for \d) and runs \d: "
                                     "Listed.Five is not in its listing")
                    self.assertEqual(result.names(), listed)
        # What is left out may be what must not run: nothing but what is selected does.
        selected = self.dtest(self.suite("unlisted_case_test"), "-k", "Listed.One")
        self.assertExit(selected, PASSED)

    def test_what_fails_as_a_process_ends(self):
        for suite, culprit, others, said in (
                ("fails_at_exit_test", "AtExit.Breaks", ("Passes", "Follows", "IsLast"),
                 ("connection left open", "invariant broken")),
                ("leaks_memory_test", "Memory.Leaks", ("Follows", "IsLast"),
                 ("LeakSanitizer: detected memory leaks", "Direct leak of 77 byte", "leaks_memory_test.cc:8")),
                ("races_test", "Threads.Race", ("Wait", "Follow"),
                 ("ThreadSanitizer: data race", "races_test.cc:12"))):
            for processes in ("batch", "case"):
                with self.subTest(suite=suite, processes=processes):
                    result = self.dtest(self.suite(suite, directory=suite), "--processes", processes, "-v")
                    self.assertExit(result, FAILED)
                    prefix, name = culprit.split(".")
                    self.assertEqual(result.names(), {f"{prefix}.{other}": "passed" for other in others} |
                                     {culprit: "failed"})
                    self.assertSays(result, *said, f"{len(others) + 1} cases: {len(others)} passed, 1 failed")
                    case = result.junit()[f"{suite}.{prefix}", name]
                    self.assertEqual(len(case.findall("failure")), 1)
                    for text in said:
                        self.assertIn(text, case.find("system-out").text)

    def test_what_fails_as_a_process_ends_is_tried_again(self):
        tests, go = self.suite("fails_at_exit_test"), self.path("go")
        self.dtest(tests, "-j", "1")  # once more, what is known to be short is one batch
        running = self.start(tests, "-j", "1", "--retries", "2", "--env", f"FIXTURE_GO={go}")
        running.wait_for("case_ended", 2)
        self.write("go", "")
        result = running.finish()
        self.assertExit(result, FAILED)
        first, told, *_ = [event for event in result.events("case_ended") if event["name"] == "AtExit.Breaks"]
        self.assertEqual((first["outcome"], first["final"]), ("passed", True))
        self.assertEqual((told["outcome"], told["final"], told["replaces"]), ("failed", False, "passed"))
        attempts = [event for event in result.attempts() if event["name"] == "AtExit.Breaks"]
        self.assertEqual([(event["outcome"], event["final"]) for event in attempts],
                         [("failed", False), ("failed", False), ("failed", True)])
        self.assertEqual(len(result.junit()["fails_at_exit_test.AtExit", "Breaks"].findall("rerunFailure")), 2)
        self.assertSays(result, "4 cases: 3 passed, 1 failed")

    def test_a_failed_case_whose_process_ends_badly_too(self):
        tests, go = self.suite("fails_twice_test"), self.path("go")
        apart = []
        for options in (["--processes", "case"], ["-j", "1"], ["-j", "1"], ["-j", "1", "--env", f"FIXTURE_GO={go}"]):
            running = self.start(tests, *options)
            if "--env" in options:
                running.wait_for("case_ended", 2)  # the failure is told before the process ends
                self.write("go", "")
            result = running.finish()
            self.assertExit(result, FAILED)
            self.assertEqual(result.names(), {f"AtExit.{name}": "passed" for name in ("Passes", "Follows", "IsLast")} |
                             {"AtExit.Breaks": "failed"})
            self.assertSays(result, "4 cases: 3 passed, 1 failed", "invariant broken")
            case = result.junit()["fails_twice_test.AtExit", "Breaks"]
            texts = [element.text for element in case if element.text]
            for said in ("the first failure", "invariant broken"):
                self.assertEqual(sum(text.count(said) for text in texts), 1, texts)
            apart.append(case.find("system-err") is not None)
            again = self.path("again.xml")
            self.dtest("report", result.events_path, "--junit", again, reports=False)
            with open(again, "rb") as one, open(result.junit_path, "rb") as other:
                self.assertEqual(one.read(), other.read())
        # Of the two between, whether the failure has left before the process ends is a matter of time.
        self.assertEqual((apart[0], apart[-1]), (False, True))

    def test_what_a_sanitizer_says_of_a_case_that_passes(self):
        for processes in ("batch", "case"):
            result = self.dtest(self.suite("overflows_test"), "--processes", processes)
            self.assertExit(result, PASSED)
            self.assertSays(result, "runtime error: signed integer overflow")
            self.assertIn("runtime error", result.junit()["overflows_test.Numbers", "Overflow"].find("system-out").text)
            self.assertIsNone(result.junit()["overflows_test.Numbers", "Fit"].find("system-out"))
            properties = {item.get("name"): item.get("value")
                          for item in result.junit()["overflows_test.Numbers", "Overflow"].iter("property")}
            self.assertIn("runtime error: signed integer overflow", properties["warning"])

    def test_a_case_that_signals_its_agent(self):
        for processes in ("batch", "case"):
            result = self.dtest(self.suite("signals_parent_test"), "--processes", processes, "-j", "2")
            self.assertExit(result, FAILED)
            self.assertEqual(result.names(), {"Parent.IsLeftAlone": "passed", "Parent.IsSignalled": "failed",
                                              "Parent.IsStillThere": "passed"})
            self.assertSays(result, "sent signal 15 (Terminated) to dtest-agent")

    def test_hard_names(self):
        tests = self.path("tests")
        os.mkdir(tests)
        names = [b"with spaces", b"with\nnewline", b"latin1-\xe9", b"-dash", b"quote'\"$(false)`;&|"]
        for name in names:
            path = os.path.join(os.fsencode(tests), name)
            with open(fixture("plain_pass"), "rb") as source, open(path, "wb") as target:
                target.write(source.read())
            os.chmod(path, 0o755)
        result = self.dtest(tests, "--plain", "all")
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), len(names))
        self.assertEqual(len(result.junit()), len(names))


class SelectionTest(DtestCase):

    def test_filters(self):
        tests = self.suite("mixed_test")
        for filters, expected in (
                (["-k", "Passing.*"], {"Passing.One", "Passing.Two", "Passing.Property"}),
                (["-k", "Passing.*", "-k", "-*Two"], {"Passing.One", "Passing.Property"}),
                (["-k", "=Crashing.After"], {"Crashing.After"}),
                (["-k", "Failing.After"], {"Failing.AfterFailures"}),
                (["-k", "Passing.One:Crashing.Before"], {"Passing.One", "Crashing.Before"})):
            with self.subTest(filters=filters):
                result = self.dtest(tests, *filters)
                self.assertExit(result, PASSED)
                self.assertEqual(set(result.names()), expected)

    def test_nothing_matches(self):
        result = self.dtest(self.suite("mixed_test"), "-k", "NoSuchSuite.*")
        self.assertExit(result, NOTHING)
        self.assertEqual(result.junit(), {})
        self.assertSays(result, "NoSuchSuite")

    def test_shards_are_a_partition(self):
        tests, seen = self.suite("typed_test", "mixed_test"), []
        for shard in (1, 2, 3):
            seen += self.dtest(tests, "--shard", f"{shard}/3").verdicts()
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual({name for _, name in seen}, set(fixtures.TYPED) | set(fixtures.MIXED))

    def test_repeat_and_shuffle(self):
        result = self.dtest(self.suite("mixed_test"), "-k", "Passing.*", "--repeat", "3", "--shuffle=7")
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.verdicts()), 9)
        told = self.dtest(self.suite("environment_test"), "-k", "Variables/*ATTEMPT", "-k", "Variables/*ITERATION",
                          "--repeat", "2")
        self.assertExit(told, PASSED)
        values = {(text_of(event["name"]).split("/")[-1], event["iteration"]): dict(event["properties"])["value"]
                  for event in told.attempts()}
        self.assertEqual(values, {("DTEST_ATTEMPT", 1): "1", ("DTEST_ATTEMPT", 2): "1",
                                  ("DTEST_ITERATION", 1): "1", ("DTEST_ITERATION", 2): "2"})

    def test_the_seed_of_a_random_order_is_told(self):
        result = self.dtest(self.suite("mixed_test"), "-k", "Passing.*", "--shuffle", "-q")
        seed = re.search(r"--shuffle=(\d+) makes it the same again", result.text)
        self.assertTrue(seed, result.text)
        self.assertIn(seed[0].split()[0], result.events("run_started")[0]["command"])

    def test_disabled_cases_run_when_asked(self):
        result = self.dtest(self.suite("mixed_test"), "--gtest_also_run_disabled_tests", "-k",
                            "Skipping.DISABLED_Never")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), {"Skipping.DISABLED_Never": "crashed"})

    def test_list(self):
        result = self.dtest("list", self.suite("mixed_test", "typed_test"), reports=False)
        self.assertExit(result, PASSED)
        for case in [*fixtures.MIXED, *fixtures.TYPED]:
            self.assertRegex(result.stdout, rf"(?m){re.escape(case)}(  # .*)?$")
        self.assertIn('Texts/Text.IsShort/4  # "much too long a text"\n', result.stdout)
        self.assertEqual(len(result.stdout.splitlines()), len(fixtures.MIXED) + len(fixtures.TYPED))

    def test_json(self):
        tests = self.suite("odd_names_test", "typed_test", "lists_nothing_test")
        listed = self.dtest("list", tests, "--json", reports=False)
        self.assertExit(listed, FAILED)
        document = json.loads(listed.stdout)
        self.assertEqual((document["version"], document["command"], document["status"]), (1, "list", FAILED))
        [error] = document["errors"]
        self.assertEqual(error["executable"], "tests/lists_nothing_test")
        self.assertIn("no case", error["message"])
        # The same of each case as the log of a run has.
        os.remove(os.path.join(tests, "lists_nothing_test"))
        run = self.dtest(tests, "--allow-unrunnable")
        logged = {}
        for event in run.events("cases_selected"):
            for case in event["cases"]:
                for field, texts in (("suite", "suites"), ("file", "files")):
                    if field in case:
                        case[field] = event[texts][case[field]]
                logged[json.dumps([event["executable"], case["name"]])] = {
                    "executable": event["executable"], **{k: v for k, v in case.items() if k != "index"}}
        self.assertEqual({json.dumps([case["executable"], case["name"]]): case for case in document["cases"]}, logged)
        for arguments, message in ((("list", "nowhere", "--json"), "nowhere"),
                                   (("list", tests, "-k", "Nobody", "--json"), "no case is selected"),
                                   (("config", "retrys", "--json"), "did you mean 'retries'"),
                                   (("hosts", "--hosts", "nowhere", "--json"), "nowhere")):
            with self.subTest(arguments=arguments):
                result = self.dtest(*arguments, reports=False)
                document = json.loads(result.stdout)
                self.assertNotEqual(result.code, PASSED)
                self.assertEqual(document["status"], result.code)
                self.assertIn(message, document["errors"][0]["message"])
        known = json.loads(self.dtest("history", "--json", reports=False).stdout)["cases"]
        self.assertEqual({json.dumps([case["executable"], case["name"]]) for case in known}, set(logged))
        self.assertEqual({case["last_outcome"] for case in known}, set(run.verdicts().values()))
        [host] = json.loads(self.dtest("hosts", "--json", "-j", "3", reports=False).stdout)["hosts"]
        self.assertEqual((host["name"], host["ready"], host["slots"], host["agent"]), ("local", True, 3, "here"))
        self.write("dtest.toml", "retries = 2\ndata = ['a b']\nexplain = true\njobs = 'auto'\n")
        config = json.loads(self.dtest("config", "--json", "--timeout", "90s", reports=False).stdout)
        settings = {one["name"]: one for one in config["settings"]}
        self.assertEqual([settings[name]["value"] for name in ("retries", "data", "explain", "timeout", "jobs", "repeat")],
                         [2, ["a b"], True, "90s", "auto", None])
        self.assertEqual(settings["retries"]["origins"], ["dtest.toml:1"])
        self.assertNotIn("json", settings)

    def test_list_says_why_an_executable_cannot_be_listed(self):
        result = self.dtest("list", self.suite("crashes_listing_test"), reports=False)
        self.assertExit(result, FAILED)
        self.assertSays(result, "Aborted", "cannot open the licence server")

    def test_list_has_a_line_for_a_case(self):
        self.write("tests/new\nline_test", "#!/bin/sh\n", 0o755)
        result = self.dtest("list", self.path("tests"), reports=False)
        self.assertEqual(result.stdout, "tests/new\\nline_test\n")

    def test_the_way_that_googletest_excludes_is_explained(self):
        result = self.dtest(self.suite("mixed_test"), "-k", "Passing.*-*First")
        self.assertExit(result, NOTHING)
        self.assertSays(result, "Passing.*:-*First")


class ReadmeTest(DtestCase):

    def test_the_nightly_job(self):
        with open(os.path.join(os.path.dirname(__file__), "../../README.md"), encoding="utf-8") as readme:
            section = readme.read().split("\n## A nightly job\n")[1].split("\n## ")[0]
        [settings], [command] = re.findall(r"```toml\n(.*?)```", section, re.S), re.findall(r"```\ndtest (.*?)\n```", section)
        self.write("dtest.toml", settings)
        self.write("hosts.txt", 'local slots=1\nsecond command="sh" slots=1\n')
        self.write("testdata/a.txt", "")
        self.suite("flaky_test", directory="build")
        self.write("build/zone_test", "#!/bin/sh\ntest \"$TZ\" = UTC && test -e testdata/a.txt\n", 0o755)
        result = self.dtest(*command.split(), reports=False)
        self.assertExit(result, FAILED)
        result.junit_path = self.path("results.xml")
        kinds = result.junit_kinds()
        self.assertEqual(kinds[("zone_test", "zone_test")], "passed")
        self.assertEqual(kinds[("flaky_test.Flaky", "NeverPasses")], "failure")
        self.assertIn(("flaky_test.Flaky", "NeverPasses (repeat 3)"), kinds)
        self.assertSays(result, "on 2 hosts", "the override of 'suite(*Soak*) | label(slow)' matches none")


class FailurePolicyTest(DtestCase):

    # For a script that knows the event log.
    UNTIL_TWENTY_ARE_LISTED = "until [ $(grep -c executable_listed \"$EVENTS\") -eq 20 ]; do sleep 0.05; done\n"

    def test_retries(self):
        result = self.dtest(self.suite("flaky_test"), "--retries", "2")
        self.assertExit(result, FAILED)
        self.assertEqual(result.names(), {"Flaky.SecondAttemptPasses": "passed", "Flaky.ThirdAttemptPasses": "passed",
                                          "Flaky.NeverPasses": "failed", "Flaky.AlwaysPasses": "passed"})
        flaky = {text_of(event["name"]) for event in result.attempts() if event.get("flaky")}
        self.assertEqual(flaky, {"Flaky.SecondAttemptPasses", "Flaky.ThirdAttemptPasses"})
        junit = result.junit()
        self.assertEqual(len(junit["flaky_test.Flaky", "ThirdAttemptPasses"].findall("flakyFailure")), 2)
        self.assertEqual(len(junit["flaky_test.Flaky", "NeverPasses"].findall("rerunFailure")), 2)
        self.assertSays(result, "2 flaky")

    def test_order_dependent_cases_name_what_ran_before_them(self):
        behind = ["Order.First", "Order.LeavesAMess", "Order.Between"]
        for options, verdict in ((("--retries", "1"), "passed"), (("--explain",), "failed")):
            # Once more: what is known to be short runs as one batch.
            self.dtest(self.suite("order_dependent_test"), "-j", "1")
            result = self.dtest(self.suite("order_dependent_test"), "-j", "1", *options)
            self.assertExit(result, FAILED)
            outcomes = {name: "passed" for name in behind + ["Order.Last"]}
            self.assertEqual(result.names(), outcomes | {"Order.NeedsTidiness": verdict, "Order.AlwaysFails": "failed"})
            told = {event["name"]: event.get("before") for event in result.attempts() if event["final"]}
            self.assertEqual(told, {name: None for name in told} | {"Order.NeedsTidiness": behind})
            self.assertSays(result, "order-dependent: it passes alone, and failed behind 3 cases in one process: " +
                            ", ".join(behind))
            again = self.path("again.xml")
            self.dtest("report", result.events_path, "--junit", again, reports=False)
            with open(again, "rb") as one, open(result.junit_path, "rb") as other:
                self.assertEqual(one.read(), other.read())

    def test_flaky_alone_passes(self):
        result = self.dtest(self.suite("flaky_test"), "--retries", "2", "-k", "-Flaky.NeverPasses")
        self.assertExit(result, PASSED)

    def test_fail_fast(self):
        # The first one fails once all are known; the second never ends by itself.
        script = f"#!/bin/sh\nmkdir \"$MARK\" || exec sleep 100\n{self.UNTIL_TWENTY_ARE_LISTED}exit 1\n"
        for number in range(20):
            self.write(f"tests/fails{number}", script, 0o755)
        result = self.dtest(self.path("tests"), "--plain", "all", "-x", "-j", "1", "--env",
                            f"MARK={self.path('mark')}", "--env", f"EVENTS={self.path('events-1.jsonl')}")
        self.assertExit(result, FAILED)
        outcomes = list(result.verdicts().values())
        self.assertEqual(outcomes.count("failed"), 1)
        self.assertEqual(outcomes.count("not run"), 19)

    def test_max_fail(self):
        # Three fail once all are known; the others never end by themselves.
        script = (f"#!/bin/sh\n{self.UNTIL_TWENTY_ARE_LISTED}"
                  "for i in 1 2 3; do mkdir \"$MARK$i\" && exit 1; done\nexec sleep 100\n")
        for number in range(20):
            self.write(f"tests/fails{number}", script, 0o755)
        result = self.dtest(self.path("tests"), "--plain", "all", "--max-fail", "3", "-j", "1", "--env",
                            f"MARK={self.path('mark')}", "--env", f"EVENTS={self.path('events-1.jsonl')}")
        self.assertExit(result, FAILED)
        outcomes = list(result.verdicts().values())
        self.assertEqual(outcomes.count("failed"), 3)
        self.assertEqual(outcomes.count("not run"), 17)

    def test_stress(self):
        tests = self.suite("mixed_test")
        green = self.dtest(tests, "-k", "Passing.One", "--stress", "1s")
        self.assertExit(green, PASSED)
        attempts = len(green.attempts())
        self.assertGreater(attempts, 10)
        self.assertRegex(green.stdout, rf"\nstress: {attempts:,} attempts of 1 case in .*, none failed\n  local: ")
        iterations = sorted(event["iteration"] for event in green.attempts())
        self.assertEqual(iterations, list(range(1, attempts + 1)))
        self.write("tests/wears_test", "#!/bin/sh\ntest $DTEST_ITERATION -lt 20\n", 0o755)
        worn = self.dtest(tests, "-k", "wears_test", "-k", "Passing.One", "--stress", "1h", "--retries=0")
        self.assertExit(worn, FAILED)
        self.assertRegex(worn.stdout, r"stress: \d+ attempts of 2 cases in .*, [1-9] failed\n")
        self.assertEqual({event["name"] for event in worn.attempts() if event["outcome"] == "failed"}, {"tests/wears_test"})
        self.assertSays(worn, "reproduce tests/wears_test")
        again = self.dtest("reproduce", "tests/wears_test", worn.events_path, reports=False)
        self.assertSays(again, "1 case: 0 passed, 1 failed")  # in the iteration in which it failed
        self.assertNotIn("stress:", again.text)
        shown = self.dtest("report", worn.events_path, reports=False)
        self.assertEqual(shown.stdout[shown.stdout.index("\nstress:"):], worn.stdout[worn.stdout.index("\nstress:"):])

    def test_run_timeout(self):
        result = self.dtest(self.suite("slow_test"), "--run-timeout", "8s", "-j", "1", "--env", "FIXTURE_MS=1000",
                            "--grace", "500ms")
        self.assertExit(result, FAILED)
        outcomes = list(result.verdicts().values())
        self.assertGreater(outcomes.count("passed"), 0)
        self.assertGreater(outcomes.count("not run"), 0)
        self.assertEqual(len(outcomes), fixtures.SLOW)


class ReportTest(DtestCase):

    def test_a_killed_run_names_what_has_no_verdict(self):
        running = self.start(self.suite("slow_test", "lists_forever_test"), "-j", "2", "--env", "FIXTURE_MS=100")
        running.wait_for("case_ended", 3)
        running.signal(signal.SIGKILL)
        killed = running.finish(10)
        killed.junit_path = self.path("again.xml")
        report = self.dtest("report", killed.events_path, "--junit", killed.junit_path, "-v", reports=False)
        self.assertExit(report, INTERRUPTED)
        [selected] = killed.events("cases_selected")
        names = {case["name"] for case in selected["cases"]}
        missing = names - set(killed.names())
        self.assertTrue(missing)
        self.assertSays(report, f"\n{len(missing)} cases without a verdict:\n",
                        "\n1 executable not listed:\n  tests/lists_forever_test\n")
        shown = re.findall(r"^  tests/slow_test (\S+)$", report.stdout, re.MULTILINE)
        self.assertEqual(shown, [case["name"] for case in selected["cases"] if case["name"] in missing])
        kinds = killed.junit_kinds()
        self.assertEqual(kinds.pop(("lists_forever_test", "[listing]")), "skipped")
        self.assertEqual({name for (_, name), kind in kinds.items() if kind == "error"},
                         {name.split(".", 1)[1] for name in missing})
        self.assertEqual(len(kinds), len(names))
        self.assertIsNotNone(killed.run_error)

    def test_report_makes_the_same_junit_from_the_log(self):
        result = self.dtest(self.suite("mixed_test", "flaky_test"), "--retries", "1")
        again = self.path("again.xml")
        replayed = self.dtest("report", result.events_path, "--junit", again, reports=False)
        self.assertExit(replayed, FAILED)
        with open(result.junit_path, encoding="utf-8") as first, open(again, encoding="utf-8") as second:
            self.assertEqual(first.read(), second.read())

    def test_a_dash_is_standard_output(self):
        tests = self.suite("mixed_test")
        result = self.dtest(tests, "--junit", "-", "--timings", "--override", "{filter = \"Nobody\", retries = 1}",
                            "--exclusive", "No.One", "--lock", '{name = "unused"}', reports=False)
        self.assertExit(result, FAILED)
        result.junit_path = self.write("out.xml", result.stdout)
        self.assertIn("failure", result.junit_kinds().values())
        for said in ("the question was different", "wall time", "the override of 'Nobody' matches none of the",
                     "--exclusive 'No.One' matches none of the", "names the lock 'unused': it locks nothing"):
            self.assertIn(said, result.stderr)
        replayed = self.dtest("report", "--junit=-", reports=False)
        self.assertExit(replayed, FAILED)
        self.assertEqual(replayed.stdout, result.stdout)
        exported = self.dtest("history", "export", "-", reports=False)
        self.assertExit(exported, PASSED)
        self.assertEqual(json.loads(exported.stdout)["dtest_durations"], 1)
        self.assertIn("standard output holds", exported.stderr)
        self.assertFalse(os.path.exists(self.path("-")))

    def test_report_of_the_latest_run(self):
        self.dtest(self.suite("mixed_test"))
        replayed = self.dtest("report", "--durations", "3", reports=False)
        self.assertExit(replayed, FAILED)
        self.assertSays(replayed, "the question was different", "slowest")
        # A coordinator that died as it began has left a log without a word.
        self.write("state/runs/29991231-235959-dead.jsonl", "")
        replayed = self.dtest("report", reports=False)
        self.assertExit(replayed, FAILED)
        self.assertSays(replayed, "the question was different", "29991231-235959-dead")

    def test_output_of_cases_that_pass(self):
        tests, said = self.suite("mixed_test"), "printed by a case that passes"
        for arguments, shown, kept in (([], False, False), (["--success-output", "immediate"], True, True),
                                       (["--success-output", "final"], True, True), (["-vv"], True, True),
                                       (["-vv", "--success-output", "never"], False, False),
                                       (["--junit-success-output"], False, True)):
            with self.subTest(arguments=arguments):
                result = self.dtest(tests, "-k", "Passing.Two", *arguments)
                self.assertExit(result, PASSED)
                self.assertEqual(result.text.count(said), 1 if shown else 0, result.text)
                with open(result.junit_path, encoding="utf-8") as junit:
                    self.assertEqual(junit.read().count(said), 1 if kept else 0)

    def test_a_dumb_terminal_gets_no_escape_sequences(self):
        tests = self.suite("mixed_test")
        for term, expect in (("dumb", self.assertNotIn), ("xterm", self.assertIn)):
            with self.subTest(TERM=term):
                master, slave = os.openpty()
                self.addCleanup(os.close, master)
                running = self.start(tests, env={"TERM": term, "NO_COLOR": ""}, stdout=slave)
                os.close(slave)
                shown = b""
                try:
                    while chunk := os.read(master, 1 << 16):
                        shown += chunk
                except OSError:  # the last that wrote to it has closed it
                    pass
                self.assertExit(running.finish(), FAILED)
                self.assertIn(b"tests/mixed_test Failing.Assertion", shown)
                expect(b"\x1b", shown)

    def test_durations(self):
        result = self.dtest(self.suite("slow_test"), "--durations", "2", "--env", "FIXTURE_MS=20")
        lines = [line for line in result.text.splitlines() if "Range/Slow" in line]
        self.assertEqual(len(lines), 2, result.text)

    def test_timings_are_the_same_from_the_log(self):
        result = self.dtest(self.suite("slow_test"), "--timings", "--env", "FIXTURE_MS=20")
        start = result.stdout.index("\nwall time ")
        replayed = self.dtest("report", result.events_path, "--timings", reports=False)
        self.assertEqual(result.stdout[start:], replayed.stdout[replayed.stdout.index("\nwall time "):])
        self.assertEqual(result.events()[-1]["event"], "run_closed")

    def test_shards_by_a_durations_file_are_a_partition(self):
        tests = self.suite("mixed_test", "slow_test")
        whole = self.dtest(tests, "--env", "FIXTURE_MS=20").verdicts()
        durations = self.path("durations.json")
        exported = self.dtest("history", "export", durations, reports=False)
        self.assertExit(exported, 0)
        parts = []
        for shard in ("1/2", "2/2"):
            part = self.dtest(tests, "--env", "FIXTURE_MS=20", "--shard", shard, "--shard-durations", durations)
            self.assertSays(part, "digest " + exported.stderr.split("digest ")[1].strip())
            parts.append(part.verdicts())
        self.assertEqual(len(parts[0]) + len(parts[1]), len(whole))
        self.assertEqual({**parts[0], **parts[1]}.keys(), whole.keys())
        self.assertSays(self.dtest("history", reports=False), "slowest:")
        with open(durations, "a", encoding="utf-8") as file:
            file.write("}")
        bad = self.dtest(tests, "--shard", "1/2", "--shard-durations", durations, reports=False)
        self.assertExit(bad, 4)
        self.assertSays(bad, "durations.json:")

    def test_trends(self):
        tests = self.suite("mixed_test")
        self.write("tests/late_test", "#!/bin/sh\nexit 3\n", 0o755)
        first = self.dtest(tests)
        self.write("tests/late_test", "#!/bin/sh\nexit 0\n", 0o755)
        self.dtest(tests, "-k", "late_test", "-k", "Passing.One")
        document = json.loads(self.dtest("history", "--json", reports=False).stdout)
        self.assertEqual([(run["cases"], run["completed"]) for run in document["runs"]],
                         [(len(first.verdicts()), True), (2, True)])
        self.assertEqual([run["failed"] for run in document["runs"]][1], 0)
        self.assertEqual(document["runs"][0]["run"], first.events("run_started")[0]["run_id"])
        trend = json.loads(self.dtest("history", "trend", "late_test", "--json", reports=False).stdout)["verdicts"]
        self.assertEqual([(one["name"], one["outcome"], one["host"]) for one in trend],
                         [("tests/late_test", "failed", "local"), ("tests/late_test", "passed", "local")])
        self.assertEqual([one["run"] for one in trend], [run["run"] for run in document["runs"]])
        self.assertSays(self.dtest("history", reports=False), "runs:", "slowest:", "passed and failed:")
        text = self.dtest("history", "trend", "Passing.One", reports=False).stdout
        self.assertEqual(text.count(" passed "), 2, text)
        self.assertExit(self.dtest("history", "trend", "Nobody", reports=False), NOTHING)

    def test_files_are_ordinary_files(self):
        result = self.dtest(self.suite("mixed_test"))
        for path in (result.junit_path, result.events_path):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644, path)

    def test_every_listing_is_kept_for_the_next_run(self):
        # A run that only lists ends with the last listing: what is written down then is written too.
        tests = self.path("tests")
        os.makedirs(tests)
        for i in range(30):
            shutil.copy(fixture("mixed_test"), os.path.join(tests, f"copy_{i}"))
            with open(os.path.join(tests, f"copy_{i}"), "ab") as file:
                file.write(b"%d" % i)  # executables of the same contents share a listing
        self.assertExit(self.dtest("list", tests, reports=False), 0)
        self.assertEqual(len(self.kept_listings()), 30)
        before = self.kept_listings()
        result = self.dtest(tests)
        self.assertEqual(len(result.verdicts()), 30 * len(fixtures.MIXED))
        self.assertEqual(self.kept_listings(), before, "nothing was listed again")

    def kept_listings(self):
        """Path -> inode; an entry is never written in place."""
        return {entry.path: entry.inode() for directory in os.scandir(self.path("cache", "listings"))
                for entry in os.scandir(directory)}


def processes_named(name):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() == name:
                    found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


if __name__ == "__main__":
    harness.main()
