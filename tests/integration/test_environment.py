"""[environment]: what tests import, made or found on each host, here and on ssh hosts."""

import json
import os
import signal
import subprocess
import unittest
from textwrap import dedent

import harness
from harness import BROKEN, FAILED, INTERRUPTED, PASSED, USAGE, DtestCase, FarmCase, wait_until

PYTHON = "/usr/bin/python3"
# No network: what a package would be is a file of the key. $HOME is the host's own.
COMMAND = """\
    [environment]
    command = '''
    set -e
    echo "made of $(find . -type f)" >> "$HOME/log"
    /usr/bin/python3 -m venv --without-pip --system-site-packages "$DTEST_ENVIRONMENT"
    cp package/brought.py "$DTEST_ENVIRONMENT"/lib/python3*/site-packages/
    '''
    key = ["package/brought.py"]
    check = 'echo checked >> "$HOME/log"; python -c "import brought"'
    """
MADE = "made of ./package/brought.py"  # the command sees the files of the key, and nothing else
TESTS = """\
    import os, shutil, subprocess, sys
    import brought

    def test_version():
        assert brought.VERSION == int(open("version").read())

    def test_environment():
        environment = os.environ["DTEST_ENVIRONMENT"]
        assert os.environ["VIRTUAL_ENV"] == environment == sys.prefix
        assert os.environ["PATH"].startswith(environment + "/bin:")
        assert os.path.dirname(sys.executable) == environment + "/bin"
        assert os.path.exists(sys.prefix + "/pyvenv.cfg")
    """


class EnvironmentCase(DtestCase):

    def setUp(self):
        super().setUp()
        self.root = self.path("project")

    def start(self, *arguments, directory=None, **options):
        return super().start(*arguments, directory=directory or self.root, **options)

    def put(self, name, content, mode=0o644):
        """Of the project."""
        return self.write(os.path.join("project", name), content, mode)

    def project(self, settings=COMMAND, version=1):
        self.put("dtest.toml", dedent(settings))
        self.put("package/brought.py", f"VERSION = {version}\n")
        self.put("version", str(version))
        self.put("pytest.ini", "[pytest]\ntestpaths = tests\n")
        self.put("tests/test_brought.py", dedent(TESTS))

    def log(self, home=None):
        path = os.path.join(home or self.path("home"), "log")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()

    def assertRan(self, result, cases=2):
        self.assertExit(result, PASSED)
        self.assertEqual(len(result.names()), cases)

    def made(self, home=None):
        """The directories of environments, finished or not."""
        places = os.path.join(home or self.path("home"), ".cache/dtest/environments")
        return sorted(os.path.join(places, place, name) for place in os.listdir(places)
                      for name in os.listdir(os.path.join(places, place)) if name not in ("used", "making", "whole", "half"))


@unittest.skipIf(subprocess.run([PYTHON, "-c", "import pytest, venv"], stderr=subprocess.DEVNULL, check=False).returncode,
                 f"{PYTHON} has no pytest")
