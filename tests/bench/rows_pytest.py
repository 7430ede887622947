"""Rows of pytest projects, with the system's Python and pytest, beside Debian's pytest-xdist."""

import functools
import math
import os
import random
import re
import shutil
import subprocess
import time

from measure import DTEST, Figure, at_least, at_most, clean_environment, row, side_by_side

import farm  # after measure, which says where it is
from rows_farm import on

PYTHON = "/usr/bin/python3"
# Byte code of tests is kept where each side keeps it: by pytest beside them, by dtest in its store.
PYTEST = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
LOCAL = ("--pytest", PYTHON)


def write(bench, name, text):
    os.makedirs(os.path.dirname(bench.path(name)), exist_ok=True)
    with open(bench.path(name), "w", encoding="ascii") as file:
        file.write(text)


def trivial_tests(bench, files, of_each, directory=""):
    write(bench, os.path.join(directory, "pytest.ini"), "[pytest]\n")
    for number in range(files):
        write(bench, os.path.join(directory, f"tests/test_{number}.py"),
              "".join(f"def test_{i}():\n    assert {number} + {i} >= 0\n\n" for i in range(of_each)))


@row("py-tiny")
def py_tiny(bench):
    """5,000 trivial tests in 50 files, two slots: wall of dtest over that of `pytest -n 2` (Debian's pytest-xdist) and of pytest in
    one process without it, in turn, five times; each in a checkout that is new to it (nobody has byte code of it), and again in the same."""
    trivial_tests(bench, 50, 100)
    directory = bench.path("")

    def new(side):
        shutil.rmtree(bench.path("tests/__pycache__"), ignore_errors=True)
        shutil.rmtree(bench.path("cache/dtest/kept"), ignore_errors=True)
        return side()

    def again(side):
        side()
        return side()

    sides = (
        lambda: bench.dtest("tests", "-j2", *LOCAL, cwd=directory).seconds,
        lambda: bench.timed([*PYTEST, "-n2"], cwd=directory),
        lambda: bench.timed([*PYTEST, "-p", "no:xdist"], cwd=directory),
    )
    bench.dtest("tests", "-j2", *LOCAL, cwd=directory, note=False)  # the first one unpacks its agent
    figures = []
    for when in (new, again):
        ours, workers, one = side_by_side(5, *[functools.partial(when, side) for side in sides])
        figures += [
            at_most(f"{when.__name__}: dtest / pytest-xdist -n 2", ours / workers, 0.5, f" ({ours:.2f} s, {workers:.2f} s)"),
            at_most(f"{when.__name__}: dtest / pytest in one process", ours / one, 0.75, f" ({one:.2f} s)"),
        ]
    return figures


