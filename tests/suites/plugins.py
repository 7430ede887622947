"""Plugins of pytest, each from the registry and with a small suite of its own: dtest gives pytest's verdicts.

    ./dev suites [PluginsTest.test_cov]

Needs the registry of Python packages, and keeps what it installs in DTEST_SUITES.
"""

import dataclasses
import html
import json
import os
import re
import subprocess
import sys
import textwrap
import typing
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "integration"))

import harness  # noqa: E402
import registry  # noqa: E402

VERDICTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin")


@dataclasses.dataclass
class Suite:
    packages: str  # besides pytest
    tests: str  # contents of test_m.py
    ini: str = ""
    files: dict = dataclasses.field(default_factory=dict)
    # Names of tests that end in another way than under pytest alone, with theirs and ours.
    differs: dict = dataclasses.field(default_factory=dict)
    forks: bool = True  # one collection for all batches
    writes: tuple = ()  # into the project
    # What its report in the directory of a project says, less what no two runs have in common: as with `pytest -n2`.
    report: typing.Callable = None


def neutral(value):
    """Without times, places and workers."""
    if isinstance(value, dict):
        return {neutral(key): neutral(each) for key, each in value.items()
                if key not in ("created", "duration", "root", "start", "stop", "testrun_uid", "item_index", "msecs",
                               "relativeCreated", "process", "thread")}
    if isinstance(value, list):
        return [neutral(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"gw\d+|/\S*/(ours|theirs)/|^(ours|theirs)$|\d\d:\d\d:\d\d|\d+ ms", "", value)
    return value


def of_html(directory):
    with open(os.path.join(directory, "report.html"), encoding="utf-8") as file:
        data = json.loads(html.unescape(re.search('data-jsonblob="([^"]*)"', file.read())[1]))
    return neutral({"tests": data["tests"], "environment": data["environment"]})


def of_json_report(directory):
    with open(os.path.join(directory, ".report.json"), encoding="utf-8") as file:
        report = json.load(file)
    return neutral({**report, "tests": sorted(report["tests"], key=lambda test: test["nodeid"])})


def of_report_log(directory):
    with open(os.path.join(directory, "log.jsonl"), encoding="utf-8") as file:
        return sorted(json.dumps(neutral(json.loads(line)), sort_keys=True) for line in file)


def of_md_report(directory):
    with open(os.path.join(directory, "report.md"), encoding="utf-8") as file:
        return sorted(file.read().splitlines())


TWO = "def test_a(): pass\ndef test_b(): assert 0\n"

REPORTED = """\
    import logging, pytest, warnings
    def test_a(record_property): record_property("colour", "red")
    def test_b():
        print("said")
        logging.warning("logged")
        assert 0
    @pytest.fixture
    def broken():
        yield
        raise RuntimeError("left the tap open")
    def test_c(broken): warnings.warn("careful")
    @pytest.mark.skip(reason="no wings")
    def test_d(): pass
    @pytest.mark.xfail(reason="bug")
    def test_e(): assert 0
    """

PLUGINS = {
    "allure": Suite("allure-pytest", """\
        import allure
        @allure.title("T")
        def test_a():
            with allure.step("s"): allure.attach("x")
        def test_b(): assert 0
        """, ini="addopts = --alluredir=results", writes=("results",)),
    "anyio": Suite("anyio trio", """\
        import anyio, pytest
        pytestmark = pytest.mark.anyio
        async def test_a(): await anyio.sleep(0)
        """),
    "asyncio": Suite("pytest-asyncio", """\
        import asyncio, pytest
        @pytest.mark.asyncio
        async def test_a(): await asyncio.sleep(0)
        @pytest.mark.asyncio
        async def test_b(): assert 0
        """),
    "benchmark": Suite("pytest-benchmark", "def test_a(benchmark): benchmark(lambda: 1)\n"),
    "cov": Suite("pytest-cov", "import lib\ndef test_a(): assert lib.f(1) == 2\ndef test_b(): assert 0\n",
                 ini="addopts = --cov=lib --cov-report=xml --cov-fail-under=100",
                 files={"lib.py": "def f(x):\n    return x + 1\n"}, writes=(".coverage", "coverage.xml")),
    "django": Suite("pytest-django django", """\
        import pytest
        from django.contrib.auth.models import User
        from django.test import TestCase

        @pytest.mark.django_db
        def test_a():
            User.objects.create(username="a")
            assert User.objects.count() == 1
        @pytest.mark.django_db
        def test_b(): assert User.objects.count() == 0
        def test_c(): assert User.objects.count() == 0
        class TestD(TestCase):
            def test_d(self): self.assertEqual(User.objects.count(), 0)
        """, ini="DJANGO_SETTINGS_MODULE = proj.settings\npythonpath = .", files={
            "proj/__init__.py": "", "proj/settings.py": """\
            SECRET_KEY = "x"
            INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
            DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
            USE_TZ = True
            """}),
    "flask": Suite("pytest-flask flask", """\
        import flask, pytest
        @pytest.fixture
        def app():
            app = flask.Flask("x")
            app.route("/")(lambda: "hi")
            return app
        def test_a(client): assert client.get("/").data == b"hi"
        """),
    "forked": Suite("pytest-forked", """\
        import os, pytest
        @pytest.mark.forked
        def test_a(): pass
        @pytest.mark.forked
        def test_b(): os._exit(3)
        def test_c(): pass
        """),
    "freezegun": Suite("freezegun", """\
        import datetime, time
        from freezegun import freeze_time
        @freeze_time("2000-01-01")
        def test_a(): assert datetime.date.today().year == 2000
        def test_b(): assert time.gmtime().tm_year > 2000
        """),
    "html": Suite("pytest-html pytest-xdist", REPORTED, ini="addopts = --html=report.html --self-contained-html",
                  writes=("report.html",), report=of_html),
    "httpx": Suite("pytest-httpx", """\
        import httpx
        def test_a(httpx_mock):
            httpx_mock.add_response(text="x")
            assert httpx.get("http://a/").text == "x"
        def test_b(httpx_mock): httpx_mock.add_response(text="x")
        """),
    "hypothesis": Suite("hypothesis", """\
        from hypothesis import given, strategies
        @given(strategies.integers())
        def test_a(x): assert x * 2 == x + x
        @given(strategies.integers())
        def test_b(x): assert x < 5
        """),
    "json-report": Suite("pytest-json-report pytest-xdist", REPORTED, ini="addopts = --json-report",
                         writes=(".report.json",), report=of_json_report),
    "md-report": Suite("pytest-md-report pytest-xdist", REPORTED, ini="addopts = --md-report --md-report-output=report.md",
                       writes=("report.md",), report=of_md_report),
    "metadata": Suite("pytest-metadata", "def test_a(metadata): assert metadata['a'] == 'b' and metadata['Python']\n",
                      ini="addopts = --metadata a b"),
    "mock": Suite("pytest-mock", """\
        import os
        def test_a(mocker):
            mocker.patch("os.getcwd", return_value="x")
            assert os.getcwd() == "x"
        """),
    "order": Suite("pytest-order", """\
        import pytest
        made = []
        @pytest.mark.order(2)
        def test_a(): assert 0
        @pytest.mark.order(1)
        def test_b(): pass
        """),
    "random-order": Suite("pytest-random-order", TWO, ini="addopts = --random-order"),
    "randomly": Suite("pytest-randomly", TWO),
    "reportlog": Suite("pytest-reportlog pytest-xdist", REPORTED, ini="addopts = --report-log=log.jsonl",
                       writes=("log.jsonl",), report=of_report_log),
    "rerunfailures": Suite("pytest-rerunfailures", """\
        import pytest
        tries = []
        @pytest.mark.flaky(reruns=2)
        def test_a():
            tries.append(1)
            assert len(tries) > 1
        def test_b(): assert 0
        """, ini="addopts = --reruns 1"),
    "retry": Suite("pytest-retry", """\
        import pytest
        tries = []
        @pytest.mark.flaky(retries=2)
        def test_a():
            tries.append(1)
            assert len(tries) > 1
        def test_b(): assert 0
        """),
    "socket": Suite("pytest-socket", "import socket\ndef test_a(): socket.socket()\ndef test_b(): pass\n",
                    ini="addopts = --disable-socket"),
    "split": Suite("pytest-split", "".join(f"def test_{i}(): pass\n" for i in range(4)),
                   ini="addopts = --splits 2 --group 1"),
    "sqlalchemy": Suite("sqlalchemy pytest-xdist", """\
        from sqlalchemy import text
        from sqlalchemy.testing import eq_, fixtures
        class ATest(fixtures.TestBase):
            def test_a(self, connection): eq_(connection.scalar(text("select 1")), 1)
            def test_b(self): eq_(1, 2)
        """, ini="python_classes = *Test", files={
            "setup.cfg": "[db]\ndefault=sqlite:///:memory:\n[sqla_testing]\n"
                         "requirement_cls=sqlalchemy.testing.requirements:SuiteRequirements\n"
                         "profile_file=profiles.txt\n",
            "conftest.py": "from sqlalchemy.testing.plugin.pytestplugin import *\n"}, forks=False),
    "subtests": Suite("pytest-subtests pytest<9", """\
        def test_a(subtests):
            for i in range(3):
                with subtests.test("n", i=i): assert i != 1
        def test_b(subtests):
            with subtests.test("ok"): pass
        """),
    "sugar": Suite("pytest-sugar", TWO),
    "time-machine": Suite("time-machine", """\
        import datetime, time, time_machine
        @time_machine.travel("2000-01-01")
        def test_a(): assert datetime.date.today().year == 2000
        def test_b(): assert time.gmtime().tm_year > 2000
        """),
    "timeout": Suite("pytest-timeout", """\
        import pytest, time
        @pytest.mark.timeout(1)
        def test_a(): time.sleep(60)
        @pytest.mark.timeout(1, method="thread")
        def test_b(): time.sleep(60)
        def test_c(): pass
        """, differs={"test_b": (None, "crashed"), "test_c": (None, "passed"), "test_a": (None, "failed")}),
    "xdist": Suite("pytest-xdist", """\
        import pytest
        def test_a(worker_id): assert worker_id.startswith("gw")
        @pytest.mark.xdist_group("g")
        def test_b(request): assert request.config.workerinput["x"] == 1
        """, ini="addopts = -n 2 --dist load", files={
            "conftest.py": "def pytest_configure_node(node): node.workerinput['x'] = 1\n"}),
}


class PluginsTest(harness.DtestCase):
    def compare(self, name, suite):
        packages = registry.packages(name, f"pytest {suite.packages}")
        files = {"pytest.ini": f"[pytest]\n{suite.ini}\n", "test_m.py": textwrap.dedent(suite.tests),
                 **{path: textwrap.dedent(contents) for path, contents in suite.files.items()}}
        for project in ("theirs", "ours"):
            for path, contents in files.items():
                self.write(f"{project}/{path}", contents)
        environment = self.environment(PYTHONPATH=f"{packages}:{VERDICTS}", PYTHONDONTWRITEBYTECODE="1")
        subprocess.run([registry.python(), "-m", "pytest", "-p", "verdicts_plugin", "--verdicts", self.path("verdicts.json"),
                        "-p", "no:cacheprovider", *(["-n2"] if suite.report is not None else [])],
                       cwd=self.path("theirs"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL, check=False)
        expected = {}
        if os.path.exists(self.path("verdicts.json")):
            with open(self.path("verdicts.json"), encoding="utf-8") as file:
                expected = json.load(file)["cases"]
        for case, (theirs, ours) in suite.differs.items():
            self.assertEqual(expected.get(f"test_m.py::{case}"), theirs)
            expected[f"test_m.py::{case}"] = ours
        self.assertTrue(expected, "pytest itself told no verdict: does the plugin fit the newest pytest?")
        result = self.dtest(".", "-j2", "--pytest", registry.python(), directory=self.path("ours"), env={"PYTHONPATH": packages})
        self.assertEqual(result.names(), expected, result.text)
        self.assertExit(result, harness.FAILED if {"failed", "crashed", "timed out"} & set(expected.values()) else harness.PASSED)
        if suite.report is not None:
            self.assertEqual(*(suite.report(self.path(project)) for project in ("ours", "theirs")))
        self.assertEqual("collects anew" not in result.text, suite.forks, result.text)
        left = set(os.listdir(self.path("ours")))
        self.assertLessEqual(left, set(os.listdir(self.path("theirs"))), "more is left in the project")
        self.assertLessEqual(set(suite.writes), left)


    def test_allure_that_begins_afresh(self):
        """--clean-alluredir: each process would remove what others have written, the one that lists also, and a controller."""
        packages = registry.packages("allure", f"pytest {PLUGINS['allure'].packages}")
        self.write("test_m.py", "import pytest\n@pytest.mark.parametrize('i', range(8))\ndef test_a(i): pass\n")

        def results():
            return sorted(name for name in os.listdir(self.path("results")) if name.endswith("-result.json"))

        for conftest, forks in (("", True), ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n", False)):
            self.write("conftest.py", conftest)
            self.write("results/old-result.json", "{}")
            options = ["--pytest", registry.python(), "--env", f"PYTHONPATH={packages}"]
            addopts = ["-o", "addopts=--alluredir=results --clean-alluredir --junitxml=report.xml"]
            listed = self.dtest("list", ".", "--no-list-cache", *options, *addopts, reports=False)
            self.assertExit(listed, harness.PASSED)
            self.assertIn("old-result.json", results())
            ran = self.dtest(".", "-j2", "--processes", "case", *options, *addopts)
            self.assertExit(ran, harness.PASSED)
            self.assertEqual("collects anew" not in ran.text, forks)
            self.assertEqual(len(results()), 8)
            self.assertNotIn("old-result.json", results())
            self.assertTrue(os.path.exists(self.path("report.xml")))
            self.assertExit(self.dtest(".", "-j2", *options, "-o", "addopts=--alluredir=results"), harness.PASSED)
            self.assertEqual(len(results()), 16)


def test_of(name, suite):
    def test(self):
        self.compare(name, suite)
    return test


for plugin_name, plugin_suite in PLUGINS.items():
    setattr(PluginsTest, "test_" + plugin_name.replace("-", "_"), test_of(plugin_name, plugin_suite))


if __name__ == "__main__":
    unittest.main(verbosity=2)