class LocalTest(EnvironmentCase):

    def test_made_once_for_each_content_of_its_key(self):
        self.project()
        self.assertRan(self.dtest("-j", "2", "."))
        self.assertEqual(self.log(), [MADE, "checked"])
        self.assertRan(self.dtest("."))
        self.assertEqual(len(self.log()), 3)
        self.assertEqual(len(self.made()), 1)
        self.project(version=2)
        self.assertRan(self.dtest("."))
        self.assertEqual(self.log()[3:], [MADE, "checked"])
        self.project(version=1)
        self.assertRan(self.dtest("."))
        self.assertEqual(self.log()[5:], ["checked"], "the first one is still there")

    def test_failure_is_told_once_with_its_output(self):
        self.project(COMMAND.replace("set -e", "echo 'no such package: brought' >&2; exit 7"))
        result = self.dtest("-j", "2", ".")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "local: the environment of the host failed: its command exited with status 7\n"
                                "    no such package: brought\n")
        self.assertEqual(result.text.count("\n    no such package"), 1, result.text)
        self.assertEqual(self.made(), [])
        self.project()
        self.assertRan(self.dtest("."))

    def test_one_that_its_check_refuses_is_made_anew_once(self):
        self.project()
        self.assertRan(self.dtest("."))
        [first] = self.made()
        for directory, _, names in os.walk(first):
            if "brought.py" in names:
                os.remove(os.path.join(directory, "brought.py"))
        result = self.dtest(".")
        self.assertRan(result)
        self.assertSays(result, "local: makes the environment anew, since its check exited with status 1", "No module named 'brought'")
        self.project(COMMAND.replace("cp package", "true || cp package"))
        result = self.dtest(".")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "the environment of the host failed: it was made, and its check exited with status 1", "No module named")

    def test_half_made_one_is_never_used(self):
        self.project(COMMAND.replace("set -e", 'set -e\n    test -e "$HOME/go" || { echo half >> "$HOME/log"; mkdir "$DTEST_ENVIRONMENT/bin"; sleep 1000; }'))
        for number in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(signal=number):
                running = self.start(".", "--grace", "100ms")
                wait_until(lambda: self.log()[-1:] == ["half"], "the command to run")
                running.signal(number)
                result = running.finish()
                self.assertExit(result, INTERRUPTED if number == signal.SIGINT else -signal.SIGKILL)
                self.write("home/log", "")
        self.write("home/go", "")
        self.assertRan(self.dtest("."))
        self.assertEqual(len(self.made()), 1)

    def test_two_runs_make_it_once(self):
        self.project(COMMAND.replace("set -e", 'set -e\n    until test -e "$HOME/go"; do sleep 0.02; done'))
        runs = [self.start("."), self.start(".")]
        wait_until(lambda: any("which another agent is making" in str(running.events("warning")) for running in runs),
                   "one to wait")
        self.write("home/go", "")
        for running in runs:
            self.assertRan(running.finish())
        self.assertEqual(len([line for line in self.log() if line.startswith("made")]), 1)

    def test_command_that_is_too_slow_and_another_failure(self):
        self.project("[environment]\ncommand = 'sleep 4715'\nkey = []\ntimeout = '300ms'\n")
        result = self.dtest(".")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "the environment of the host failed: its command exceeded its time limit of 0.3 s")
        self.assertEqual(subprocess.run(["pgrep", "-f", "sleep 4715"], check=False, capture_output=True, text=True).stdout, "")

    def test_python_that_is_gone_is_made_anew_and_no_other_is_taken(self):
        self.project(COMMAND + """
    [setup.host]
    command = 'echo PATH=/usr/bin:/bin'
    """)
        self.put("tests/test_brought.py", "import os, sys\ndef test_it():\n    assert sys.prefix == os.environ['DTEST_ENVIRONMENT']\n")
        self.assertRan(self.dtest("."), 1)
        [first] = self.made()
        for name in os.listdir(first + "/bin"):
            if name.startswith("python"):
                os.remove(os.path.join(first, "bin", name))
        os.symlink("/gone/python3", first + "/bin/python3")
        result = self.dtest(".")
        self.assertRan(result, 1)
        self.assertSays(result, "makes the environment anew", "no Python that starts")
        self.project("[environment]\ncommand = 'mkdir $DTEST_ENVIRONMENT/bin'\nkey = []\n")
        result = self.dtest(".")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "the environment of the host failed", "no Python that starts")

    def test_profile_has_it(self):
        self.project()
        self.assertExit(self.dtest("profile", ".", reports=False), PASSED)
        self.assertEqual(self.log(), [MADE, "checked", "checked"])

    def test_checkouts_do_not_share_a_directory(self):
        self.project(COMMAND.replace("set -e", 'pwd > "$DTEST_ENVIRONMENT/where"'))
        self.assertRan(self.dtest("."))
        with open(self.made()[0] + "/where", encoding="utf-8") as file:
            self.assertFalse(file.read().startswith(self.root))

    def test_table_as_text_is_relative_to_its_file(self):
        self.project(COMMAND)
        self.put("dtest.toml", "environment = '" + '{ship = ".venv"}' + "'\n")
        os.makedirs(self.path("project/deeper"))
        shown = self.dtest("config", "environment", "--json", reports=False, directory=self.path("project/deeper"))
        [setting] = json.loads(shown.stdout)["settings"]
        self.assertEqual(setting["value"], '{ship = ".venv", directory = "' + self.root + '"}')

    def test_config_is_json_of_tables_too(self):
        self.project(COMMAND + "\n    [setup.host]\n    command = 'true'\n")
        shown = json.loads(self.dtest("config", "--json", reports=False).stdout)
        values = {setting["name"]: setting["value"] for setting in shown["settings"]}
        self.assertIn('key = ["package/brought.py"]', values["environment"])
        self.assertIn('command = "true"', values["setup-host"])

    def test_set_ups_and_programs_have_it(self):
        self.project(COMMAND + """
    [setup.host]
    command = 'python -c "import brought" && echo "OF_HOST=$DTEST_ENVIRONMENT"'
    [setup.slot]
    command = 'command -v python; echo "PATH=/nothing:$PATH"'
    """)
        self.put("tests/plain_test", "#!/bin/sh\ntest \"$OF_HOST\" = \"$VIRTUAL_ENV\" && exec python -c 'import brought'\n", 0o755)
        self.put("tests/test_brought.py", "import brought, os\ndef test_path():\n    assert os.environ['PATH'].startswith('/nothing:' + os.environ['VIRTUAL_ENV'])\n")
        result = self.dtest("tests")
        self.assertRan(result)

    def test_path(self):
        environment = self.path("opt")
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--system-site-packages", environment], check=True)
        self.project(f"[environment]\npath = '{environment}'\n")
        packages = os.path.join(environment, "lib", os.listdir(os.path.join(environment, "lib"))[0], "site-packages")
        self.write(os.path.join(packages, "brought.py"), "VERSION = 1\n")
        self.assertRan(self.dtest("."))
        self.project("[environment]\npath = '/opt/none'\n")
        result = self.dtest(".")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "local: the environment of the host failed: [environment] names /opt/none, and this host has no /opt/none/bin")
        self.project(f"[environment]\npath = '{self.path('project/package')}'\n")
        os.mkdir(self.path("project/package/bin"))
        self.assertSays(self.dtest("."), f"cannot start {self.path('project/package')}/bin/python")

    def test_config_shows_it_and_the_command_line_has_it(self):
        self.project(COMMAND)
        shown = self.dtest("config", "environment", reports=False)
        self.assertExit(shown, PASSED)
        self.assertIn('key = ["package/brought.py"]', shown.stdout)
        self.assertIn("# dtest.toml:1", shown.stdout)
        self.put("dtest.toml", shown.stdout)
        self.assertRan(self.dtest("."))
        self.assertEqual(self.log(), [MADE, "checked"])
        os.makedirs(self.path("project/tests/deeper"), exist_ok=True)
        below = self.dtest("config", "environment", reports=False, directory=self.path("project/tests/deeper"))
        self.assertIn(f'directory = "{self.root}"', below.stdout)
        none = self.dtest(".", "--environment", "none")
        self.assertExit(none, FAILED)
        self.put("dtest.toml", "")
        self.assertRan(self.dtest(".", "--environment", shown.stdout.split(" = ", 1)[1].rsplit("  # ", 1)[0].strip()))

    def test_mistakes_in_the_settings(self):
        for text, said in (
                ("command = 'a'\npath = '/b'\nkey = []", "give one of command, path, ship"),
                ("check = 'a'", "give one of command, path, ship"),
                ("command = 'a'", "command needs key"),
                ("path = 'b'", "give an absolute path"),
                ("path = '/b'\nkey = []", "key, check and timeout are of an environment that is made by a command"),
                ("command = 'a'\nkey = ['../x']", "'../x': give the path of a file below dtest.toml"),
                ("command = 'a'\nkey = ['/x']", "'/x': give a path relative to dtest.toml"),
                ("comand = 'a'", "unknown key 'comand' of an environment; it has command, key, check, timeout, path, ship; did you mean 'command'?"),
                ("command = 'a'\nkey = ['none']", "[environment] key: cannot read")):
            with self.subTest(text):
                self.project("[environment]\n" + text + "\n")
                result = self.dtest(".")
                self.assertExit(result, USAGE)
                self.assertSays(result, said)


