"""Files of tests that are rewritten ahead of their import (dtest_pytest/rewriting.py), compared with pytest by itself.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

SKIPPED = 77
PLUGIN = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""

# Runs pytest in a process of its own; with "ahead", helpers have done all they can before the first file is imported.
DRIVER = """\
    import errno, gc, json, os, sys
    sys.dont_write_bytecode = "write" not in sys.argv
    os.sched_getaffinity = lambda process: {0, 1, 2}
    import pytest
    from dtest_pytest import rewriting

    taken = []

    class Patient(rewriting.Group):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            for process, memory in self._helpers:
                os.waitpid(process, 0)

        def take(self, file):
            made = super().take(file)
            if made is not None:
                taken.append(os.path.basename(file))
            return made

    rewriting.Group = Patient
    if "missing" in sys.argv:
        real, forks = os.fork, []

        def fork():
            forks.append(None)
            if len(forks) == 2:
                raise OSError(errno.EAGAIN, "no more processes")
            return real()

        os.fork = fork
    told = []

    class Teller:
        def pytest_collectreport(self, report):
            if report.failed:
                told.append([report.nodeid, "error", report.longreprtext])
        def pytest_runtest_logreport(self, report):
            told.append([report.nodeid, report.when, report.outcome, report.longreprtext])
        def pytest_warning_recorded(self, warning_message):
            told.append([os.path.basename(warning_message.filename), str(warning_message.message)])

    before = gc.get_threshold()
    plugins = [Teller(), rewriting.Ahead()] if "ahead" in sys.argv else [Teller()]
    pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", "--continue-on-collection-errors", "-q"], plugins=plugins)
    try:
        os.waitpid(-1, 0)
        children = True
    except ChildProcessError:
        children = False
    print("\\n" + json.dumps({"told": told, "taken": sorted(taken), "children": children,
                             "threshold": gc.get_threshold() == before}))
    """


class RewritingTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="dtest-rewriting-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        for number in range(20):
            self.write(f"test_{number:02}.py", f"""\
                def test_passes():
                    assert {number} == {number}

                def test_fails():
                    values = [{number}]
                    assert values == [1, 2], "no"
                """)
        self.write("driver.py", DRIVER)

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w") as file:
            file.write(textwrap.dedent(text))

    def run_pytest(self, *words):
        result = subprocess.run([sys.executable, "driver.py", *words], cwd=self.directory, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": PLUGIN})
        self.assertIn('{"told"', result.stdout)
        return json.loads(result.stdout.splitlines()[-1])

    def test_what_is_told_is_the_same(self):
        self.write("test_05.py", "def test_warns():\n    assert (1, 'always true')\n")
        self.write("test_06.py", "def test_cannot_be_read(:\n    pass\n")
        self.write("test_07.py", "def test_escapes():\n    assert '\\d' == '\\\\d'\n")
        self.write("test_08.py", "# coding: latin-1\ndef test_encoded():\n    assert 1 == 2\n")
        self.write("test_09.py", "import test_10\nassert test_10 is None\n")
        alone, ahead = self.run_pytest(), self.run_pytest("ahead")
        self.assertEqual(alone["taken"], [])
        self.assertEqual(ahead["told"], alone["told"])
        for text in ("always true", "invalid escape", "test_cannot_be_read", "[12] == [1, 2]"):
            self.assertIn(text, json.dumps(ahead["told"]))
        others = {"test_05.py", "test_06.py", "test_07.py"}
        self.assertEqual(set(ahead["taken"]), {f"test_{number:02}.py" for number in range(20)} - others)
        self.assertFalse(ahead["children"])
        self.assertTrue(ahead["threshold"])

    def test_one_process_that_cannot_be_had_is_done_without(self):
        alone, ahead = self.run_pytest(), self.run_pytest("ahead", "missing")
        self.assertEqual(ahead["told"], alone["told"])
        self.assertEqual(len(ahead["taken"]), 10, "one of two helpers makes every other file")

    def test_a_file_that_has_changed_is_read_again(self):
        self.write("test_00.py", "open('test_19.py', 'w').write('def test_new():\\n    assert 3 == 4\\n')\n")
        ahead = self.run_pytest("ahead")
        self.assertNotIn("test_19.py", ahead["taken"])
        self.assertIn("test_19.py::test_new", json.dumps(ahead["told"]))

    def test_what_is_cached_is_not_made_again(self):
        self.run_pytest("write")
        self.assertEqual(self.run_pytest("ahead", "write")["taken"], [])

    def test_few_files_are_not_worth_it(self):
        for number in range(5, 20):
            os.unlink(os.path.join(self.directory, f"test_{number:02}.py"))
        self.assertEqual(self.run_pytest("ahead")["taken"], [])

    def test_a_process_with_threads_is_not_forked(self):
        self.write("conftest.py", """\
            import threading
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            """)
        alone, ahead = self.run_pytest(), self.run_pytest("ahead")
        self.assertEqual((ahead["taken"], ahead["told"]), ([], alone["told"]))

    def test_a_threshold_of_the_project_stays(self):
        self.write("conftest.py", "import gc\ngc.set_threshold(123)\n")
        self.assertFalse(self.run_pytest("ahead")["threshold"])


if __name__ == "__main__":
    if importlib.util.find_spec("pytest") is None:
        print("skipped: no pytest", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main()
