"""What the plugin of pytest tells of time: set-up and tear-down, what fixtures cost that tests share, and what `dtest profile` shows.

Run with the directory of the plugin (agent/pytest) as the only argument.
"""

import collections
import json
import os
import signal
import tempfile

import plugin_case
from plugin_case import PluginCase, Server, read_records


class ProfileTest(PluginCase):
    def test_what_shared_fixtures_take_is_told(self):
        self.write("test_m.py", """\
            import pytest, time
            @pytest.fixture(scope="session")
            def inner(): time.sleep(0.2)
            @pytest.fixture(scope="session")
            def outer(request): request.getfixturevalue("inner")
            @pytest.fixture(scope="module")
            def module(): time.sleep(0.5)
            def test_a(outer, module): pass
            def test_b(outer): pass
            """)
        self.write("test_n.py", """\
            import pytest, time
            @pytest.fixture(scope="module", autouse=True)
            def module(): time.sleep(0.3)
            def test_c(): pass
            """)
        path = self.path_of_cases(["test_m.py::test_a", "test_m.py::test_b", "test_n.py::test_c"])
        status, records, printed = self.start(f"--run={path}")
        self.assertEqual(status, 0, printed)
        told = [record[:2] + record[2:3] * (record[0] == "finished") for record in records]
        self.assertEqual(told, [
            ["began", "0"], ["shared", "session"], ["shared", "module"], ["finished", "0", "passed"],
            ["began", "1"], ["finished", "1", "passed"], ["began", "2"], ["shared", "module"], ["finished", "2", "passed"], ["end"]])
        shared = [float(record[2]) for record in records if record[0] == "shared"]
        for seconds, least in zip(shared, (0.2, 0.5, 0.3)):
            self.assertGreaterEqual(seconds, least)
        set_ups = [float(record[4]) for record in records if record[0] == "finished"]
        self.assertLessEqual(shared[0] + shared[1], set_ups[0], "nothing twice")

    def test_set_up_and_tear_down_are_told_apart(self):
        self.write("conftest.py", """\
            import copy, types
            import pytest

            TOOK = {"setup": 4.0, "call": 2.0, "teardown": 1.0}

            @pytest.hookimpl(hookwrapper=True)
            def pytest_runtest_makereport(item, call):
                result = yield
                report = result.get_result()
                report.duration = TOOK[call.when]
                if call.when == "call":  # as subtests tell of themselves, within the call
                    part = copy.copy(report)
                    part.context = types.SimpleNamespace(msg="part", kwargs={})
                    item.ihook.pytest_runtest_logreport(report=part)
            """)
        self.write("test_m.py", """\
            import pytest
            @pytest.fixture
            def breaks(): raise RuntimeError("no water")
            def test_a(): pass
            def test_b(breaks): pass
            """)
        results = self.run_cases(["test_m.py::test_a", "test_m.py::test_b"])
        self.assertEqual([record[2:6] for record in results.values()], [
            ["passed", "7.000000", "4.000000", "1.000000"], ["failed", "5.000000", "4.000000", "1.000000"]])

    def test_a_profile_is_of_imports_collection_and_fixtures(self):
        self.write("lib/heavy/__init__.py", "from heavy import part\n")
        self.write("lib/heavy/part.py", "")
        self.write("lib/light.py", "")
        self.write("conftest.py", """\
            import os, sys
            import pytest
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
            @pytest.fixture(scope="session")
            def inner(): pass
            @pytest.fixture
            def outer(request): request.getfixturevalue("inner")
            """)
        self.write("tests/test_a.py", """\
            import os
            import pytest
            os.write(2, b"a line that does not end")
            import heavy
            @pytest.mark.parametrize("x", [1, 2])
            def test_a(x, outer, tmp_path): pass
            """)
        self.write("tests/test_b.py", "import light\ndef test_b(outer): pass\n")
        directory = os.path.join(self.directory, "profile")
        os.mkdir(directory)
        cases = ["tests/test_a.py::test_a[1]", "tests/test_a.py::test_a[2]", "tests/test_b.py::test_b"]
        status, _, printed = self.collect_apart(directory)
        self.assertEqual((status, printed), (0, "a line that does not end\n"))
        self.assertEqual([record[1] for record in self.listed if record[0] == "case"], cases)
        status, _, printed = self.start(f"--run={self.path_of_cases(cases)}", variables={"DTEST_PYTEST_PROFILE": directory})
        self.assertEqual((status, printed.count("import time")), (0, 0), printed)
        rows = self.profile_rows(directory)
        self.assertEqual({row["root"] for row in rows}, {self.project})
        modules = [(row["module"], row["depth"]) for row in rows if "module" in row]
        places = [name for name, depth in modules if depth == 0]
        self.assertEqual(places[0], "Python, pytest, its plugins and dtest")
        for module, depth, place in (("heavy", 1, "tests/test_a.py"), ("heavy.part", 2, "tests/test_a.py"),
                                     ("light", 1, "tests/test_b.py"), ("pytest", None, places[0])):
            position = next(i for i, (name, _) in enumerate(modules) if name == module)
            self.assertEqual([name for name, at in modules[:position] if at == 0][-1], place, module)
            if depth is not None:
                self.assertEqual(modules[position][1], depth, module)
        self.assertEqual([name for name, _ in modules].index("heavy") + 1, [name for name, _ in modules].index("heavy.part"))
        self.assertEqual({row["file"]: row["tests"] for row in rows if row.get("tests")},
                         {"tests/test_a.py": 2, "tests/test_b.py": 1})
        apart, = [row for row in rows if "status" in row]
        self.assertEqual((apart["status"], apart["finished"], apart["left"]), (0, 1, 0))
        self.assertAlmostEqual(sum(row["seconds"] for row in rows if "file" in row), apart["seconds"], places=5)
        self.assertIn("conftest.py", {row["file"] for row in rows if "file" in row})
        self.assertEqual([name for name, _ in modules if name.startswith("dtest_pytest") and "(dtest's own)" not in name], [])
        made = collections.Counter((row["fixture"], row["scope"], row["where"]) for row in rows if "fixture" in row)
        ours = {key: count for key, count in made.items() if key[2].startswith("conftest.py")}
        self.assertEqual(ours, {("inner", "session", "conftest.py:4"): 1, ("outer", "function", "conftest.py:6"): 3})
        self.assertEqual([count for (name, _, place), count in made.items()
                          if name == "tmp_path" and place.startswith("_pytest/tmpdir.py:")], [2])
        self.assertNotIn("x", {name for name, _, _ in made}, "a parameter")

    def collect_apart(self, directory, limit=60):
        path = os.path.join(self.directory, "listing")
        ended = self.start("--path=", f"--list={path}", variables={"DTEST_PYTEST_PROFILE": directory,
                                                                   "DTEST_PYTEST_PROFILE_LIMIT": str(limit)})
        with open(path, "rb") as file:
            self.listed = read_records(file.read())
        return ended

    def profile_rows(self, directory):
        rows = []
        for name in os.listdir(directory):
            if name.endswith(".jsonl"):
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    rows += [json.loads(line) for line in file if line.strip()]
        return rows

    def test_a_profile_says_where_collecting_ended(self):
        self.write("tests/conftest.py", "import threading\n")
        self.write("tests/test_a.py", "def test_a(): pass\n")
        for line, limit, status in (("os._exit(0)", 60, 0), ("signal.pause()", 15, -signal.SIGTERM)):
            self.write("tests/test_b.py", f"import os, signal\n{line}\n")
            directory = tempfile.mkdtemp(dir=self.directory)
            ended, _, printed = self.collect_apart(directory, limit)
            self.assertEqual(self.listed[-1], ["collecting", "tests/test_b.py"], line)
            self.assertEqual("within 15 s (--list-timeout)" in printed, limit == 15, printed)
            rows = self.profile_rows(directory)
            apart, = [row for row in rows if "status" in row]
            self.assertEqual((apart["finished"], apart["at"]), (0, "tests/test_b.py"), line)
            self.assertEqual((apart["status"], ended), (status, status if status >= 0 else 128 - status), line)
            self.assertLessEqual({"tests/test_a.py", "tests/test_b.py", "tests/conftest.py"},
                                 {row["file"] for row in rows if "file" in row})

    def test_modules_whose_importer_is_not_told_are_counted(self):
        self.write("outer.py", "import inner\nimport os\nos._exit(0)\n")
        self.write("inner.py", "")
        self.write("conftest.py", "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\n")
        self.write("test_a.py", "import outer\n")
        directory = tempfile.mkdtemp(dir=self.directory)
        self.collect_apart(directory)
        apart, = [row for row in self.profile_rows(directory) if "status" in row]
        self.assertEqual((apart["finished"], apart["left"]), (0, 1))

    def test_a_profile_changes_no_verdict(self):
        self.write("test_a.py", """\
            import builtins, os
            import pytest
            def refuse(*_, **__): raise RuntimeError("replaced by a test")
            @pytest.fixture
            def after(): pass
            @pytest.fixture
            def replaced(monkeypatch):
                monkeypatch.setattr(builtins, "open", refuse)
                for name in ("getpid", "write", "open", "getcwd"):
                    monkeypatch.setattr(os, name, refuse)
            def test_replaced(replaced, after): pass
            def test_environment(after):
                assert not [name for name in os.environ if name.startswith("DTEST_PYTEST_PROFILE")]
            @pytest.fixture
            def full():
                import resource, signal
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                limits = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
                yield
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            def test_no_space(full, after): pass
            """)
        directory = os.path.join(self.directory, "profile")
        os.mkdir(directory)
        variables = {"DTEST_PYTEST_PROFILE": directory}
        cases = [f"test_a.py::test_{name}" for name in ("no_space", "replaced", "environment")]
        path = self.path_of_cases(cases)
        status, records, printed = self.start(f"--run={path}", variables=variables)
        self.assertEqual((status, records[-1]), (0, ["end"]), printed)
        self.assertEqual([record[2] for record in records if record[0] == "finished"], ["passed"] * 3, records)
        rows = self.profile_rows(directory)
        self.assertEqual(sum(row.get("lost", 0) for row in rows), 2)
        self.assertEqual(sum(row.get("fixture") in ("replaced", "after") for row in rows), 3)
        told, _, _ = Server(self, ["--path="], **variables).fork("gw0", cases, **variables).result()
        self.assertEqual([record[2] for record in told if record[0] == "finished"], ["passed"] * 3, told)
        self.assertEqual(sum(row.get("fixture") == "after" for row in self.profile_rows(directory)), 4)


if __name__ == "__main__":
    plugin_case.main()
