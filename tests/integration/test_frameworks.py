"""Test frameworks other than GoogleTest: what their programs say becomes cases, verdicts and messages."""

import os
import re
import shutil
import subprocess
import textwrap
import xml.etree.ElementTree

import harness
from harness import FAILED, NOTHING, PASSED, USAGE, DtestCase, text_of

PERL = """\
    #!/usr/bin/perl
    use Test::More tests => 3;
    ok(1, 'starts');
    subtest 'parts' => sub {
        plan tests => 2;
        ok(1, 'left');
        is('a', 'b', 'right');
    };
    TODO: {
        local $TODO = 'space is flat';
        ok(0, 'bends space');
    }
    """

PYTHON = """\
    #!/usr/bin/python3
    print("TAP version 14")
    print("1..2")
    print("ok 1 - reads")
    print("not ok 2 - writes\\n  ---\\n  message: 'the disk is full'\\n  severity: fail\\n  ...")
    """

BATS = """\
    #!/usr/bin/env bats
    @test "adds" {
      [ "$((1 + 1))" -eq 2 ]
    }
    @test "divides" {
      echo "by zero"
      [ "$((4 / 2))" -eq 3 ]
    }
    @test "flies" {
      skip "no wings"
    }
    """


class TapTest(DtestCase):

    def script(self, name, text):
        return self.write(f"tests/{name}", textwrap.dedent(text), 0o755)

    def shell(self, name, *lines):
        return self.script(name, "#!/bin/bash\n" + "\n".join(lines) + "\n")

    def test_verdicts_of_producers_that_show_what_they_are(self):
        self.shell("good_test", "echo 1..2", "echo ok 1 - adds", "echo ok 2")
        self.shell("bad_test", "echo TAP version 13", "echo 'ok 1 - adds'", "echo 'not ok 2 - divides'", "echo 1..2")
        self.shell("short_test", "echo 1..3", "echo ok 1", "echo ok 2")
        self.shell("planless_test", "echo TAP version 14", "echo ok 1")
        self.shell("given_up_test", "echo 1..2", "echo ok 1", "echo 'Bail out! no database'", "exit 0")
        self.shell("status_test", "echo 1..1", "echo ok 1", "exit 3")
        self.shell("skipped_test", "echo '1..0 # SKIP no network'")
        self.shell("parts_test", "echo 1..2", "echo ok 1", "echo 'ok 2 - flies # SKIP no wings'")
        self.shell("noisy_test", "echo starting >&2", "echo 1..2", "printf working...", "echo ok 1", "echo not ok 2")
        self.shell("crash_test", "echo 1..1", "echo ok 1", "kill -SEGV $$")
        self.shell("future_test", "echo TAP version 99", "echo 1..1", "echo ok 1")
        expected = {"good_test": "passed", "bad_test": "failed", "short_test": "failed", "planless_test": "failed",
                    "given_up_test": "failed", "status_test": "failed", "skipped_test": "skipped",
                    "parts_test": "passed", "noisy_test": "failed", "crash_test": "crashed", "future_test": "failed"}
        for processes in ("batch", "case"):
            result = self.dtest(self.path("tests"), "--processes", processes)
            self.assertExit(result, FAILED)
            self.assertEqual({key[0]: outcome for key, outcome in result.verdicts().items()}, expected, processes)
        self.assertSays(result, "not ok 2 - divides", "planned 3 points, of which 1 did not come: 3",
                        "no plan (1..N)", "bailed out: no database", "exited with status 3",
                        "1 of 2 points skipped: 2 - flies (no wings)", "'TAP version 99' is no version")
        junit = {key[0]: case for key, case in result.junit().items()}
        self.assertIn("not ok 2 - divides", junit["bad_test"].find("failure").get("message"))
        self.assertEqual(junit["skipped_test"].find("skipped").get("message"), "no network")
        self.assertIn("Segmentation fault", junit["crash_test"].find("error").get("message"))
        log = {harness.base_name(event["executable"]): event for event in result.attempts()}
        self.assertEqual(log["bad_test"]["message"], "not ok 2 - divides")
        self.assertIn("flies (no wings)", log["parts_test"]["warning"])
        listed = self.dtest("list", self.path("tests"), reports=False)
        self.assertEqual(len(listed.stdout.splitlines()), len(expected))

    def test_perl(self):
        result = self.dtest(self.script("perl_test", PERL))
        self.assertExit(result, FAILED)
        message = result.attempts()[0]["message"]
        self.assertTrue(message.startswith("not ok 2 - parts\n    not ok 2 - right\n"), message)
        self.assertIn("#   Failed test 'right'", message)
        self.assertIn("exited with status 1", message)
        self.assertNotIn("bends space", message)
        self.assertExit(self.dtest(self.script("perl_test", PERL.replace("'b'", "'a'"))), PASSED)

    def test_python(self):
        result = self.dtest(self.script("python_test", PYTHON))
        self.assertExit(result, FAILED)
        self.assertEqual(result.attempts()[0]["message"],
                         "not ok 2 - writes\n  ---\n  message: 'the disk is full'\n  severity: fail\n  ...")

    def test_bats(self):
        result = self.dtest(self.script("shell_test.bats", BATS))
        self.assertExit(result, FAILED)
        message = result.attempts()[0]["message"]
        self.assertTrue(message.startswith("not ok 2 divides\n# (in test file "), message)
        self.assertIn("# by zero", message)
        result = self.dtest(self.script("shell_test.bats", BATS.replace("-eq 3", "-eq 2")))
        self.assertExit(result, PASSED)
        self.assertSays(result, "1 of 3 points skipped: 3 - flies (no wings)")

    def test_the_protocol_of_programs_that_do_not_show_it(self):
        silent = self.shell("silent_test", "true")
        self.assertExit(self.dtest(silent), PASSED)
        result = self.dtest(silent, "--protocol", "tap")
        self.assertExit(result, FAILED)
        self.assertSays(result, "running 1 program, read as tap: tests/silent_test", "it printed no TAP")
        late = self.shell("late_test", "head -c 100000 /dev/zero | tr '\\0' '\\n'", "echo 1..1", "echo not ok 1")
        self.assertExit(self.dtest(late), PASSED)
        self.assertExit(self.dtest(late, "--protocol", "tap"), FAILED)
        wrapper = self.script("wrapped_test", f"#!/bin/sh\nexec {harness.fixture('typed_test')} \"$@\"\n")
        result = self.dtest(wrapper, "--protocol", "googletest")
        self.assertEqual(result.names()["Texts/Text.IsShort/0"], "passed")
        # What shows its framework is of that one.
        tests = self.suite("plain_pass", "typed_test", directory="others")
        result = self.dtest(tests, "--protocol", "tap", "--plain", "all")
        self.assertSays(result, "also running 1 program, read as tap: others/plain_pass")
        self.assertEqual(result.verdicts()["plain_pass", "plain_pass"], "failed")
        self.assertEqual(result.verdicts()["typed_test", "Texts/Text.IsShort/0"], "passed")

    def test_an_unknown_protocol(self):
        result = self.dtest(self.shell("a_test", "true"), "--protocol", "tip")
        self.assertExit(result, USAGE)
        self.assertSays(result, "protocol: 'tip' is not one of googletest, catch2v2, catch2, doctest, libtest, boost, gotest, gotest119, tap, plain")


