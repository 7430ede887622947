"""What a listing of pytest's tests says of them, and what is said where there can be none.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import importlib.util
from importlib import metadata
import os

import plugin_case
from plugin_case import PluginCase, Server, read_records


class ListingTest(PluginCase):
    def test_dist_groups_tests_by_the_rules_of_xdist(self):
        self.write("test_m.py", """\
            import pytest
            @pytest.mark.parametrize("value", ["x::y"])
            def test_a(value): pass
            class TestB:
                @pytest.mark.xdist_group("port")
                def test_c(self): pass
                @pytest.mark.xdist_group(name="db")
                @pytest.mark.xdist_group("port")
                def test_d(self): pass
            @pytest.mark.xdist_group
            def test_e(): pass
            """)
        installed = importlib.util.find_spec("xdist")
        joins = not installed or [int(part) for part in metadata.version("pytest-xdist").split(".")[:2]] >= [3, 7]
        for mode, groups in {
            "no": ["", "", "", ""],
            "load": ["", "", "", ""],
            "loadfile": ["test_m.py"] * 4,
            "loadscope": ["test_m.py", "test_m.py::TestB", "test_m.py::TestB", "test_m.py"],
            "loadgroup": ["", "port", "db_port" if joins else "port", "default"],
        }.items():
            self.assertEqual([record[5] for record in self.list("--arg=--dist", f"--arg={mode}")], groups, mode)
            self.assertEqual(self.notes, [])
        self.list("--arg=--dist=each")
        self.assertEqual(self.notes, ["--dist each is none of dtest's: each test runs once, in dtest's order"])

    def test_locks_are_named_by_marks(self):
        self.write("test_m.py", """\
            import pytest
            lock = pytest.mark.dtest_lock
            pytestmark = lock("module")
            @lock("port", "db")
            class TestA:
                @lock("db", "a")
                @lock("\\u00e9 b")
                def test_a(self): pass
            def test_b(): pass
            @lock
            def test_none(): pass
            @lock("")
            def test_empty(): pass
            @lock("port", 8080)
            def test_number(): pass
            @lock(name="port")
            def test_keyword(): pass
            """)
        listing = self.list("--arg=--strict-markers")
        self.assertEqual([record[6:] for record in listing], [
            ["5", "a", "db", "module", "port", "\u00e9 b", "dtest_lock"], ["1", "module", "dtest_lock"],
            *[["0", "dtest_lock"]] * 4])
        results = list(self.run_cases([record[1] for record in listing], "--arg=--strict-markers").values())
        self.assertEqual([record[2] for record in results], ["passed", "passed", *["failed"] * 4])
        for record, name, mark in zip(results[2:], ("none", "empty", "number", "keyword"),
                                      ("", "''", "'port', 8080", "name='port'")):
            self.assertEqual(record[6], f"error in set-up: test_m.py::test_{name}: @pytest.mark.dtest_lock({mark}): it takes "
                                        "names of locks, which are texts that are not empty")

    def test_a_mark_that_takes_the_network_is_a_label(self):
        self.write("test_m.py", """\
            import pytest
            @pytest.mark.dtest_no_network
            class TestA:
                def test_a(self): pass
            def test_b(): pass
            @pytest.mark.dtest_no_network(False)
            def test_c(): pass
            """)
        listing = self.list("--arg=--strict-markers")
        self.assertEqual([record[6:] for record in listing], [["0", "dtest_no_network"], ["0"], ["0", "dtest_no_network"]])
        results = list(self.run_cases([record[1] for record in listing], "--arg=--strict-markers").values())
        self.assertEqual([record[2] for record in results], ["passed", "passed", "failed"])
        self.assertEqual(results[2][6], "error in set-up: test_m.py::test_c: @pytest.mark.dtest_no_network(False): it takes nothing")

    def test_what_cannot_be_listed_says_why_in_the_words_of_pytest(self):
        self.write("test_m.py", "def test_a(): pass\n")
        for arguments, conftest, said in (
                (["--arg=--no-such-option"], "", "unrecognized arguments: --no-such-option"),
                ([], "import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
                ([], "raise SystemExit(0)\n", ""),
                ([], "import pytest\ndef pytest_sessionstart(): pytest.exit('not today')\n", "not today"),
                ([], "import os\nos._exit(0)\n", "")):
            with self.subTest(arguments=arguments, conftest=conftest):
                self.write("conftest.py", conftest)
                listing = os.path.join(self.directory, "listing")
                status, _, printed = self.start("--path=", f"--list={listing}", *arguments)
                self.assertIn(said, printed)
                if os.path.exists(listing):
                    with open(listing, "rb") as file:
                        self.assertEqual([record[0] for record in read_records(file.read())], ["collecting"])
                else:
                    self.assertNotEqual(status, 0, printed)

    def test_who_ends_the_process_while_it_is_configured_is_named(self):
        self.write("lib.py", "import sys\ndef leave(): sys.exit(0)\n")
        self.write("test_m.py", "def test_a(): pass\n")
        listing = os.path.join(self.directory, "listing")
        for conftest, place, code in (("import sys\nsys.exit(0)\n", "conftest.py:2", "0"),
                                      ("import lib\ndef pytest_configure(): lib.leave()\n", "", "")):
            with self.subTest(conftest=conftest):
                self.write("conftest.py", conftest)
                status, _, printed = self.start("--path=", f"--list={listing}", variables={"PYTHONPATH": self.project})
                self.assertNotEqual(status, 0)
                if place:
                    self.assertEqual(printed.splitlines()[-1], f"dtest: {place} ends the process of pytest: sys.exit({code})")
                else:
                    self.assertIn("lib.py", printed)  # pytest says it

    def test_a_listing_that_cannot_be_written_says_so(self):
        self.write("test_m.py", "def test_a(): pass\n")
        said = "ERROR: dtest: the listing cannot be written: /dev/full: No space left on device"
        status, _, printed = self.start("--path=", "--list=/dev/full")
        self.assertEqual((status, printed.strip()), (4, said))
        self.assertTrue(os.path.exists("/dev/full"))
        _, printed, status = Server(self, ["--path="]).ask("gw0", "--list=/dev/full").result()
        self.assertEqual((status, printed.strip()), (4, said))

    def test_a_listing_tells_what_was_deselected_and_warned_of(self):
        self.write("pytest.ini", "[pytest]\naddopts = -m 'not slow'\nmarkers = slow: takes long\n")
        self.write("test_m.py", "import pytest\n\n" + "".join(
            f"@pytest.mark.{mark}\ndef test_{mark}(): pass\n" for mark in ("slow", "a", "b", "c", "d")))
        self.assertEqual([record[1] for record in self.list()], [f"test_m.py::test_{mark}" for mark in "abcd"])
        self.assertEqual(self.notes[0], "1 of 5 tests deselected by -m 'not slow'")
        self.assertRegex(self.notes[1], r"^pytest warns as it collects: PytestUnknownMarkWarning: Unknown pytest.mark.a .*"
                                        r" \(test_m.py:5\)$")
        self.assertEqual(self.notes[4:], ["pytest warns as it collects: 1 more; `pytest --collect-only` shows them"])
        # From a process that forks, the same.
        listing = os.path.join(self.directory, "listing")
        notes = self.notes
        self.assertEqual(Server(self, ["--path="]).ask("gw0", f"--list={listing}").result(), ([], "", 0))
        with open(listing, "rb") as file:
            self.assertEqual([record[1] for record in read_records(file.read()) if record[0] == "note"], notes)
        self.assertEqual(self.list("--arg=-k", "--arg=slow", "--arg=-m", "--arg=a"), [["nothing"]])
        self.assertEqual(self.notes[0], "5 of 5 tests deselected by -m 'a', -k 'slow'")

    def test_that_there_is_no_test_may_be_no_mistake(self):
        self.write("helper.py", "answer = 42\n")
        self.assertEqual(self.list(), [])
        self.assertEqual(self.list("--may-be-empty=yes"), [["nothing"]])
        self.write("nowhere/pytest.py", "raise ImportError('there is none')\n")
        listing = os.path.join(self.directory, "listing")
        without = {"PYTHONPATH": os.path.join(self.project, "nowhere")}
        # What it would collect is not known without it.
        for more in ([], ["--may-be-empty=yes"]):
            self.assertNotEqual(self.start("--path=", *more, f"--list={listing}", variables=without)[0], 0)

    def test_brackets_in_a_path_are_no_parameter(self):
        self.project = os.path.join(self.project, "of [mine]")
        self.write("pytest.ini", "")
        self.write("tests [old]/test_m.py", "import pytest\n\n@pytest.mark.parametrize('x', ['[', '::'])\ndef test_a(x): pass\n")
        cases = [f"tests [old]/test_m.py::test_a[{x}]" for x in ("[", "::")]
        self.assertEqual([record[1] for record in self.list()], cases)
        self.assertEqual([record[1] for record in self.list(paths=["tests [old]"])], cases)
        self.assertEqual([record[1] for record in self.list(paths=cases[:1])], cases[:1])
        self.assertEqual([record[2] for record in self.run_cases(cases).values()], ["passed", "passed"])

    def test_what_collection_breaks_is_told_and_where(self):
        """A process that is ended says what it imported; anything else is mended."""
        listing = os.path.join(self.directory, "listing")

        def last_of_listing():
            with open(listing, "rb") as file:
                return read_records(file.read())[-1]

        self.write("test_m.py", "import os\nos._exit(3)\n")
        status, _, _ = self.start("--path=", f"--list={listing}")
        self.assertEqual((status, last_of_listing()), (3, ["collecting", "test_m.py"]))
        self.write("conftest.py", "import os\nos._exit(3)\n")
        status, _, _ = self.start("--path=", f"--list={listing}")
        self.assertEqual((status, last_of_listing()), (3, ["collecting", ""]))
        os.remove(os.path.join(self.project, "conftest.py"))
        self.write("test_m.py", "import sys\nsys.exit('enough')\n")
        status, _, printed = self.start("--path=", f"--list={listing}")
        if status == 0:
            self.assertEqual(last_of_listing(), ["end", "1"])  # pytest 7: an error of that file
        else:
            self.assertIn("enough", printed)
        self.write("below/empty", "")
        self.write("test_m.py", """\
            import os, signal, sys
            print("x" * (1 << 20))
            os.chdir("below")
            os.close(1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            def test_a(): assert os.path.basename(os.getcwd()) == "below"
            """)
        self.assertEqual([record[1] for record in self.list()], ["test_m.py::test_a"])
        workers = Server(self, ["--path="])
        told, _, status = workers.fork("gw0", ["test_m.py::test_a"]).result()
        self.assertEqual(([record[2] for record in told if record[0] == "finished"], status), (["passed"], 0))


if __name__ == "__main__":
    plugin_case.main()