@row("py-collect")
def py_collect(bench):
    """5,000 trivial tests in 50 files whose conftest.py needs two seconds of processor time, as heavy imports do, eight slots on this
    machine: from the start of dtest to the time that the event log gives the first verdict, over the wall of one `pytest
    --collect-only`, in turn, three times. Beside it the wall until `pytest -n 8` tells of its first test."""
    trivial_tests(bench, 50, 100)
    write(bench, "tests/conftest.py",
          "import time\nend = time.process_time() + 2\nwhile time.process_time() < end:\n    pass\n")
    directory = bench.path("")

    def first_of_workers():
        command = [*PYTEST[:-1], "-n8", "-v", "tests"]
        bench.note(command, "$T")
        began = time.monotonic()
        with subprocess.Popen(command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                if " PASSED " in line:
                    break
            seconds = time.monotonic() - began
            process.kill()
        return seconds

    ours, collected, workers = side_by_side(
        3,
        lambda: bench.dtest("tests", "-j8", *LOCAL, cwd=directory, events=True).first_verdict(),
        lambda: bench.timed([*PYTEST, "--collect-only", "-p", "no:xdist"], cwd=directory),
        first_of_workers,
    )
    return [
        at_most("first verdict / one --collect-only", ours / collected, 1.2, f" ({ours:.2f} s, {collected:.2f} s)"),
        Figure("pytest-xdist -n 8: first verdict / the same", f"{workers / collected:.2f} ({workers:.2f} s)"),
    ]


def mixed_tests(bench):
    """30 modules of 50 tests; the seconds that all of them sleep, with the fixture of each module once."""
    numbers, total = random.Random(7), 0.0
    write(bench, "pytest.ini", "[pytest]\n")
    for module in range(30):
        text = ("import time\nimport pytest\n\n@pytest.fixture(scope='module', autouse=True)\ndef made():\n"
                "    time.sleep(1)\n\n")
        for test in range(50):
            seconds = min(2.0, 0.04 * math.exp(numbers.gauss(0, 1)))
            total += seconds
            text += f"def test_{test}():\n    time.sleep({seconds:.4f})\n\n"
        write(bench, f"tests/test_{module}.py", text)
        total += 1
    return total


@row("py-mixed")
def py_mixed(bench):
    """1,500 tests that sleep lognormally (median 40 ms, fixed seed, cut at 2 s) in 30 modules, each with a fixture of one second, eight
    slots on this machine. Ideal is all of that, each fixture once, over eight. Two runs teach the history, then one is measured; pytest-xdist
    -n 8 in its modes, once each."""
    total = mixed_tests(bench)
    ideal, directory = total / 8, bench.path("")
    first, _, with_history = [bench.dtest("tests", "-j8", *LOCAL, cwd=directory).seconds for _ in range(3)]
    modes = {mode: bench.timed([*PYTEST, "-n8", f"--dist={mode}"], cwd=directory)
             for mode in ("load", "loadfile", "loadscope")}
    best = min(modes, key=modes.get)
    return [
        at_least("ideal / wall, with history", ideal / with_history, 0.93, f" ({ideal:.1f} s / {with_history:.1f} s)"),
        Figure("ideal / wall, first run", f"{ideal / first:.2f}"),
        Figure("pytest-xdist -n 8 at its best", f"{ideal / modes[best]:.2f} (--dist {best}, {modes[best]:.1f} s)"),
    ]


@row("py-hosts", farm=True)
def py_hosts(bench):
    """The suite of py-mixed on four ssh hosts of two slots: with an empty history, agents there and nothing of the project; then, after
    one more run, with what that left."""
    total = mixed_tests(bench)
    subprocess.run(["git", "init", "-q", bench.path("")], check=True)
    ideal, directory = total / 8, bench.path("")
    with farm.Farm([farm.HostSpec(f"h{i}", slots=2) for i in range(1, 5)]) as hosts:
        options = on(bench, hosts)
        bench.dtest(bench.suite("tiny_suite"), *options, state="warm", note=False)
        cold, _, warm = [bench.dtest("tests", *options, cwd=directory).seconds for _ in range(3)]
    return [
        at_least("ideal / wall, cold", ideal / cold, 0.85, f" ({ideal:.1f} s / {cold:.1f} s)"),
        at_least("ideal / wall, warm", ideal / warm, 0.92, f" ({warm:.1f} s)"),
    ]


def descendants(pid):
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                    parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass  # it has just ended
    found, more = set(), {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return found


def memory_while_asleep(bench, command, directory, count):
    """Megabytes (PSS) of all processes of the command, when so many of its tests have begun and wait."""
    bench.note(command, "$T")
    for name in os.listdir(bench.path("begun")):
        os.unlink(bench.path("begun", name))
    process = subprocess.Popen(command, cwd=directory, env=clean_environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(os.listdir(bench.path("begun"))) < count and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    kilobytes = 0
    for pid in descendants(process.pid):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                kilobytes += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1])
        except OSError:
            pass  # it has just ended
    write(bench, "go", "")
    process.wait()
    os.unlink(bench.path("go"))
    return kilobytes / 1024


@row("py-memory")
def py_memory(bench):
    """A project whose conftest.py holds 400 MB, as imports do, and eight tests that wait for one another, eight slots on this machine: memory of all
    processes of dtest (PSS: what is shared counts once), its own included, over that of `pytest -n 8`, while all eight run."""
    write(bench, "pytest.ini", "[pytest]\n")
    write(bench, "begun/x", "")
    write(bench, "tests/conftest.py", "import os\nheld = [os.urandom(1 << 20) for _ in range(400)]\n")
    write(bench, "tests/test_wait.py", "import os, time, pytest\n\n@pytest.mark.parametrize('i', range(8))\ndef test_wait(i):\n"
          f"    here = {bench.path('')!r}\n    open(here + f'/begun/{{i}}', 'w').close()\n"
          "    while not os.path.exists(here + '/go'):\n        time.sleep(0.02)\n")
    directory = bench.path("")
    ours = memory_while_asleep(
        bench, [DTEST, "tests", "-j8", *LOCAL, "-q", "--processes", "case", "--state-dir", bench.path("state"),
                "--cache-dir", bench.path("cache")], directory, 8)
    theirs = memory_while_asleep(bench, [*PYTEST, "-n8"], directory, 8)
    return [at_most("memory / pytest-xdist -n 8", ours / theirs, 0.4, f" ({ours:,.0f} MB, {theirs:,.0f} MB)")]


@row("py-cov")
def py_cov(bench):
    """2,000 tests of a module of 200 functions with branches, with branch coverage, two slots: wall of dtest over that of `pytest -n 2`
    with Debian's pytest-cov, in turn, three times."""
    write(bench, "pytest.ini", "[pytest]\n")
    write(bench, "measured.py", "".join(
        f"def f{i}(n):\n    total = 0\n    for k in range(n):\n        if k % {i + 2}:\n            total += k\n"
        f"        else:\n            total -= 1\n    return total\n\n" for i in range(200)))
    for number in range(20):
        write(bench, f"tests/test_{number}.py", "import measured\n\n" + "".join(
            f"def test_{i}():\n    assert measured.f{(number * 10 + i) % 200}(500) is not None\n\n" for i in range(100)))
    directory, options = bench.path(""), ["--cov=measured", "--cov-branch", "--cov-report="]
    path = dict(PYTHONPATH=directory)
    ours, theirs = side_by_side(
        3,
        lambda: bench.dtest("tests", "-j2", *LOCAL, "--env", f"PYTHONPATH={directory}",
                            *[f"--pytest-arg={option}" for option in options], cwd=directory).seconds,
        lambda: bench.timed([*PYTEST, "-n2", *options], cwd=directory, env=path),
    )
    return [at_most("dtest / pytest-xdist -n 2 with pytest-cov", ours / theirs, 0.8, f" ({ours:.2f} s, {theirs:.2f} s)")]
