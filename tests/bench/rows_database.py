"""The row of tests with PostgreSQL, by the recipe of docs/postgresql.md."""

import contextlib
import os
import subprocess

from measure import Failed, Figure, at_most, clean_environment, row, side_by_side

import pages  # after measure, which says where it is
from rows_pytest import LOCAL, PYTEST, PYTHON, write

TABLES, ROWS = 200, 300

CONFTEST = """\
import os
import subprocess

import psycopg2
import pytest


@pytest.fixture(scope="session")
def database(worker_id):
    if "PGDATABASE" not in os.environ:
        name = "test_" + worker_id
        subprocess.run(["createdb", name], check=True)
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", name, "-f", "tests/schema.sql"], check=True)
        os.environ["PGDATABASE"] = name


@pytest.fixture
def connection(database):
    connection = psycopg2.connect("")
    yield connection
    connection.rollback()
    connection.close()
"""

# One file, for the table of this number and its parent.
TESTS = """\
import pytest


@pytest.mark.parametrize("n", range(20))
def test_of_table(connection, n):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM table_{table}")
        assert cursor.fetchone() == ({rows},)
        cursor.execute("INSERT INTO table_{table} (name, parent, size) SELECT 'new ' || k, %s, k "
                       "FROM generate_series(1, 20) k RETURNING id", (n + 1,))
        made = [row[0] for row in cursor.fetchall()]
        cursor.execute("UPDATE table_{table} SET state = 'seen', notes = notes || '{{\\"by\\": \\"test\\"}}' WHERE id = ANY(%s)",
                       (made,))
        cursor.execute("SELECT p.name, count(*), sum(c.size) FROM table_{table} c JOIN table_{parent} p ON p.id = c.parent "
                       "WHERE c.notes @> '{{\\"by\\": \\"test\\"}}' GROUP BY p.name")
        assert cursor.fetchall() == [(f"name {{n + 1}}", 20, 210)]
        cursor.execute("DELETE FROM table_{parent} WHERE id = %s", (n + 1,))
        cursor.execute("SELECT count(*) FROM table_{table}")
        assert cursor.fetchone() == ({rows} - 1,)
"""


def migrations():
    """As those of an application of some age: tables that refer to one another, filled, and then changed."""
    text = ""
    for i in range(TABLES):
        reference = f"REFERENCES table_{(i - 1) // 2} ON DELETE CASCADE" if i else ""
        text += f"""\
CREATE TABLE table_{i} (id serial PRIMARY KEY, name text NOT NULL, parent int NOT NULL {reference},
  size int NOT NULL DEFAULT 0 CHECK (size >= 0), made timestamptz NOT NULL DEFAULT now(), UNIQUE (parent, name));
CREATE INDEX ON table_{i} (made DESC);
CREATE INDEX ON table_{i} (lower(name));
INSERT INTO table_{i} (name, parent, size) SELECT 'name ' || n, n, n % 50 FROM generate_series(1, {ROWS}) n;
"""
    for i in range(TABLES):
        text += f"""\
ALTER TABLE table_{i} ADD COLUMN state text NOT NULL DEFAULT 'new', ADD COLUMN notes jsonb NOT NULL DEFAULT '{{}}';
ALTER TABLE table_{i} ALTER COLUMN size TYPE bigint;
UPDATE table_{i} SET state = 'done', notes = jsonb_build_object('size', size) WHERE size > 25;
CREATE INDEX ON table_{i} (state) WHERE state <> 'done';
CREATE INDEX ON table_{i} USING gin (notes);
"""
    return text


def project(bench):
    """With the recipe's files as that page has them, and 800 tests in 40 files."""
    [settings], [script] = pages.blocks("postgresql.md", "toml"), pages.blocks("postgresql.md", "sh")
    write(bench, "dtest.toml", settings)
    write(bench, "tests/postgres.sh", script)
    os.chmod(bench.path("tests/postgres.sh"), 0o755)
    write(bench, "tests/schema.sql", migrations())
    write(bench, "pytest.ini", "[pytest]\n")
    write(bench, "tests/conftest.py", CONFTEST)
    for table in range(TABLES - 40, TABLES):
        write(bench, f"tests/test_{table}.py", TESTS.format(table=table, parent=(table - 1) // 2, rows=ROWS))
    return bench.path("")


@contextlib.contextmanager
def server(directory):
    """The recipe's, for four slots. Gives the variables that its `start` exports."""
    def script(word, variables):
        done = subprocess.run(["tests/postgres.sh", word], cwd=directory, env=clean_environment(variables), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        return lines, "" if done.returncode == 0 else f"tests/postgres.sh {word} failed: {done.stderr.strip()}"

    variables, failed = script("start", {"DTEST_HOST_SLOTS": "4"})
    try:
        if failed:
            raise Failed(failed)
        yield variables
    finally:
        script("stop", variables)


def check_that_all_is_here():
    if subprocess.run([PYTHON, "-c", "import pytest, xdist, psycopg2"], stderr=subprocess.DEVNULL).returncode:
        raise Failed(f"{PYTHON} lacks one of pytest, xdist, psycopg2 (apt-get install python3-pytest "
                         "python3-pytest-xdist python3-psycopg2)")
    if not os.path.isdir("/usr/lib/postgresql"):
        raise Failed("no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")


@row("py-database")
def py_database(bench):
    """800 tests in 40 files, each of which connects, makes six queries (psycopg2) and rolls back; migrations of 200 tables, 1,200 indexes
    and 60,000 rows, which take PostgreSQL about two seconds; four slots on this machine. dtest runs the recipe of docs/postgresql.md as that page has it: its
    wall has the server's start and end, the migrations once and a copy for each slot. For `pytest -n 4` (Debian's pytest-xdist) the same script
    has started a server of the same settings before the clock starts, and ends it after the clock has stopped; a fixture of the session makes and
    migrates a database for each worker. The project is the same. In turn, three times. Nobody writes byte code or a cache."""
    check_that_all_is_here()
    directory = project(bench)

    def migrated_alone():
        with server(directory) as variables:
            subprocess.run(["createdb", "alone"], env=clean_environment(variables), check=True)
            return bench.timed(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", "alone", "-f", "tests/schema.sql"],
                               cwd=directory, env=variables)

    def ours():
        run = bench.dtest("tests", "-j4", *LOCAL, cwd=directory, events=True)
        if len(run.verdicts()) != 800:
            raise Failed(f"{run.text}\ndtest ran {len(run.verdicts())} tests of 800")
        return run.seconds

    def theirs():
        with server(directory) as variables:
            return bench.timed([*PYTEST, "-n4"], cwd=directory, env=variables, passed=800)

    with_recipe, with_workers, migrations_alone = side_by_side(3, ours, theirs, migrated_alone)
    return [
        at_most("dtest with the recipe / pytest-xdist -n 4 that migrates a database per worker", with_recipe / with_workers,
                0.6, f" ({with_recipe:.2f} s, {with_workers:.2f} s)"),
        Figure("the migrations by themselves", f"{migrations_alone:.2f} s"),
    ]
