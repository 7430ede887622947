#!/usr/bin/python3
"""./dev bench [ROW... | --page]: measures dtest beside what it is compared with, in one run; prints one table and
writes it, with the machine and the commands, to docs/benchmarks.md. Only rows that were run are renewed there;
`--page` writes the page again from the results.

measure.py says how rows measure, rows_*.py are the rows, benchmark_page.py writes the page. Rows that need hosts use
the farm of network namespaces (docs/farm.md).
"""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time

import benchmark_page
from measure import ROWS, Bench

import namespaces
import rows_database  # noqa: F401
import rows_farm  # noqa: F401
import rows_local  # noqa: F401
import rows_peers  # noqa: F401
import rows_pytest  # noqa: F401
import rows_ship  # noqa: F401

# Of the table.
ORDER = ["sleep-1000", "skewed", "tiny-2000", "tiny-100k", "spawn-4000", "ctest-tree", "first-result", "cold-start", "ship-cold",
         "ship-uplink", "ship-relink", "ship-same", "gtest-own", "simulated-farm", "many-hosts", "steal-latency",
         "py-tiny", "py-collect", "py-mixed", "py-hosts", "py-database", "py-memory", "py-cov",
         "py-peers"]


def run_row(name, output):
    """In a process of its own, as the farm's namespaces are entered for good. Writes the row's result as JSON."""
    if ROWS[name].farm:
        namespaces.enter()
    with tempfile.TemporaryDirectory(prefix="dtest-bench-") as scratch:
        bench = Bench(scratch)
        figures = ROWS[name].function(bench)
    with open(output, "w", encoding="utf-8") as file:
        json.dump({"figures": [dataclasses.asdict(figure) for figure in figures], "commands": bench.commands}, file)


def measure(name, commit):
    """The row's result, from a process of its own; where it could not be measured it says why."""
    load = f"{os.getloadavg()[0]:.1f}"
    begin = time.monotonic()
    with tempfile.NamedTemporaryFile(prefix="dtest-bench-", suffix=".json") as output:
        done = subprocess.run([sys.executable, "-B", os.path.abspath(__file__), "--row", name, output.name],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            result = json.load(open(output.name, encoding="utf-8"))
        else:
            sys.stderr.write(done.stdout)
            lines = done.stdout.strip().splitlines() or [f"exit status {done.returncode}"]
            result = {"figures": [], "commands": [], "why_not": "not measured: " + lines[-1].replace("SKIPPED: ", "")}
    result.update(date=datetime.date.today().isoformat(), commit=commit, load=load,
                  took=f"{time.monotonic() - begin:.0f} s")
    return result


def main(wanted):
    wanted = [name.replace("_", "-") for name in wanted]
    unknown = sorted(set(wanted) - set(ORDER))
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(ORDER)}")
    machine = benchmark_page.machine()
    results = benchmark_page.load()
    print(f"{machine['cores']} cores of {machine['CPU']}, {machine['kernel']}, commit {machine['commit']}\n")
    print(benchmark_page.HEAD, end="", flush=True)
    failed = False
    for name in [name for name in ORDER if name in wanted or not wanted]:
        result = measure(name, machine["commit"])
        failed |= not result["figures"]
        print(benchmark_page.table_lines(name, result), end="", flush=True)
        results["rows"][name] = result
        results["machine"] = machine
        benchmark_page.write(results)
    print(f"\nwritten to {os.path.relpath(benchmark_page.PAGE)}")
    return 1 if failed else 0


assert set(ORDER) == set(ROWS), set(ORDER) ^ set(ROWS)
ROWS.update({name: ROWS.pop(name) for name in ORDER})

if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        run_row(*sys.argv[2:])
    elif sys.argv[1:] == ["--page"]:
        benchmark_page.write(benchmark_page.load())
    else:
        sys.exit(main(sys.argv[1:]))
