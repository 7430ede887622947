"""docs/benchmarks.json, the results, and docs/benchmarks.md, which is made from them and from benchmark_notes.md (by
hand: what limits a row, and what was tried)."""

import json
import os
import re
import subprocess
import textwrap

from measure import HERE, ROOT, ROWS

RESULTS = os.path.join(ROOT, "docs", "benchmarks.json")
NOTES = os.path.join(HERE, "benchmark_notes.md")
PAGE = os.path.join(ROOT, "docs", "benchmarks.md")
HEAD = "| workload | | measured | to reach | met? |\n|---|---|---|---|---|\n"
MET = {True: "yes", False: "**no**", None: ""}


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True).stdout.strip()


def machine():
    """What the figures depend on, as (name, value)."""
    def first(path, pattern):
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
        return found[1].strip() if found else "?"
    kib = int(first("/proc/meminfo", r"^MemTotal:\s*(\d+)"))
    results = os.path.relpath(os.path.dirname(RESULTS), ROOT)
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{results}")
    return {
        "CPU": first("/proc/cpuinfo", r"^model name\s*:(.*)$"),
        "cores": str(os.cpu_count()),
        "memory": f"{kib / 2**20:.0f} GiB",
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "system": first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "compiler": subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout.split("\n")[0] + ", "
                    + first(os.path.join(ROOT, "build", "CMakeCache.txt"), r"^CMAKE_BUILD_TYPE:\w+=(.*)$"),
        "commit": git("rev-parse", "--short=12", "HEAD") + (" and changes that are not committed" if changed else ""),
    }


def load():
    try:
        with open(RESULTS, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {"rows": {}}


def table_lines(name, result):
    figures = result["figures"] or [{"what": "", "measured": result["why_not"], "reach": "", "met": None}]
    lines, shown = [], f"`{name}`"
    for figure in figures:
        cells = [shown, figure["what"], figure["measured"], figure["reach"], MET[figure["met"]]]
        lines.append(f"| {' | '.join(cells)} |\n")
        shown = ""
    return "".join(lines)


def notes():
    """Row -> what benchmark_notes.md says of it."""
    with open(NOTES, encoding="utf-8") as file:
        parts = re.split(r"^## (\S+)\n", file.read(), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2])}


def section(name, result):
    how = textwrap.fill(" ".join(ROWS[name].function.__doc__.split()), 118, break_long_words=False,
                        break_on_hyphens=False)
    commands = "".join(f"    {command}\n" for command in result["commands"])
    note = notes().get(name, "")
    return f"### {name}\n\n{how}\n" + (f"\n{commands}" if commands else "") + (f"\n{note}\n" if note else "") + "\n"


def write(results):
    with open(RESULTS + ".new", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.replace(RESULTS + ".new", RESULTS)
    rows = {name: results["rows"][name] for name in ROWS if name in results["rows"]}
    text = [f"""# Benchmarks

Written by `./dev bench`; do not edit. What a row is to reach was set before it was measured. Every row is measured in one run with what it is compared to, in turn; where several runs were
made, a time is the median of the better half of them. `./dev bench ROW...` renews only those rows.

{HEAD}{''.join(table_lines(name, result) for name, result in rows.items())}
## When and where

| | |
|---|---|
"""]
    text += [f"| {key} | {value} |\n" for key, value in results["machine"].items()]
    text.append("""
Load is what the machine's run queue averaged in the minute before the row began: the row measured before it, and
whatever else ran. With much more than the row before explains, others worked on the machine, and times are longer than
they need be.

| row | date | commit | load | took |
|---|---|---|---|---|
""")
    text += [f"| {name} | {result['date']} | {result['commit']} | {result['load']} | {result['took']} |\n"
             for name, result in rows.items()]
    text.append("""
## How each row is measured

In the commands, which start in the repository ($REPO), `$T` is the row's scratch directory, `$FARM` that of the farm
(docs/farm.md) and `$SHIP` is build/bench/ship. A row's dtest has a cache and a history of its own; runs that only warm
caches are not shown.

""")
    text += [section(name, result) for name, result in rows.items()]
    with open(PAGE + ".new", "w", encoding="utf-8") as file:
        file.write("".join(text).rstrip() + "\n")
    os.replace(PAGE + ".new", PAGE)
