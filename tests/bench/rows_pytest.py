"""Rows of pytest projects, on this machine, with the system's Python and pytest."""

import os

from measure import at_most, row, side_by_side

PYTHON = "/usr/bin/python3"


@row("py-tiny")
def py_tiny(bench):
    """5,000 trivial tests in 50 files, two slots: wall of dtest over that of `pytest -n 2` (Debian's pytest-xdist) and of pytest in
    one process without it, in turn, five times. Nobody writes byte code or a cache."""
    for number in range(50):
        os.makedirs(bench.path("tests"), exist_ok=True)
        with open(bench.path("tests", f"test_{number}.py"), "w", encoding="ascii") as file:
            file.writelines(f"def test_{i}():\n    assert {i} >= 0\n\n" for i in range(100))
    with open(bench.path("pytest.ini"), "w", encoding="ascii") as file:
        file.write("[pytest]\n")
    theirs = [PYTHON, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    directory = bench.path("")
    ours, workers, one = side_by_side(
        5,
        lambda: bench.dtest("tests", "-j2", "--pytest", PYTHON, cwd=directory).seconds,
        lambda: bench.timed([*theirs, "-n2"], cwd=directory),
        lambda: bench.timed([*theirs, "-p", "no:xdist"], cwd=directory),
    )
    return [
        at_most("dtest / pytest-xdist -n 2", ours / workers, 0.5, f" ({ours:.2f} s, {workers:.2f} s)"),
        at_most("dtest / pytest in one process", ours / one, 0.75, f" ({one:.2f} s)"),
    ]
