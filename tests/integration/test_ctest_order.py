"""DEPENDS and fixtures of CTest trees: the verdicts and the order of `ctest`, here and on hosts."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import FAILED, NOTHING, PASSED, DtestCase, FarmCase

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "ctest_order")
# What `ctest` prints of a test, and our word for it.
WORDS = {"Passed": "passed", "Failed": "failed", "Skipped": "skipped", "Not Run (Disabled)": "skipped", "Not Run": "infra error"}
LINE = re.compile(r"^ *\d+/\d+ Test +#\d+: (\w+) \.*(?: |\*)+(Passed|Failed|Skipped|Not Run \(Disabled\)|Not Run)", re.MULTILINE)
# Each comes after those of its list.
AFTER = {"start_db": ["make_disk"], "uses_db_1": ["start_db"], "uses_db_2": ["start_db"], "stop_db": ["uses_db_1", "uses_db_2", "start_db"],
         "uses_disk": ["make_disk"], "remove_disk": ["uses_disk", "start_db"], "third": ["second"], "second": ["first"],
         "broken_stop": ["broken_start"], "needs_skipped": ["skipped_start"]}
# What a run of uses_db_1 has.
OF_USES_DB_1 = ["make_disk", "start_db", "uses_db_1", "stop_db", "remove_disk"]


class Tree:
    """A build tree in a directory of its own, below which dtest is called."""

    def make_tree(self, *options):
        self.where = os.path.realpath(tempfile.mkdtemp(prefix="dtest-ctest-order-"))
        self.addCleanup(shutil.rmtree, self.where)
        shutil.copytree(PROJECT, os.path.join(self.where, "project"))
        self.build = os.path.join(self.where, "project/build")
        subprocess.run(["cmake", "-S", "project", "-B", "project/build", *options], cwd=self.where, check=True,
                       stdout=subprocess.DEVNULL)

    def run_tree(self, *arguments, path="build"):
        return self.dtest(path, *arguments, directory=os.path.join(self.where, "project"))

    def take_order(self):
        path = os.path.join(self.build, "order")
        with open(path, encoding="ascii") as file:
            order = file.read().split()
        os.remove(path)
        return order

    def assertInOrder(self, order, tests=None):
        """`tests`: all that there are; else at least all of AFTER."""
        if tests is not None:
            self.assertEqual(sorted(order), sorted(tests))
        for test, before in AFTER.items():
            for one in before:
                if tests is None or {one, test} <= set(tests):
                    self.assertLess(order.index(one), order.index(test), order)

    def verdicts_of(self, result):
        return {name.removeprefix("build/"): outcome
                for (_, name), outcome in result.verdicts(whole_names=True).items()}


class LocalTest(Tree, DtestCase):

    def test_verdicts_and_order_of_ctest(self):
        self.make_tree()
        done = subprocess.run(["ctest", "-j4"], cwd=self.build, env=self.environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        expected = {match[1]: WORDS[match[2]] for match in LINE.finditer(done.stdout)}
        self.assertGreater(len(expected), 15, done.stdout)
        self.assertInOrder(self.take_order())
        result = self.run_tree("-j4")
        self.assertExit(result, FAILED)
        self.assertEqual(self.verdicts_of(result), expected)
        order = self.take_order()
        self.assertInOrder(order)
        self.assertNotIn("needs_broken", order)
        self.assertSays(result, "not run, as the set-up build/broken_start of its fixture did not pass")
        self.assertSays(result, "the test second DEPENDS on no_such_test, which is no test there")

    def chosen(self, *arguments):
        listed = self.dtest("list", "build", *arguments, directory=os.path.join(self.where, "project"), reports=False)
        return {name.removeprefix("build/") for name in listed.stdout.split()}

    def chosen_by_ctest(self, *arguments):
        done = subprocess.run(["ctest", "-N", *arguments], cwd=self.build, check=True, stdout=subprocess.PIPE, text=True)
        return set(re.findall(r"Test +#\d+: (\w+)", done.stdout))

    def test_filters_bring_set_ups_and_clean_ups(self):
        self.make_tree()
        for name in ("uses_disk", "uses_db_1", "start_db", "stop_db", "make_disk", "needs_broken", "needs_disabled", "third"):
            with self.subTest(name):
                self.assertEqual(self.chosen("-k", f"=build/{name}"), self.chosen_by_ctest("-R", f"^{name}$"))
        result = self.run_tree("-k", "*uses_db_1")
        self.assertExit(result, PASSED)
        self.assertSays(result, "note: 4 tests set up or clean up the fixtures db, disk for selected tests, and run, too")
        self.assertInOrder(self.take_order(), OF_USES_DB_1)
        result = self.run_tree("-k", "*third")
        self.assertExit(result, FAILED)
        self.assertEqual(self.take_order(), ["third"])  # order is all that DEPENDS asks for

    def test_set_ups_come_along_with_what_failed(self):
        self.make_tree()
        db = os.path.join(self.build, "db")
        for command in (("run", "build", "--last-failed", "-k", "*uses_db_1"), ("rerun",), ("reproduce", "build/uses_db_1")):
            with self.subTest(command):
                os.mkdir(db)  # start_db passes all the same
                broken = self.run_tree("-k", "*uses_db_1")
                self.assertExit(broken, FAILED)
                self.assertEqual(self.verdicts_of(broken)["uses_db_1"], "failed")
                self.assertEqual(self.verdicts_of(broken)["start_db"], "passed")
                os.rmdir(db)
                self.take_order()
                result = self.dtest(*command, directory=os.path.join(self.where, "project"), reports=command[0] == "run")
                self.assertExit(result, PASSED)
                self.assertInOrder(self.take_order(), OF_USES_DB_1)

    def test_each_shard_has_its_own_set_ups(self):
        self.make_tree()
        users = []
        for shard in ("1/3", "2/3", "3/3"):
            result = self.run_tree("--shard", shard, "-k", "*uses_*")
            self.assertIn(result.code, (PASSED, NOTHING), result.text)
            if result.code == NOTHING:
                continue
            order = self.take_order()
            self.assertEqual(order[0], "make_disk")
            self.assertIn("remove_disk", order)
            users += [name for name in order if name.startswith("uses_")]
        self.assertEqual(sorted(users), ["uses_db_1", "uses_db_2", "uses_disk"])


class FarmTest(Tree, FarmCase):

    def test_what_shares_a_fixture_runs_on_one_host(self):
        self.make_tree()
        result = self.run_tree(*self.on_farm())
        self.assertExit(result, FAILED)
        verdicts = self.verdicts_of(result)
        for name in ("uses_db_1", "uses_db_2", "start_db", "stop_db", "make_disk", "remove_disk", "uses_disk"):
            self.assertEqual(verdicts[name], "passed", name)
        self.assertEqual(verdicts["needs_broken"], "infra error")


if __name__ == "__main__":
    harness.main(farm=True)
