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
        self.assertSays(result, "protocol: 'tip' is not one of googletest, catch2v2, catch2, doctest, tap, plain")


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


if __name__ == "__main__":
    harness.main()