LONG = "a name so long that a list for people breaks it into lines,   which takes blanks away: here, or-here"

CATCH2 = {
    "passes": "passed", "fails": "failed", "fails with words": "failed", "fails twice": "failed", "throws": "failed",
    "warns": "passed", 'commas, [brackets], "quotes", \\ and *': "passed", "  blanks around  ": "passed",
    "blanks around": "passed", "PASSES": "passed", "*": "passed", "exclude:this": "passed", "~not this": "passed",
    "#number": "passed", "two\nlines": "passed", b"caf\xe9": "passed", LONG: "passed", "is hidden": "skipped",
    "is hidden by its tag": "skipped", "should fail": "passed", "should fail and does not": "failed",
    "may fail": "passed", "sections": "failed", "Scenario: a stack": "passed", "sizes - int": "passed",
    "sizes - char": "failed", "crashes": "crashed", "exits": "crashed", "runs after those": "passed"}


class Catch2Tests:
    """Of one version; `version` and `more` (its own cases) are the subclass'."""

    def setUp(self):
        super().setUp()
        self.programs = os.path.join(os.environ["DTEST_FIXTURES"], f"catch2v{self.version}")
        if not os.path.isdir(self.programs):
            self.skipTest(f"the fixtures were built without Catch2 {self.version}: CMake did not find it")

    def program(self, name="catch2_test"):
        """A copy of the program in the test's directory."""
        os.makedirs(self.path("tests"), exist_ok=True)
        return shutil.copy(os.path.join(self.programs, name), self.path("tests"))

    def expected(self):
        return {**CATCH2, **self.more}

    def test_every_outcome_in_every_report(self):
        program = self.program()
        for processes in ("batch", "case"):
            result = self.dtest(program, "--processes", processes, "--no-list-cache")
            self.assertExit(result, FAILED)
            self.assertEqual(result.names(), self.expected(), processes)
            said = {text_of(event["name"]): event for event in result.attempts()}
            failed = said["fails"]
            self.assertRegex(failed["message"], r"^\S*catch2_test.cc:\d+: CHECK\( x == 3 \)\n  which is: 2 == 3\n"
                             r"  x is even\n  x := 2\n\S*catch2_test.cc:\d+: REQUIRE\( x == 4 \)\n  which is: 2 == 4\n")
            self.assertIn("not in a scope", failed["message"])
            for text in ("on cout", "on cerr"):
                self.assertIn(text, failed["output"])
            self.assertIn('failed: given <up> & "out"', said["fails with words"]["message"])
            self.assertRegex(said["fails twice"]["message"], r"failed: one\n.*failed: two")
            self.assertIn("unexpected exception: nobody catches this", said["throws"]["message"])
            self.assertIn("look here", said["warns"]["warning"])
            self.assertIn("[!mayfail]", said["may fail"]["warning"])
            self.assertIn("[!shouldfail]", said["should fail and does not"]["message"])
            self.assertIn("in: outer / inner <1>", said["sections"]["message"])
            self.assertIn("Segmentation fault", said["crashes"]["message"])
            self.assertIn("SIGSEGV", said["crashes"]["output"])
            self.assertIn("exited with status 0 before the test had ended", said["exits"]["message"])
            self.assertEqual(said["is hidden"]["message"], "hidden")
        # By itself, each: also what other names are like.
        alone = {text_of(event["name"]): event for event in result.attempts()}
        self.assertIn("by printf", alone["fails"]["output"])
        junit = {case[1]: kind for case, kind in result.junit_kinds().items()}
        self.assertEqual(junit["fails"], "failure")
        self.assertEqual(junit["crashes"], "error")
        self.assertEqual(junit["is hidden"], "skipped")
        self.assertEqual(junit[LONG], "passed")
        self.assertEqual(len(junit), len(self.expected()))

    def test_each_case_by_its_name_alone(self):
        program = self.program()
        for name in ("passes", "PASSES", "*", "  blanks around  ", "blanks around", "exclude:this", "~not this", "#number",
                     'commas, [brackets], "quotes", \\ and *'):
            with self.subTest(name=name):
                result = self.dtest(program, "-k", name.replace(":", "?") if ":" in name else f"={name}")
                ran = result.names()
                self.assertEqual(ran.get(name), "passed", result.text)

    def test_hidden_ones_run_when_asked_for(self):
        result = self.dtest(self.program(), "--run-disabled")
        expected = {**self.expected(), "is hidden": "failed", "is hidden by its tag": "passed"}
        self.assertEqual(result.names(), expected)

    def test_what_the_listing_knows(self):
        result = self.dtest(self.program(), "-k", "fails:sizes - *")
        selected, = result.events("cases_selected")
        cases = {case["name"]: case for case in selected["cases"]}
        self.assertTrue(selected["files"][cases["fails"]["file"]].endswith("catch2_test.cc"))
        with open(os.path.join(os.path.dirname(__file__), os.pardir, "fixtures", "catch2_test.cc"), "rb") as source:
            self.assertIn(b'TEST_CASE("fails"', source.read().splitlines()[cases["fails"]["line"] - 1])
        listed = self.dtest("list", self.program(), reports=False)
        self.assertExit(listed, PASSED)
        self.assertIn(LONG, listed.stdout)

    def test_stripped_it_is_recognised_in_a_directory(self):
        program = self.program()
        subprocess.run(["strip", program], check=True)
        os.rename(program, self.path("tests", "anything"))
        result = self.dtest(self.path("tests"), "-k", "=passes")
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"passes": "passed"})

    def test_no_tests(self):
        program = self.program("catch2_empty_test")
        self.assertExit(self.dtest(program), FAILED)
        self.assertExit(self.dtest(program, "--allow-unrunnable"), NOTHING)

    def test_a_main_that_prints(self):
        result = self.dtest(self.program("catch2_own_main_test"))
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"first": "passed", "second": "passed"})

    def test_a_main_that_hands_on_no_arguments(self):
        result = self.dtest(self.program("catch2_own_main_test"), "--env", "FIXTURE_DEAF=1")
        self.assertExit(result, PASSED)
        self.assertEqual(list(result.names().values()), ["passed"])
        self.assertTrue(list(result.names())[0].endswith("catch2_own_main_test"))
        self.assertSays(result, "it is run as one case")

    def test_two_tests_of_one_name(self):
        result = self.dtest(self.program("catch2_own_main_test"), "--env", "FIXTURE_TWICE=1")
        self.assertExit(result, FAILED)
        self.assertSays(result, "listing the tests of tests/catch2_own_main_test", "first", "already defined")

    def test_names_that_change(self):
        result = self.dtest(self.program("catch2_own_main_test"), "--env", "FIXTURE_NAMES_CHANGE=1", "--processes", "case")
        self.assertNotEqual(result.code, PASSED)
        verdicts = result.names()
        self.assertEqual((verdicts.pop("first"), verdicts.pop("second")), ("passed", "passed"))
        self.assertEqual(list(verdicts.values()), ["infra error"])
        self.assertSays(result, "does not run it by that name")