class FarmTest(EnvironmentCase, FarmCase):

    def ships(self):
        """A project with a .venv; returns its site-packages, relative."""
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--system-site-packages", self.path("project/.venv")], check=True)
        self.project("[environment]\nship = '.venv'\n")
        os.remove(self.path("project/package/brought.py"))
        site = os.path.join(".venv/lib", os.listdir(self.path("project/.venv/lib"))[0], "site-packages")
        self.put(f"{site}/brought.py", "VERSION = 1\n")
        self.put(f"{site}/inner/deep.py", "")
        return site

    def home(self, name):
        return self.farm[name].path(self.farm[name].home)

    def setUp(self):
        super().setUp()
        for name in self.farm.hosts:
            if os.path.exists(os.path.join(self.home(name), "log")):
                os.remove(os.path.join(self.home(name), "log"))

    def many(self, count=24):
        self.put("tests/test_many.py", f"import brought, pytest, time\n@pytest.mark.parametrize('n', range({count}))\n"
                                         "def test_many(n):\n    time.sleep(0.2)\n")

    def test_every_host_makes_it_once(self):
        self.project()
        self.many()
        hosts = ("h1", "h2", "h3")  # h4 has no Python
        self.assertRan(self.dtest(*self.on_farm(*hosts), "."), 26)
        for name in hosts:  # one that came up late may have had no work
            self.assertRan(self.dtest(*self.on_farm(name), "."), 26)
            [made] = [line for line in self.log(self.home(name)) if line != "checked"]
            self.assertEqual(made, MADE)
            self.assertEqual(len(self.made(self.home(name))), 1)
        self.project(version=2)
        self.assertRan(self.dtest(*self.on_farm("h1"), "."), 26)
        self.assertEqual(len(self.made(self.home("h1"))), 2)
        self.assertHostsClean()

    def test_host_that_cannot_make_it_takes_no_work(self):
        self.project()
        self.many()
        result = self.dtest(*self.on_farm("h1", "h4"), ".")
        self.assertRan(result, 26)
        self.assertEqual(result.hosts_used(), {"h1"})
        alone = self.dtest(*self.on_farm("h4"), ".")
        self.assertExit(alone, BROKEN)
        self.assertSays(alone, "warning: h4: the environment of the host failed: its command exited with status")
        self.assertHostsClean()

    def test_path(self):
        self.project("[environment]\npath = '/opt/dtest-none'\n")
        result = self.dtest(*self.on_farm("h1"), ".")
        self.assertExit(result, BROKEN)
        self.assertSays(result, "warning: h1: the environment of the host failed: [environment] names /opt/dtest-none, "
                                "and this host has no /opt/dtest-none/bin")
        self.assertHostsClean()

    def test_shipped_packages_are_those_of_the_environment_here(self):
        site = self.ships()
        self.put("src/edited.py", "")
        self.put(f"{site}/project.pth", self.path("project/src") + "\n")
        self.put("tests/test_brought.py", dedent("""\
            import subprocess, sys
            import brought, edited
            from inner import deep

            def test_places():
                places = [module.__file__ for module in (brought, deep, edited)]
                if HERE:
                    assert sys.prefix == ENVIRONMENT and all(place.startswith(ENVIRONMENT) for place in places[:2])
                else:
                    assert "/.dtest/packages/" in places[0] and "/.dtest/packages/inner/" in places[1], places
                    assert "/dtest/trees/" in places[2], places
                subprocess.run([sys.executable, "-c", "import brought"], env={"PYTHONPATH": "/none"}, check=True)
            """) + f"ENVIRONMENT = '{self.path('project/.venv')}'\nHERE = True\n")
        self.assertRan(self.dtest("tests"), 1)
        with open(self.path("project/tests/test_brought.py"), "a", encoding="utf-8") as file:
            file.write("HERE = False\n")
        result = self.dtest(*self.on_farm("h1", "h2"), "tests")
        self.assertRan(result, 1)
        self.assertEqual(result.text.count("warning"), 1, result.text)
        self.assertSays(result, ".venv also imports what is installed on this machine")
        self.assertHostsClean()
        self.put(f"{site}/__editable__.other.pth", "import __editable___other_finder\n")
        self.put(f"{site}/outside.pth", "/usr/lib\n")
        result = self.dtest(*self.on_farm("h1"), "tests")
        self.assertRan(result, 1)
        self.assertSays(result, "has a package installed from /usr/lib, which is not below this directory",
                        "may find packages by code in __editable__.other.pth")

    def test_shipped_packages_are_of_one_version_of_python(self):
        self.ships()
        python = os.listdir(self.path("project/.venv/lib"))[0]
        os.rename(self.path("project/.venv/lib", python), self.path("project/.venv/lib/python3.99"))
        result = self.dtest(*self.on_farm("h1", "h2"), "tests")
        self.assertExit(result, FAILED)
        self.assertSays(result, "h1: pytest needs python3.99, which this host does not have in its PATH")
        os.remove(self.path("project/.venv/pyvenv.cfg"))
        result = self.dtest(*self.on_farm("h1"), "tests")
        self.assertExit(result, USAGE)
        self.assertSays(result, "[environment] ship: ", ".venv has no pyvenv.cfg; name a virtual environment")


if __name__ == "__main__":
    harness.main(farm=True)
