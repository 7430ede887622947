"""Byte code that is kept (dtest_pytest/bytecode.py) and made ahead (rewriting.py), compared with pytest by itself.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
import zlib

SKIPPED = 77
PLUGIN = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""

# Runs pytest in a process of its own; with "ahead", helpers have done all they can before the first file is imported.
DRIVER = """\
    import errno, gc, json, os, sys
    sys.dont_write_bytecode = "write" not in sys.argv
    os.sched_getaffinity = lambda process: {0, 1, 2}
    import pytest
    if "edited" in sys.argv:
        from _pytest.assertion import rewrite
        rewrite.__file__ = os.path.abspath("driver.py")
    from dtest_pytest import bytecode, rewriting
    if "full" in sys.argv:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    taken, own = [], os.getpid()

    class Patient(rewriting.Group):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            for process in self._helpers:
                os.waitpid(process, 0)

    class Kept(bytecode.Kept):
        def code(self, kind, source, file):
            made = super().code(kind, source, file)
            if made is not None and os.getpid() == own:
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
    plugins = [Teller()]
    if "ahead" in sys.argv:
        kept = Kept(sys.argv[1], sys.argv[2])
        plugins += [bytecode.Keeping(kept), rewriting.Ahead(kept)]
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
        self.directory = os.path.join(directory.name, "project")
        self.kept, self.instead = os.path.join(directory.name, "kept"), os.path.join(directory.name, "instead")
        self.options = ()  # of Python
        os.mkdir(self.directory)
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

    def begin_pytest(self, *words):
        return subprocess.Popen([sys.executable, *self.options, "driver.py", self.kept, self.instead, *words], cwd=self.directory,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": PLUGIN})

    def end_pytest(self, running):
        self.output = running.communicate()[0]
        self.assertIn('{"told"', self.output)
        return json.loads(self.output.splitlines()[-1])

    def run_pytest(self, *words):
        return self.end_pytest(self.begin_pytest(*words))

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


    # ---- Between runs

    def add_modules(self):
        """A module that is no test, imported by the first file, by which it can be told that it is read again."""
        self.write("helper.py", "import sys\n\ndef fail(value):\n    raise ValueError(value)\n")
        self.write("conftest.py", "import helper\n")
        self.write("test_00.py", "import helper\n\ndef test_calls():\n    assert helper.fail(7) == 1\n")

    def everything(self):
        return sorted(["helper.py", "conftest.py"] + [f"test_{number:02}.py" for number in range(20)])

    def test_a_second_run_takes_all(self):
        self.add_modules()
        alone, first, second = self.run_pytest(), self.run_pytest("ahead"), self.run_pytest("ahead")
        self.assertEqual(second["taken"], self.everything())
        self.assertEqual((first["told"], second["told"]), (alone["told"], alone["told"]))
        self.assertEqual([name for name in os.listdir(self.directory) if not name.endswith(".py")], [], "nothing is left there")

    def test_what_is_taken_is_of_the_place_where_the_source_is_now(self):
        self.add_modules()
        self.run_pytest("ahead")
        self.directory = shutil.move(self.directory, os.path.join(os.path.dirname(self.directory), "elsewhere"))
        moved = self.run_pytest("ahead")
        self.assertEqual(moved["taken"], self.everything())
        self.assertNotIn("project", json.dumps(moved["told"]))
        self.assertEqual(moved["told"], self.run_pytest()["told"])

    def test_another_content_of_the_same_size_and_time_is_read(self):
        self.add_modules()
        self.run_pytest("ahead")
        for name, before, after in (("helper.py", "ValueError", "IndexError"), ("test_01.py", "[1, 2]", "[8, 2]")):
            path = os.path.join(self.directory, name)
            status = os.stat(path)
            with open(path) as file:
                text = file.read()
            with open(path, "w") as file:
                file.write(text.replace(before, after))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            self.assertEqual(os.stat(path).st_size, status.st_size)
        again = self.run_pytest("ahead")
        self.assertEqual(set(self.everything()) - set(again["taken"]), {"helper.py", "test_01.py"})
        for text in ("IndexError: 7", "assert [1] == [8, 2]"):
            self.assertIn(text, json.dumps(again["told"]))

    def test_what_warns_as_it_is_compiled_warns_each_time(self):
        self.write("helper.py", "NAME = '\\d'\n")
        self.write("test_00.py", "import helper\n\ndef test_always():\n    assert (helper, 'never fails')\n")
        alone, first, second = self.run_pytest(), self.run_pytest("ahead"), self.run_pytest("ahead")
        self.assertEqual((first["told"], second["told"]), (alone["told"], alone["told"]))
        self.assertIn("assertion is always true", json.dumps(alone["told"]))
        self.assertIn("invalid escape", json.dumps(alone["told"]))
        self.assertEqual({"helper.py", "test_00.py"} & set(second["taken"]), set())

    def test_a_module_that_cannot_be_compiled_is_told_as_by_pytest(self):
        self.write("helper.py", "def wrong(:\n    pass\n")
        self.write("test_00.py", "import helper\n")
        self.assertEqual(self.run_pytest("ahead")["told"], self.run_pytest()["told"])
        self.assertIn("def wrong(:", self.output)

    def kept_files(self):
        return [os.path.join(directory, name) for directory, _, names in os.walk(self.kept) for name in names if name != "swept"]

    def test_what_is_damaged_is_made_again(self):
        alone = self.run_pytest()
        self.run_pytest("ahead")
        for number, path in enumerate(self.kept_files()):
            with open(path, "r+b") as file:
                file.seek(number * 7 % os.path.getsize(path))
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 0x40]))
                file.truncate(os.path.getsize(path) - number % 2)
        self.assertEqual(self.run_pytest("ahead")["told"], alone["told"])
        self.assertEqual(len(self.run_pytest("ahead")["taken"]), 20)

    def test_what_others_may_write_to_is_not_read(self):
        self.run_pytest("ahead")
        os.chmod(self.kept, 0o777)
        self.run_pytest("ahead")
        self.assertEqual(len(os.listdir(self.instead)), len(os.listdir(self.kept)))

    def test_a_file_that_others_may_have_written_is_not_read(self):
        self.run_pytest("ahead")
        files = self.kept_files()
        os.chmod(files[0], 0o666)
        others = 1
        if os.geteuid() == 0:
            os.chown(files[1], 65534, 65534)
            others = 2
        self.assertEqual(len(self.run_pytest("ahead")["taken"]), 20 - others)

    def test_what_stands_in_the_place_of_another_is_not_read(self):
        alone = self.run_pytest()
        self.run_pytest("ahead")
        files = self.kept_files()
        os.rename(files[0], files[0] + "-")
        os.rename(files[1], files[0])
        os.rename(files[0] + "-", files[1])
        again = self.run_pytest("ahead")
        self.assertEqual((len(again["taken"]), again["told"]), (18, alone["told"]))

    def test_what_marshal_cannot_read_is_made_again(self):
        alone = self.run_pytest()
        self.run_pytest("ahead")
        for path in self.kept_files():
            name = os.path.basename(os.path.dirname(path)) + os.path.basename(path)
            with open(path, "wb") as file:
                file.write(zlib.crc32(b"?", zlib.crc32(name.encode())).to_bytes(4, "little") + b"?")
        self.assertEqual(self.run_pytest("ahead")["told"], alone["told"])

    # ---- What else the code depends on

    def few_files(self):
        for number in range(3, 20):
            os.unlink(os.path.join(self.directory, f"test_{number:02}.py"))

    def assertAsAlone(self, *words):
        alone, first, second = self.run_pytest(*words), self.run_pytest("ahead", *words), self.run_pytest("ahead", *words)
        self.assertEqual((first["told"], second["told"]), (alone["told"], alone["told"]))
        return second

    def test_modules_that_are_imported_while_functions_of_the_system_are_replaced(self):
        self.few_files()
        self.write("helper.py", "VALUE = 1\n")
        self.write("test_00.py", """\
            from unittest import mock
            from contextlib import ExitStack
            names = "os.open", "os.fstat", "os.mkdir", "os.makedirs", "os.rename", "os.unlink", "os.utime", "os.urandom", "time.time"
            with mock.patch("builtins.open", mock.mock_open(read_data=b"no code")), ExitStack() as stack:
                for name in names: stack.enter_context(mock.patch(name, side_effect=AssertionError(name)))
                import helper as loaded

            def test_is_loaded():
                assert loaded.VALUE == 1
            """)
        second = self.assertAsAlone()
        self.assertIn(["test_00.py::test_is_loaded", "call", "passed", ""], second["told"])
        self.assertIn("helper.py", second["taken"])

    def test_what_the_project_puts_in_the_place_of_pythons_and_pytests_own_stays(self):
        self.few_files()
        self.write("conftest.py", """\
            import importlib.machinery
            from _pytest.assertion import rewrite
            loader, read, seen = importlib.machinery.SourceFileLoader, rewrite._read_pyc, []
            original = loader.source_to_code

            def source_to_code(self, data, path, **options):
                return original(self, data.replace(b"VALUE = 1", b"VALUE = 2"), path, **options)

            def read_pyc(path, *arguments):
                seen.append(path)
                return read(path, *arguments)

            loader.source_to_code = source_to_code
            rewrite._read_pyc = read_pyc
            """)
        self.write("helper.py", "VALUE = 1\n")
        self.write("late.py", "VALUE = 1\n")
        self.write("test_00.py", """\
            import importlib.machinery
            import conftest, helper
            from _pytest.assertion import rewrite

            def test_is_changed():
                import late
                assert (helper.VALUE, late.VALUE) == (2, 2)
                assert importlib.machinery.SourceFileLoader.source_to_code is conftest.source_to_code
                assert rewrite._read_pyc is conftest.read_pyc and conftest.seen
            """)
        self.assertNotIn("late.py", self.assertAsAlone()["taken"])

    def test_what_the_project_makes_of_assertions_is_not_kept(self):
        self.few_files()
        alone = self.run_pytest()
        for name in "rewrite_asserts", "AssertionRewriter.run":
            self.write("conftest.py", f"""\
                import ast
                from _pytest.assertion import rewrite
                original = rewrite.{name}

                def changed(*arguments):
                    for node in ast.walk(next(each for each in arguments if isinstance(each, ast.Module))):
                        if isinstance(node, ast.Constant) and node.value == 1: node.value = 100
                    return original(*arguments)

                rewrite.{name} = changed
                """)
            self.assertIn("[100, 2]", json.dumps(self.assertAsAlone()["told"]))
            os.unlink(os.path.join(self.directory, "conftest.py"))
            self.assertEqual(self.run_pytest("ahead")["told"], alone["told"])

    def test_what_a_codec_of_the_project_reads_is_not_kept(self):
        self.few_files()
        for value in 2, 3:
            self.write("conftest.py", f"""\
                import codecs
                def decode(data, errors="strict"):
                    text, size = codecs.utf_8_decode(bytes(data), errors, True)
                    return text.replace("VALUE = 1", "VALUE = {value}"), size
                known = codecs.lookup("utf-8")
                codecs.register(lambda name: codecs.CodecInfo(known.encode, decode, known.streamreader, known.streamwriter, known.incrementalencoder,
                                                              known.incrementaldecoder, name) if name == "shouting" else None)
                """)
            self.write("helper.py", "\n# coding: shouting\nVALUE = 1\n")
            self.write("test_00.py", f"# coding: shouting\nimport helper\nVALUE = 1\ndef test_reads():\n    assert (VALUE, helper.VALUE) == 0\n")
            self.assertIn(f"({value}, {value}) == 0", json.dumps(self.assertAsAlone()["told"]))

    def test_another_pytest_of_the_same_version_has_code_of_its_own(self):
        self.few_files()
        self.write("helper.py", "VALUE = 1\n")
        self.write("test_00.py", "import helper\ndef test_reads(): pass\n")
        self.run_pytest("ahead")
        self.assertEqual(self.run_pytest("ahead")["taken"], ["helper.py", "test_00.py", "test_01.py", "test_02.py"])
        self.assertEqual(self.run_pytest("ahead", "edited")["taken"], ["helper.py"])

    def test_options_of_python_have_code_of_their_own(self):
        self.few_files()
        self.write("helper.py", "def document():\n    'text'\nRUNS = []\nassert RUNS.append(1) is None\n")
        self.write("test_00.py", "import helper\ndef test_tells():\n    assert (__debug__, helper.RUNS, helper.document.__doc__) == 0\n")
        seen = set()
        for options in (), ("-O",), ("-OO",):
            self.options = options
            seen.add(json.dumps(self.assertAsAlone()["told"]))
        self.assertEqual(len(seen), 3)

    def test_what_another_thread_warns_of_is_a_warning(self):
        self.few_files()
        self.write("conftest.py", """\
            import sys, threading, warnings
            raised, warned = [], []

            def warn():
                try:
                    warnings.warn("of a thread", DeprecationWarning)
                    warned.append(1)
                except Warning as warning:
                    raised.append(warning)

            def hook(event, arguments):  # while something is compiled
                if event == "compile":
                    thread = threading.Thread(target=warn)
                    thread.start()
                    thread.join()

            sys.addaudithook(hook)
            """)
        self.write("test_01.py", "import conftest\ndef test_went_on(): assert conftest.warned and not conftest.raised\n")
        told = self.run_pytest("ahead")["told"]
        self.assertIn(["test_01.py::test_went_on", "call", "passed", ""], told)

    def test_a_full_disk_and_two_runs_at_once(self):
        self.few_files()
        alone = self.run_pytest()
        self.assertEqual(self.run_pytest("ahead", "full")["told"], alone["told"])
        self.assertEqual(self.kept_files(), [], "nothing is left of what there was no room for")
        runs = [self.begin_pytest("ahead") for _ in range(3)]
        self.assertEqual([self.end_pytest(run)["told"] for run in runs], [alone["told"]] * 3)
        self.assertEqual(len(self.kept_files()), 3)
        self.assertEqual(len(self.run_pytest("ahead")["taken"]), 3)

    def test_without_a_place_all_runs(self):
        self.instead = "/proc/none"
        self.kept = "/proc/none"
        alone, ahead = self.run_pytest(), self.run_pytest("ahead")
        self.assertEqual((ahead["told"], ahead["taken"]), (alone["told"], []))

    def test_the_hook_of_passed_assertions_has_code_of_its_own(self):
        self.run_pytest("ahead")
        self.write("pytest.ini", "[pytest]\nenable_assertion_pass_hook = true\n")
        self.write("conftest.py", "def pytest_assertion_pass(item, lineno, orig, expl):\n    print('seen', orig)\n"
                                  "def pytest_terminal_summary(terminalreporter):\n    for report in terminalreporter.stats['passed']:\n"
                                  "        terminalreporter.write_line(report.capstdout)\n")
        for _ in range(2):
            self.run_pytest("ahead")
            self.assertIn("seen 4 == 4", self.output)

    def test_what_nobody_uses_is_removed_once_a_day(self):
        self.run_pytest("ahead")
        files = self.kept_files()
        for path in files[:3]:
            os.utime(path, (0, 0))
        os.utime(os.path.join(self.kept, "swept"), (0, 0))
        for number in range(20):
            os.unlink(os.path.join(self.directory, f"test_{number:02}.py"))
        self.run_pytest("ahead")
        self.assertEqual(sorted(self.kept_files()), sorted(files[3:]))
        os.utime(files[3], (0, 0))
        self.run_pytest("ahead")
        self.assertEqual(sorted(self.kept_files()), sorted(files[3:]))

    def test_what_is_used_is_not_removed(self):
        self.run_pytest("ahead")
        for path in self.kept_files():
            os.utime(path, (0, 0))
        os.unlink(os.path.join(self.kept, "swept"))
        self.assertEqual(len(self.run_pytest("ahead")["taken"]), 20)
        self.assertEqual(len(self.kept_files()), 20)


if __name__ == "__main__":
    if importlib.util.find_spec("pytest") is None:
        print("skipped: no pytest", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main()