class Catch2Version2Test(Catch2Tests, DtestCase):
    version = 2
    more = {}


class Catch2Version3Test(Catch2Tests, DtestCase):
    version = 3
    more = {"skips": "skipped"}


DOCTEST = {
    "passes": "passed", "fails": "failed", "fails with words": "failed", "fails twice": "failed", "throws": "failed",
    "throws in a subcase": "failed", "throws what is not expected": "failed", "warns": "passed", "prints": "passed",
    'commas, [brackets], "quotes", \\ and *': "passed", 'commas; [brackets]; "quotes"; \\ and nothing': "failed",
    "  blanks around  ": "passed", "blanks around": "passed", "PASSES": "passed", "Passes": "failed", "*": "passed",
    "pass?s": "passed", "p*s": "passed", "a,b": "passed", "a;b": "failed", "a\\,b": "passed", "two\nlines": "passed",
    b"caf\xe9": "passed", "twice": "passed", "twice [left]": "failed", "in a suite": "passed",
    "crashes too [left]": "crashed", "twice [right]": "passed", "crashes too [right]": "passed",
    "is skipped": "skipped", "is skipped and good": "skipped", "is not skipped": "passed", "should fail": "passed",
    "should fail and does not": "failed", "may fail": "passed", "fails as often as expected": "passed",
    "fails more rarely than expected": "failed", "takes longer than its timeout": "failed",
    "takes less than its timeout": "passed", "subcases": "failed", "sizes<int>": "passed", "sizes<char>": "failed",
    "crashes": "crashed", "exits": "crashed", "runs after those": "passed"}
