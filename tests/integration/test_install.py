"""What `cmake --install` leaves: programs that work from there, completions in real shells, a manual page."""

import os
import pty
import select
import shutil
import subprocess
import tempfile
import time
import unittest

import harness
from harness import DtestCase, fixture

BUILD = os.path.dirname(os.environ["DTEST_BINARY"])


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is missing: apt-get install {program}")


class InstallTest(DtestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix_directory = tempfile.TemporaryDirectory(prefix="dtest-install-")
        cls.prefix = cls.prefix_directory.name
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.prefix_directory.cleanup()
        super().tearDownClass()

    def share(self, *parts):
        return os.path.join(self.prefix, "share", *parts)

    def test_the_installed_program_finds_its_agent(self):
        environment = {key: value for key, value in os.environ.items() if key != "DTEST_AGENT"}
        environment["HOME"] = self.directory
        done = subprocess.run([os.path.join(self.prefix, "bin", "dtest"), fixture("many_test")], cwd=self.directory,
                              env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_bash(self):
        script = self.share("bash-completion", "completions", "dtest")

        def complete(*words):
            done = subprocess.run(
                ["bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dtest 2>/dev/null; '
                 'printf "%s\\n" "${COMPREPLY[@]}"', "bash", script, *words],
                cwd=self.directory, capture_output=True, text=True, check=True)
            return [word for word in done.stdout.splitlines() if word]

        self.assertEqual(complete("dtest", "--retrie"), ["--retries"])
        self.assertEqual(complete("dtest", "hosts", "--retrie"), [], "hosts retries nothing")
        self.assertEqual(complete("dtest", "--color", "a"), ["auto", "always"])
        self.assertEqual(complete("dtest", "rep"), ["report", "reproduce"])
        self.assertEqual(complete("dtest", "--color", "=", "al"), ["always"])
        self.assertEqual(complete("dtest", "help", "rep"), ["report", "reproduce"])
        self.write("my tests/a_test", "")
        self.assertEqual(complete("dtest", "list", "my"), ["my tests"])
        self.assertIn("--no-peers", complete("dtest", "--"))

    @needs("fish")
    def test_fish(self):
        script = self.share("fish", "vendor_completions.d", "dtest.fish")

        def complete(line):
            done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
                                  cwd=self.directory, env={**os.environ, "HOME": self.directory}, capture_output=True,
                                  text=True, check=True)
            return [one.split("\t")[0] for one in done.stdout.splitlines()]

        self.assertEqual(complete("dtest --retrie"), ["--retries"])
        self.assertEqual(complete("dtest hosts --retrie"), [])
        self.assertEqual(sorted(complete("dtest --color a")), ["always", "auto"])
        self.assertEqual(sorted(complete("dtest rep")), ["report", "reproduce"])

    @needs("zsh")
    def test_zsh(self):
        functions = self.share("zsh", "site-functions")
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.directory)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "PS1": "", "HOME": self.directory})
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.close, terminal)

        def shows(text, seconds=30):
            seen, end = "", time.monotonic() + seconds
            while text not in seen:
                self.assertTrue(select.select([terminal], [], [], max(0, end - time.monotonic()))[0],
                                f"zsh did not show {text!r} but {seen!r}")
                seen += os.read(terminal, 65536).decode(errors="replace")

        # In two words, so that what the terminal echoes of the line is not what is waited for.
        os.write(terminal, f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D; echo rea''dy\n".encode())
        shows("ready")
        os.write(terminal, b"dtest --retrie\t")
        shows("--retries")
        os.write(terminal, b"\x15dtest hosts --min\t")
        shows("--min-hosts")
        os.write(terminal, b"\x15exit\n")

    @needs("groff")
    def test_manual_page(self):
        page = self.share("man", "man1", "dtest.1")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou", page], capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "", "groff warns")
        for text in ("--retries N", "DTEST_RETRIES", "dtest reproduce", "Exit status"):
            self.assertIn(text, " ".join(done.stdout.split()).replace("\N{HYPHEN}", "-").replace("\N{MINUS SIGN}", "-"))


if __name__ == "__main__":
    harness.main()
