"""Test frameworks other than GoogleTest: what their programs say becomes cases, verdicts and messages."""

import textwrap

import harness
from harness import FAILED, PASSED, USAGE, DtestCase

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
        self.assertSays(result, "--protocol: 'tip' is not one of googletest, tap, plain")


if __name__ == "__main__":
    harness.main()