PLACE = re.compile(r"^(|thrice )\(.*doctest_test\.cc:\d+\)$")


class DoctestTest(DtestCase):

    def setUp(self):
        super().setUp()
        self.programs = os.path.join(os.environ["DTEST_FIXTURES"], "doctest")
        if not os.path.isdir(self.programs):
            self.skipTest("the fixtures were built without doctest: CMake did not find it")

    def program(self, name="doctest_test"):
        """A copy of the program in the test's directory."""
        os.makedirs(self.path("tests"), exist_ok=True)
        return shutil.copy(os.path.join(self.programs, name), self.path("tests"))

    def named(self, names):
        """Verdicts without the tests that only their places tell apart, which all pass: the one without a name, and
        two of one name and suite."""
        by_place = [name for name in names if isinstance(name, str) and PLACE.match(name)]
        self.assertEqual(len(by_place), 3, by_place)
        for name in by_place:
            self.assertEqual(names.pop(name), "passed")
        return names

    def own(self, program):
        """By (name, line), what doctest says of each test that its process ends."""
        report = self.path("own.xml")
        subprocess.run([program, "-r=xml", f"-o={report}", "-tce=crash*,exits"], check=False, stdout=subprocess.DEVNULL)
        own = {}
        for test in xml.etree.ElementTree.parse(report).iter("TestCase"):
            if test.get("skipped") == "true":
                continue
            success = test.find("OverallResultsAsserts").get("test_case_success")
            own[test.get("name", ""), int(test.get("line"))] = "passed" if success == "true" else "failed"
        return own

    def test_every_outcome_in_every_report(self):
        program = self.program()
        for processes in ("batch", "case"):
            result = self.dtest(program, "--processes", processes, "--no-list-cache")
            self.assertExit(result, FAILED)
            self.assertEqual(self.named(result.names()), DOCTEST, processes)
            said = {text_of(event["name"]): event for event in result.attempts()}
            self.assertRegex(said["fails"]["message"],
                             r"^\S*doctest_test.cc:\d+: CHECK\( x == 3 \)\n  which is: 2 == 3\n  x is even\n"
                             r"  x := 2\n\S*doctest_test.cc:\d+: REQUIRE_EQ\( x, 4 \)\n  which is: 2, 4\n")
            self.assertIn("a message", said["fails"]["output"])
            self.assertIn('failed: given <up> & "out"', said["fails with words"]["message"])
            self.assertRegex(said["fails twice"]["message"], r"failed: one\n.*failed: two")
            self.assertIn("unexpected exception: nobody catches this", said["throws"]["message"])
            self.assertRegex(said["throws in a subcase"]["message"],
                             r"unexpected exception: from inside\n  in: outer / inner <1>")
            self.assertRegex(said["throws what is not expected"]["message"],
                             r'(?s)threw: "wrong"\n  and not: std::runtime_error.*and not the text: right'
                             r'.*threw nothing.*threw: "at all"')
            self.assertIn("WARN( 1 == 2 )", said["warns"]["warning"])
            self.assertIn("may_fail", said["may fail"]["warning"])
            self.assertIn("should_fail", said["should fail and does not"]["message"])
            self.assertIn("failed 1 times, and expected_failures wants 2",
                          said["fails more rarely than expected"]["message"])
            self.assertIn("longer than its timeout", said["takes longer than its timeout"]["message"])
            self.assertIn("in: outer / inner <1>", said["subcases"]["message"])
            self.assertIn("Segmentation fault", said["crashes"]["message"])
            self.assertIn("SIGSEGV", said["crashes"]["output"])
            self.assertIn("Aborted", said["crashes too [left]"]["message"])
            self.assertIn("exited with status 0 before the test had ended", said["exits"]["message"])
            self.assertEqual(said["is skipped"]["message"], "skip")
        # By itself, each: what printf says is nobody else's.
        self.assertIn("by printf", said["fails"]["output"])
        junit = {case[1]: kind for case, kind in result.junit_kinds().items()}
        self.assertEqual(junit["fails"], "failure")
        self.assertEqual(junit["crashes"], "error")
        self.assertEqual(junit["is skipped"], "skipped")
        self.assertEqual(len(junit), len(DOCTEST) + 3)

    def test_verdicts_are_those_of_the_program_run_by_itself(self):
        program = self.program()
        own = self.own(program)
        self.assertGreater(len(own), 40)
        for processes in ("batch", "case"):
            result = self.dtest(program, "--processes", processes)
            selected, = result.events("cases_selected")
            lines = {case["name"]: case["line"] for case in selected["cases"] if isinstance(case["name"], str)}
            verdicts = {}
            for event in result.attempts():
                if event["outcome"] in ("passed", "failed") and isinstance(event["name"], str):
                    verdicts[lines[event["name"]]] = event["outcome"]
            ours = {key: verdicts.get(key[1]) for key in own if key[1] in verdicts}
            # Templates share a line, and JSON has other words for bytes that are no text.
            templates = {key for key in own if key[0].startswith("sizes<")}
            strange = {key for key in own if "\\x" in key[0]}
            for key in templates:
                ours[key] = result.names()[key[0]]
            self.assertEqual(ours, {key: outcome for key, outcome in own.items() if key not in strange}, processes)

    def test_each_case_by_its_name_alone(self):
        program = self.program()
        for name in ('commas, [brackets], "quotes", \\ and *', 'commas; [brackets]; "quotes"; \\ and nothing',
                     "  blanks around  ", "PASSES", "Passes", "*", "pass?s", "p*s", "a,b", "a;b", "a\\,b", "twice",
                     "twice [left]", "twice [right]", "crashes too [right]", "is skipped", "sizes<char>"):
            with self.subTest(name=name):
                result = self.dtest(program, "-k", f"={name}")
                self.assertEqual(result.names(), {name: DOCTEST[name]}, result.text)

    def test_skipped_ones_run_when_asked_for(self):
        result = self.dtest(self.program(), "--run-disabled")
        expected = {**DOCTEST, "is skipped": "failed", "is skipped and good": "passed"}
        self.assertEqual(self.named(result.names()), expected)

    def test_what_the_listing_knows(self):
        result = self.dtest(self.program(), "-k", "fails:in a suite")
        selected, = result.events("cases_selected")
        cases = {case["name"]: case for case in selected["cases"]}
        self.assertTrue(selected["files"][cases["fails"]["file"]].endswith("doctest_test.cc"))
        with open(os.path.join(os.path.dirname(__file__), os.pardir, "fixtures", "doctest_test.cc"), "rb") as source:
            self.assertIn(b'TEST_CASE("fails"', source.read().splitlines()[cases["fails"]["line"] - 1])
        listed = self.dtest("list", self.program(), reports=False)
        self.assertExit(listed, PASSED)
        self.assertEqual(len(listed.stdout.splitlines()), len(DOCTEST) + 3)
        self.assertIn("twice [left]", listed.stdout)

    def test_a_failure_is_reproduced(self):
        program = self.program()
        self.dtest(program)
        again = self.dtest("reproduce", "twice [left]", reports=False)
        self.assertExit(again, FAILED)
        self.assertSays(again, "of the left")

    def test_stripped_it_is_recognised_in_a_directory(self):
        program = self.program()
        subprocess.run(["strip", program], check=True)
        os.rename(program, self.path("tests", "anything"))
        result = self.dtest(self.path("tests"), "-k", "=passes")
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"passes": "passed"})

    def test_no_tests(self):
        program = self.program("doctest_empty_test")
        self.assertExit(self.dtest(program), FAILED)
        self.assertExit(self.dtest(program, "--allow-unrunnable"), NOTHING)

    def test_a_main_that_prints(self):
        result = self.dtest(self.program("doctest_own_main_test"))
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"first": "passed", "second": "passed"})

    def test_a_main_that_hands_on_no_arguments(self):
        result = self.dtest(self.program("doctest_own_main_test"), "--env", "FIXTURE_DEAF=1")
        self.assertExit(result, PASSED)
        self.assertEqual(list(result.names().values()), ["passed"])
        self.assertSays(result, "it is run as one case")

    def test_two_tests_that_nothing_tells_apart(self):
        result = self.dtest(self.program("doctest_own_main_test"), "--env", "FIXTURE_TWICE=1")
        self.assertExit(result, FAILED)
        self.assertSays(result, "listing the tests of tests/doctest_own_main_test", "two tests are named 'again<>' at ")

    def test_names_that_change(self):
        result = self.dtest(self.program("doctest_own_main_test"), "--env", "FIXTURE_NAMES_CHANGE=1", "--processes", "case")
        self.assertNotEqual(result.code, PASSED)
        verdicts = result.names()
        self.assertEqual((verdicts.pop("first"), verdicts.pop("second")), ("passed", "passed"))
        self.assertEqual(list(verdicts.values()), ["infra error"])
        self.assertSays(result, "does not run it by that name")


