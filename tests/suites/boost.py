"""Suites of Boost.Test programs: dtest gives the verdicts of each program's own report, case by case.

    DTEST_BINARY=build/dtest /usr/bin/python3 -B tests/suites/boost.py DIRECTORY

Each program in the directory is run by itself, as often as it takes to get a report of all its cases, and dtest runs all of them,
in batches and one case a process. Differences are printed, and fail it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
LIMIT = 600  # seconds


def own_verdicts(program, report):
    """By full name, what the program's own report says of each case that it tells of; None if it writes none that can be
    read: tests of Boost.Test itself write more than one."""
    with open(report, "wb"):
        pass
    subprocess.run([program, "--report_level=detailed", "--report_format=XML", f"--report_sink={report}", "--log_level=nothing",
                    "--color_output=no"], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=LIMIT, cwd=os.path.dirname(program))
    with open(report, encoding="latin-1") as file:
        text = file.read()
    try:
        module = xml.etree.ElementTree.fromstring(text)[0]
    except xml.etree.ElementTree.ParseError:
        return None
    verdicts = {}

    def read(unit, path):
        for child in unit:
            name = path + [child.get("name")]
            if child.tag == "TestSuite":
                read(child, name)
            else:
                verdicts["/".join(name)] = {PASSED: PASSED, SKIPPED: SKIPPED}.get(child.get("result"), FAILED)

    read(module, [])
    return verdicts


def dtest_verdicts(directory, scratch, processes):
    """By program and full name, and the seconds it took."""
    log = os.path.join(scratch, f"{processes}.jsonl")
    begun = time.monotonic()
    subprocess.run([os.environ["DTEST_BINARY"], directory, "--processes", processes, "--events", log, "--state-dir",
                    os.path.join(scratch, processes), "--cache-dir", os.path.join(scratch, "cache"), "--allow-unrunnable"],
                   check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory)
    seconds = time.monotonic() - begun
    verdicts = {}
    with open(log, encoding="utf-8") as file:
        for event in map(json.loads, file):
            if event["event"] == "case_ended" and event["final"]:
                verdicts[os.path.basename(event["executable"]), event["name"]] = event["outcome"]
    return verdicts, seconds


def main():
    directory = os.path.abspath(sys.argv[1])
    programs = sorted(name for name in os.listdir(directory) if os.access(os.path.join(directory, name), os.X_OK))
    with tempfile.TemporaryDirectory() as scratch:
        own, unreported = {}, []
        begun = time.monotonic()
        for program in programs:
            verdicts = own_verdicts(os.path.join(directory, program), os.path.join(scratch, "own.xml"))
            if verdicts is None:
                unreported.append(program)
            own.update({(program, name): verdict for name, verdict in (verdicts or {}).items()})
        seconds = time.monotonic() - begun
        print(f"{len(programs)} programs, {len(own)} cases by themselves in {seconds:.1f} s, one after the other: "
              f"{sum(verdict == FAILED for verdict in own.values())} failed, "
              f"{sum(verdict == SKIPPED for verdict in own.values())} skipped")
        if unreported:
            print("without a report that can be read: " + ", ".join(unreported))
        differences = 0
        for processes in ("batch", "case"):
            ours, seconds = dtest_verdicts(directory, scratch, processes)
            different = [key for key, verdict in own.items() if ours.get(key) != verdict]
            more = [key for key, outcome in ours.items() if key not in own and outcome != SKIPPED]
            print(f"dtest --processes {processes}: {len(ours)} cases in {seconds:.1f} s, {len(different)} differ, "
                  f"{len(more)} ran of which the program's own report says nothing")
            for key in different:
                print(f"  {'/'.join(key)}: {own[key]}, with dtest {ours.get(key, 'nothing')}")
            for key in more:
                print(f"  {'/'.join(key)}: with dtest {ours[key]}")
            differences += len(different)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
