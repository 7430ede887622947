"""Suites of projects that many use, from the registry: dtest gives pytest's verdicts, here and on the hosts of a farm.

    ./dev suites [RealTest.test_packaging]

Each runs by pytest in one process, by pytest-xdist, by dtest, and where it is small by dtest on four hosts, always in a
fresh copy of the project at the same path. A case that ends in another way under dtest than under pytest fails the suite, but for
those that SUITES explains. What all of them said is in DTEST_SUITES/results. Needs the registry for what is not in DTEST_SUITES yet.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "integration"))

import harness  # noqa: E402
import registry  # noqa: E402
from farm import HostSpec  # noqa: E402
from suites import SUITES  # noqa: E402

PLUGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin", "verdicts_plugin.py")
LONGEST_RUN = 3600
SLOTS = 4


def selected(arguments):
    """Names of those suites that the command line asks for, default all."""
    names = {argument.partition("test_")[2] for argument in arguments}
    return [name for name in SUITES if name in names] if names - {""} else list(SUITES)


def prepare(name):
    """All that needs the registry."""
    suite = SUITES[name]
    environment = registry.environment(name, f"{name}=={suite.version} pytest-xdist==3.8.0 {suite.requirements}")
    shutil.copy(PLUGIN, packages_of(environment))
    if suite.installed:
        return environment, None
    return environment, registry.source(name, suite.version)


def packages_of(environment):
    return os.path.join(environment, "lib", f"python3.{sys.version_info[1]}", "site-packages")


@dataclasses.dataclass
class Run:
    by: str
    seconds: float
    verdicts: dict
    messages: dict = dataclasses.field(default_factory=dict)  # of cases that did not pass

    def wall(self):
        return f"{self.by} {self.seconds:.0f} s"


def differences(theirs, ours):
    """case -> (their verdict, our verdict); None: it is not there."""
    return {case: (theirs.get(case), ours.get(case)) for case in sorted({*theirs, *ours})
            if theirs.get(case) != ours.get(case)}


class RealTest(harness.FarmCase):
    @staticmethod
    def specs():
        return [HostSpec(f"h{i + 1}", slots=1, home_size="4g") for i in range(SLOTS)]

    def compare(self, name, suite):
        self.suite, self.name = suite, name
        self.venv, self.source = prepare(name)
        pytest = self.pytest("pytest")
        xdist = self.pytest(f"xdist -n {SLOTS}", "-n", str(SLOTS))
        runs = [self.dtest_here(), *([self.dtest_on_farm()] if suite.farm else [])]

        cases = pytest.verdicts
        failed = sum(verdict == "failed" for verdict in cases.values())
        skipped = sum(verdict == "skipped" for verdict in cases.values())
        self.say(f"{name} {suite.version}: {len(cases):,} cases, {failed} failed and {skipped} skipped by pytest; "
                 + ", ".join(run.wall() for run in (pytest, xdist, *runs)))
        of_xdist = differences({case: verdict for case, verdict in cases.items() if case not in self.skipped_files}, xdist.verdicts)
        for case, (theirs, ours) in of_xdist.items():
            self.say(f"  {xdist.by}: {case}: {theirs} -> {ours}")
        unexplained = []
        for run in runs:
            told = set()
            for case, (theirs, ours) in differences(cases, run.verdicts).items():
                known = suite.explanation(run.by, case)
                if known is None:
                    unexplained.append(f"{run.by}: {case}: {theirs} -> {ours}")
                told.add(known)
                self.say(f"  {run.by}: {case}: {theirs} -> {ours}: "
                         + (known.reason if known else f"NOT EXPLAINED: {run.messages.get(case, '')[:2000]}"))
            for known in suite.differs:
                if known.of(run.by) and known not in told:
                    self.say(f"  {run.by}: {known.cases} does not differ this time")
        self.assertEqual(unexplained, [])

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def project(self):
        """A copy of the suite as its archive has it, with what SUITES adds; the working directory's path."""
        path = self.path("project")
        if self.source:
            shutil.copytree(os.path.join(self.source, self.suite.directory), path, symlinks=True)
        for target, inside in self.suite.installed:
            shutil.copytree(os.path.join(packages_of(self.venv), inside), os.path.join(path, target),
                            ignore=shutil.ignore_patterns("__pycache__"))
        for file, text in self.suite.files.items():
            self.write(os.path.join("project", file), text)
        yield path
        shutil.rmtree(path)

    def result(self, by, suffix):
        path = os.path.join(registry.INSTALLED, "results", f"{self.name}-{by.replace(' ', '')}.{suffix}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def variables(self):
        """Of tests, by whatever they are run."""
        path = os.pathsep.join((os.path.join(self.venv, "bin"), "/usr/local/bin", "/usr/bin", "/bin"))
        return {"PATH": path, "VIRTUAL_ENV": self.venv, **self.suite.variables}

    def pytest(self, by, *arguments):
        verdicts = self.result(by, "json")
        with self.project() as project, open(self.result(by, "txt"), "w", encoding="utf-8") as output:
            began = time.monotonic()
            done = subprocess.run([os.path.join(self.venv, "bin", "pytest"), "-p", "verdicts_plugin", "--verdicts", verdicts, "-q", "-rfE",
                                   "--continue-on-collection-errors", *arguments, *self.suite.arguments, *self.suite.paths.split()],
                                  cwd=project, env=self.environment(**self.variables()), stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, check=False, timeout=LONGEST_RUN)
            seconds = time.monotonic() - began
        self.assertIn(done.returncode, (0, 1), f"see {self.result(by, 'txt')}")
        with open(verdicts, encoding="utf-8") as file:
            written = json.load(file)
        self.skipped_files = written["skipped_files"]
        return Run(by, seconds, {**dict.fromkeys(written["skipped_files"], "skipped"), **written["cases"]})

    def dtest_here(self):
        return self.by_dtest(f"dtest -j {SLOTS}", "-j", str(SLOTS), "--environment", f'{{path = "{self.venv}"}}')

    def dtest_on_farm(self):
        run = self.by_dtest(f"dtest on {SLOTS} hosts", *self.on_farm(), "--environment", f'{{ship = "{self.venv}"}}')
        self.assertHostsClean()
        return run

    def by_dtest(self, by, *arguments):
        behind = ["--", *self.suite.arguments] if self.suite.arguments else []
        with self.project() as project:
            began = time.monotonic()
            result = self.dtest(*self.suite.paths.split(), "--list-timeout", "10m", *arguments, *behind, directory=project, env=self.variables(), seconds=LONGEST_RUN)
            seconds = time.monotonic() - began
        with open(self.result(by, "txt"), "w", encoding="utf-8") as file:
            file.write(result.text)
        self.assertIn(result.code, (harness.PASSED, harness.FAILED), result.text[-10000:])
        verdicts = {harness.text_of(case): verdict for case, verdict in result.names().items()}
        messages = {harness.text_of(event["name"]): str(event.get("message", "")) for event in result.attempts()}
        return Run(by, seconds, verdicts, messages)


def test_of(name, suite):
    def test(self):
        self.compare(name, suite)
    return test


for suite_name, suite in SUITES.items():
    setattr(RealTest, "test_" + suite_name, test_of(suite_name, suite))

if __name__ == "__main__":
    for suite_name in selected(sys.argv[1:]):
        prepare(suite_name)
    harness.main(farm=True)