BOOST = {
    "passes": "passed", "fails": "failed", "fails_with_words": "failed", "fails_twice": "failed",
    "fails_in_collections": "failed", "throws": "failed", "throws_from_a_known_place": "failed",
    "throws_a_number": "failed", "throws_what_is_not_expected": "failed", "warns": "passed", "checks_nothing": "passed",
    "says_what_the_log_says": "passed", "aborts": "crashed", "outer/inner/passes": "passed",
    "outer/inner/fails": "failed", "outer/passes": "passed", "left/twice": "failed", "left/crashes_too": "crashed",
    "right/twice": "passed", "right/crashes_too": "passed", "numbers/_0": "passed", "numbers/_1": "failed",
    "numbers/_2": "passed", "pairs/_0": "passed", "pairs/_1": "passed", "pairs/_2": "passed", "pairs/_3": "failed",
    "sizes<int>": "passed", "sizes<char>": "failed", "sizes<std__pair<int_ char_>>": "passed",
    "with_a_fixture": "passed", "with_a_set_up_that_fails": "failed", "with_a_tear_down_that_fails": "failed",
    "with_a_decorator_that_fails": "failed", "is_disabled": "skipped", "is_disabled_and_good": "skipped",
    "is_labelled_disabled": "passed", "disabled_suite/is_off": "skipped", "disabled_suite/is_on_again": "passed",
    "is_skipped": "skipped", "skipped_suite/one": "skipped", "skipped_suite/other": "skipped",
    "fails_as_often_as_expected": "passed", "fails_more_rarely_than_expected": "passed",
    "fails_more_often_than_expected": "failed", "is_aborted_as_expected": "failed",
    "takes_longer_than_its_timeout": "failed", "takes_less_than_its_timeout": "passed", "is_tolerant": "passed",
    "needs_what_comes_later": "passed", "needs_all": "skipped", "needs_what_is_disabled": "skipped",
    "needs_what_is_partly_disabled": "skipped", "needs_what_is_skipped": "skipped", "needs_what_crashes": "skipped",
    "dependencies/needs_bad": "skipped", "dependencies/needs_needs_bad": "skipped", "dependencies/good": "passed",
    "dependencies/bad": "failed", "dependent/one": "passed", "dependent/other": "skipped", "two words": "passed",
    "blanks around": "passed", 'quotes " and (1)_ brackets': "passed", "commas_ [brackets] and _": "passed",
    "a_b_ _c": "passed", b"caf\xe9": "passed", "Passes": "passed", "--option": "passed", "tab\there": "passed",
    "*": "passed", "p*s": "passed", "pa*": "passed", "a,b": "passed", "a:b": "passed", "a/b": "passed", "!not": "passed",
    "@label": "passed", "+more": "passed", "*around*": "passed", " ": "passed", "a,c": "failed", "crashes": "crashed",
    "exits": "crashed", "exits_at_once": "crashed", "runs_after_those": "passed"}


