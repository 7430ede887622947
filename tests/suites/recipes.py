"""Recipes of docs/ that need packages of the registry, as they stand there.

    ./dev suites RecipesTest
"""

import os
import re
import sys
import textwrap
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "integration"))

import harness  # noqa: E402
import pages  # noqa: E402
import registry  # noqa: E402

SETTINGS = """\
    SECRET_KEY = "x"
    INSTALLED_APPS = ["app"]
    USE_TZ = True
    DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
    """
MANAGE = """\
    import os, sys
    from django.core.management import execute_from_command_line
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    execute_from_command_line(sys.argv)
    """
MODELS = """\
    from django.db import models

    class Visit(models.Model):
        slot = models.TextField()
    """
MIGRATION = """\
    from django.db import migrations, models

    class Migration(migrations.Migration):
        operations = [migrations.CreateModel("Visit", [("id", models.AutoField(primary_key=True)), ("slot", models.TextField())])]
    """
TESTS = """\
    import os
    import pytest
    from django.db import connection
    from app.models import Visit

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("n", range(12))
    def test_database_of_the_slot(n):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            assert cursor.fetchone() == ("slot_" + os.environ["DTEST_SLOT"],)
            cursor.execute("SHOW fsync")
            assert cursor.fetchone() == ("off",)
        assert not Visit.objects.exists(), "the test before has left something, or another slot was here"
        Visit.objects.create(slot=os.environ["DTEST_SLOT"])
        assert Visit.objects.count() == 1
    """

TESTS_OF_SQLALCHEMY = """\
    from sqlalchemy import text
    from sqlalchemy.testing import config, eq_, fixtures

    class ATest(fixtures.TestBase):
        def test_database_of_the_process(self, connection):
            eq_(connection.scalar(text("SELECT current_database()")), config.ident)
            connection.execute(text("CREATE TABLE mine (n int)"))
            connection.commit()
            connection.execute(text("DROP TABLE mine"))
            connection.commit()

        def test_nobody_elses_is_left(self, connection):
            eq_(connection.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")), 0)

        def test_fails(self): eq_(1, 2)
    """
# Databases that workers had, as the server is stopped.
STOP = """\
    #!/bin/sh
    psql -At -c "SELECT datname FROM pg_database WHERE datname LIKE 'test%'" > {left}
    exec tests/postgres.sh stop
    """


@unittest.skipUnless(os.path.isdir("/usr/lib/postgresql"), "no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")
class RecipesTest(harness.DtestCase):

    def test_plugin_of_sqlalchemy_with_postgresql(self):
        """Its controller makes a database for each worker, and drops it."""
        packages = registry.packages("sqlalchemy-postgresql", "pytest pytest-xdist sqlalchemy psycopg[binary]")
        [script] = pages.blocks("postgresql.md", "sh")
        script, replaced = re.subn(r"psql -q .*", "", script)
        self.assertEqual(replaced, 1)
        for path, contents in {
                "pytest.ini": "[pytest]\npython_classes = *Test\n", "conftest.py": "from sqlalchemy.testing.plugin.pytestplugin import *\n",
                "setup.cfg": "[db]\ndefault = postgresql+psycopg:///\n[sqla_testing]\nprofile_file = profiles.txt\n"
                             "requirement_cls = sqlalchemy.testing.requirements:SuiteRequirements\n",
                "dtest.toml": '[setup.host]\ncommand = "tests/postgres.sh start"\nteardown = "tests/stop.sh"\n',
                **{f"tests/test_{name}.py": textwrap.dedent(TESTS_OF_SQLALCHEMY) for name in "abcd"}}.items():
            self.write(path, contents)
        self.write("tests/postgres.sh", script.replace('echo "PGUSER=', 'echo "PGDATABASE=$PGDATABASE"\n  echo "PGUSER='), 0o755)
        left = self.path("left")
        self.write("tests/stop.sh", textwrap.dedent(STOP.format(left=left)), 0o755)
        result = self.dtest("tests", "-j2", "--pytest", registry.python(), env={"PYTHONPATH": packages})
        self.assertExit(result, harness.FAILED)
        verdicts = list(result.names().values())
        self.assertEqual((verdicts.count("passed"), verdicts.count("failed"), len(verdicts)), (8, 4, 12), result.text)
        with open(left, encoding="utf-8") as file:
            self.assertEqual(file.read(), "")

    def test_django_with_postgresql(self):
        packages = registry.packages("django-postgresql", "pytest pytest-django django psycopg[binary]")
        [toml], [script] = pages.blocks("postgresql.md", "toml"), pages.blocks("postgresql.md", "sh")
        python = pages.blocks("postgresql.md", "python")[-1]
        settings, conftest = re.fullmatch(r"# settings\.py\n(.*)# conftest\.py\n(.*)", python, re.S).groups()
        migrates, = re.findall(r"`(APP_DATABASE=[^`]*)`", self.page())
        script, replaced = re.subn(r"psql -q .*", lambda _: migrates, script)
        self.assertEqual(replaced, 1)
        for path, contents in {
                "pytest.ini": "[pytest]\naddopts = --reuse-db\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\n",
                "dtest.toml": toml, "settings.py": "import os\n" + textwrap.dedent(SETTINGS) + settings,
                "conftest.py": "import os\nimport pytest\n" + conftest, "manage.py": textwrap.dedent(MANAGE),
                "app/__init__.py": "", "app/models.py": textwrap.dedent(MODELS), "app/migrations/__init__.py": "",
                "app/migrations/0001_initial.py": textwrap.dedent(MIGRATION), "tests/test_visits.py": textwrap.dedent(TESTS)}.items():
            self.write(path, contents)
        self.write("tests/postgres.sh", script, 0o755)
        path = f"{os.path.dirname(registry.python())}:{os.environ['PATH']}"
        result = self.dtest("tests", "-j2", "--pytest", registry.python(), env={"PYTHONPATH": packages, "PATH": path})
        self.assertExit(result, harness.PASSED)
        self.assertEqual(len(result.names()), 12)
        self.assertNotIn("warning", result.text)

    @staticmethod
    def page():
        with open(os.path.join(pages.DOCS, "postgresql.md"), encoding="utf-8") as file:
            return file.read()


if __name__ == "__main__":
    unittest.main(verbosity=2)