class BoostTest(DtestCase):

    def setUp(self):
        super().setUp()
        self.programs = os.path.join(os.environ["DTEST_FIXTURES"], "boost")
        if not os.path.isdir(self.programs):
            self.skipTest("the fixtures were built without Boost.Test: CMake did not find it")

    def program(self, name="boost_test"):
        """A copy of the program in the test's directory."""
        os.makedirs(self.path("tests"), exist_ok=True)
        return shutil.copy(os.path.join(self.programs, name), self.path("tests"))

    def own(self, program, *filters):
        """By its full name, what Boost.Test's report says of each case when it runs all but what ends its process."""
        report = self.path("own.xml")
        subprocess.run([program, "--report_level=detailed", "--report_format=XML", f"--report_sink={report}",
                        *(f"--run_test=!{name}" for name in filters)], check=False, stdout=subprocess.DEVNULL)
        own = {}

        def read(unit, path):
            for child in unit:
                name = path + [child.get("name")]
                if child.tag == "TestSuite":
                    read(child, name)
                    if child.get("result") == "skipped":
                        own["/".join(name)] = "skipped"  # of its cases it says nothing
                else:
                    own["/".join(name)] = child.get("result")

        with open(report, encoding="latin-1") as file:
            read(xml.etree.ElementTree.fromstring(file.read())[0], [])
        words = {"passed": "passed", "skipped": "skipped"}
        return {name: words.get(result, "failed") for name, result in own.items()}

    def test_every_outcome_in_every_report(self):
        program = self.program()
        for processes in ("batch", "case"):
            result = self.dtest(program, "--processes", processes, "--no-list-cache")
            self.assertExit(result, FAILED)
            self.assertEqual(result.names(), BOOST, processes)
            said = {text_of(event["name"]): event for event in result.attempts()}
            self.assertRegex(said["fails"]["message"],
                             r"^\S*boost_test.cc:\d+: check x == 3 has failed \[2 != 3\]\n"
                             r"  Failure occurred in a following context:\n  x is even\n"
                             r"\S*boost_test.cc:\d+: critical check x == 4 has failed \[2 != 4\]$")
            self.assertIn("a message", said["fails"]["output"])
            self.assertNotIn("x is even", said["fails"]["output"])
            self.assertIn(': given <up> & "out"', said["fails_with_words"]["message"])
            self.assertRegex(said["fails_twice"]["message"], r": one\n.*: two$")
            self.assertIn("mismatch at position 1: [2 == 5] is false", said["fails_in_collections"]["message"])
            self.assertRegex(said["throws"]["message"],
                             r"^\S*boost_test.cc:\d+: std::runtime_error: nobody catches this\n"
                             r"  .*last checkpoint: about to throw$")
            self.assertRegex(said["throws_from_a_known_place"]["message"],
                             r'(?s)boost_test.cc:\d+: in "void throws_from.*what: from a function')
            self.assertIn("1 == 2 is not satisfied [1 != 2]", said["warns"]["warning"])
            self.assertIn("number = 2", said["numbers/_1"]["message"])
            self.assertIn("no database", said["with_a_decorator_that_fails"]["message"])
            self.assertEqual(said["is_disabled"]["message"], "disabled")
            for name in ("is_skipped", "skipped_suite/one", "skipped_suite/other"):
                self.assertEqual(said[name]["message"], "precondition failed: no network")
            self.assertIn("failed, as expected_failures allows: ", said["fails_as_often_as_expected"]["warning"])
            self.assertIn("failed 1 times, and expected_failures allows 2",
                          said["fails_more_rarely_than_expected"]["warning"])
            self.assertIn("failed 2 times, and expected_failures allows 1",
                          said["fails_more_often_than_expected"]["message"])
            self.assertIn("timeout while executing function", said["takes_longer_than_its_timeout"]["message"])
            self.assertEqual(said["needs_all"]["message"], 'dependency test suite "dependencies" has failed')
            self.assertEqual(said["needs_what_is_disabled"]["message"],
                             'dependency test case "is_disabled_and_good" is disabled')
            self.assertEqual(said["needs_what_crashes"]["message"],
                             "it depends on 'crashes', in which the process ended")
            self.assertIn("Segmentation fault", said["crashes"]["message"])
            self.assertIn("before it crashed", said["crashes"]["output"])
            self.assertIn("Aborted", said["aborts"]["message"])
            self.assertIn("exited with status 3 before the test had ended", said["exits_at_once"]["message"])
        # By itself, each: what printf says is nobody else's.
        self.assertIn("by printf", said["fails"]["output"])
        kinds = list(result.junit_kinds().values())
        self.assertEqual(len(kinds), len(BOOST))
        for kind, outcome in (("passed", "passed"), ("failure", "failed"), ("error", "crashed"), ("skipped", "skipped")):
            self.assertEqual(kinds.count(kind), list(BOOST.values()).count(outcome), kind)

    def test_verdicts_are_those_of_the_program_run_by_itself(self):
        program = self.program()
        own = self.own(program, "crashes,exits,exits_at_once,aborts", "left/crashes_too")
        self.assertGreater(len(own), 70)
        for processes in ("batch", "case"):
            ours = {}
            for name, outcome in self.dtest(program, "--processes", processes).names().items():
                name = name.decode("latin-1") if isinstance(name, bytes) else name.replace("\t", " ")  # as XML has it
                ours[name] = outcome
            skipped = [name for name, outcome in own.items() if outcome == "skipped" and name not in ours]
            for suite in skipped:  # as a whole
                self.assertEqual({outcome for name, outcome in ours.items() if name.startswith(suite + "/")}, {"skipped"})
            self.assertEqual({name: ours[name] for name in own if name not in skipped},
                             {name: outcome for name, outcome in own.items() if name not in skipped}, processes)
            only_ours = {name: outcome for name, outcome in ours.items() if name not in own}
            self.assertEqual({name for name, outcome in only_ours.items() if outcome != "skipped"},
                             {"crashes", "exits", "exits_at_once", "aborts", "left/crashes_too"})

    def test_each_case_by_its_name_alone(self):
        program = self.program()
        for name in ("passes", "outer/inner/passes", "numbers/_1", "sizes<std__pair<int_ char_>>", "two words", "--option",
                     "tab\there", 'quotes " and (1)_ brackets', "*", "p*s", "pa*", "a,b", "a,c", "a:b", "a/b", "!not",
                     "@label", "+more", "*around*", " ", "is_disabled", "needs_what_comes_later", "needs_what_is_disabled",
                     "needs_what_is_partly_disabled", "dependencies/needs_needs_bad", "dependent/other",
                     "needs_what_crashes"):
            with self.subTest(name=name):
                result = self.dtest(program, "-k", f"={name}")
                self.assertEqual(result.names(), {name: BOOST[name]}, result.text)

    def test_disabled_ones_run_when_asked_for(self):
        program = self.program()
        expected = {**BOOST, "is_disabled": "failed", "is_disabled_and_good": "passed", "disabled_suite/is_off": "passed",
                    "needs_what_is_disabled": "passed", "needs_what_is_partly_disabled": "passed"}
        for processes in ("batch", "case"):
            result = self.dtest(program, "--run-disabled", "--processes", processes)
            self.assertEqual(result.names(), expected, processes)

    def test_what_the_listing_knows(self):
        program = self.program()
        result = self.dtest(program, "-k", "fails:outer/inner/fails:needs_what_comes_later")
        selected, = result.events("cases_selected")
        cases = {case["name"]: case for case in selected["cases"]}
        self.assertTrue(selected["files"][cases["fails"]["file"]].endswith("boost_test.cc"))
        with open(os.path.join(os.path.dirname(__file__), os.pardir, "fixtures", "boost_test.cc"), "rb") as source:
            self.assertIn(b"BOOST_AUTO_TEST_CASE(fails)", source.read().splitlines()[cases["fails"]["line"] - 1])
        for label, name in (("deep", "outer/inner/fails"), ("slow", "outer/inner/fails"),
                            ("expected_failures(1)", "is_aborted_as_expected"), ("disabled()", "is_disabled"),
                            ("depends_on(dependencies/bad)", "dependencies/needs_bad")):
            listed = self.dtest("list", program, "-k", f'label("{label}")', reports=False)
            self.assertExit(listed, PASSED)
            self.assertIn(name, listed.stdout)
        self.assertEqual(len(self.dtest("list", program, reports=False).stdout.splitlines()), len(BOOST))

    def test_a_failure_is_reproduced(self):
        self.dtest(self.program())
        again = self.dtest("reproduce", "left/twice", reports=False)
        self.assertExit(again, FAILED)
        self.assertSays(again, "of the left")

    def test_each_kind_of_library_is_recognised_in_a_directory(self):
        for name in ("boost_static_test", "boost_headers_test", "boost_own_main_test"):
            for stripped in (False, True):
                with self.subTest(name=name, stripped=stripped):
                    program = self.program(name)
                    if stripped:
                        subprocess.run(["strip", program], check=True)
                    os.rename(program, self.path("tests", "anything"))
                    result = self.dtest(self.path("tests"), "--no-list-cache")
                    own = "own_main" in name
                    self.assertExit(result, PASSED if own else FAILED)
                    self.assertEqual(result.names(), {"first": "passed", "second": "passed"} if own else
                                     {"passes": "passed", "fails": "failed"})

    def test_fixtures_of_suites(self):
        program = self.program("boost_fixtures_test")
        expected = {"good/first": "passed", "good/second": "passed", "set_up_fails/first": "failed",
                    "set_up_fails/within/second": "failed", "set_up_complains/only": "failed",
                    "tear_down_fails/clean": "passed", "tear_down_fails/leaves_something": "failed",
                    "tear_down_fails/clean_too": "passed", "last": "passed"}
        for processes in ("batch", "case"):
            result = self.dtest(program, "--processes", processes)
            self.assertExit(result, FAILED)
            self.assertEqual(result.names(), expected, processes)
            said = {event["name"]: event["message"] for event in result.attempts() if event.get("message")}
            self.assertRegex(said["set_up_fails/first"], r": no database\n  in the set-up of the suite 'set_up_fails'")
            self.assertRegex(said["set_up_complains/only"], r": a stale lock\n  in the set-up of the suite")
            self.assertRegex(said["tear_down_fails/leaves_something"],
                             r"left_behind == 0 has failed \[1 != 0\]\n  in the tear-down of the suite")

    def test_fixtures_that_crash(self):
        program = self.program("boost_fixtures_test")
        for part, kinds in (("set-up", ("crashed", "crashed")), ("tear-down", ("crashed", "crashed"))):
            result = self.dtest(program, "-k", "good/*:=last", "--env", f"FIXTURE_SUITE={part}")
            self.assertExit(result, FAILED)
            verdicts = result.names()
            self.assertEqual((verdicts["good/first"], verdicts["good/second"]), kinds, result.text)
            self.assertEqual(verdicts["last"], "passed")
            self.assertSays(result, "Aborted")

    def test_fixtures_of_the_module(self):
        program = self.program("boost_fixtures_test")
        for part, text in (("set-up", "no license"), ("tear-down", "not all given back"), ("crash", "Aborted")):
            result = self.dtest(program, "-k", "good/*:=last", "--env", f"FIXTURE_MODULE={part}")
            self.assertExit(result, FAILED)
            self.assertNotIn("passed", result.names().values(), result.text)
            self.assertSays(result, text)

    def test_no_tests(self):
        program = self.program("boost_empty_test")
        self.assertExit(self.dtest(program), FAILED)
        self.assertExit(self.dtest(program, "--allow-unrunnable"), NOTHING)

    def test_a_main_that_prints(self):
        result = self.dtest(self.program("boost_own_main_test"))
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"first": "passed", "second": "passed"})

    def test_a_main_that_hands_on_no_arguments(self):
        result = self.dtest(self.program("boost_own_main_test"), "--env", "FIXTURE_DEAF=1")
        self.assertExit(result, PASSED)
        self.assertEqual(list(result.names().values()), ["passed"])
        self.assertSays(result, "it is run as one case")

    def test_two_tests_of_one_name(self):
        result = self.dtest(self.program("boost_own_main_test"), "--env", "FIXTURE_TWICE=1")
        self.assertExit(result, FAILED)
        self.assertSays(result, "listing the tests of tests/boost_own_main_test", "exited with status 200: Test setup error: test unit with name 'again' registered multiple times")

    def test_an_initialisation_that_fails(self):
        for when in ("list", "run"):
            result = self.dtest(self.program("boost_own_main_test"), "--env", f"FIXTURE_BROKEN={when}", "--no-list-cache")
            self.assertExit(result, FAILED)
            self.assertSays(result, "test module initialization failed")
            self.assertNotIn("passed", result.names().values())

    def test_names_that_change(self):
        result = self.dtest(self.program("boost_own_main_test"), "--env", "FIXTURE_NAMES_CHANGE=1", "--processes", "case")
        self.assertNotEqual(result.code, PASSED)
        verdicts = result.names()
        self.assertEqual((verdicts.pop("first"), verdicts.pop("second")), ("passed", "passed"))
        self.assertEqual(list(verdicts.values()), ["infra error"])
        self.assertSays(result, "does not run it by that name")

    def test_variables_that_would_change_what_runs_and_is_said(self):
        variables = {"BOOST_TEST_RUN_FILTERS": "first", "BOOST_TEST_OUTPUT_FORMAT": "XML", "BOOST_TEST_LIST_CONTENT": "HRF",
                     "BOOST_TEST_LOGGER": "XML,all,stdout", "BOOST_TEST_LOG_LEVEL": "nothing", "BOOST_TEST_RESULT_CODE": "no"}
        result = self.dtest(self.program("boost_own_main_test"), env=variables)
        self.assertExit(result, PASSED)
        self.assertEqual(result.names(), {"first": "passed", "second": "passed"})


if __name__ == "__main__":
    harness.main()
