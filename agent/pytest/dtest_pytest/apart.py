"""A process of its own that collects a root for `dtest profile`, and what it imported for that.

What the profile shows stands as lines of JSON in files of the directory that DTEST_PYTEST_PROFILE names:

    {"root", "seconds", "status"}                   collected apart; with a status that is not 0 it failed
    {"root", "file", "seconds", "tests"}            a file or directory of that collection
    {"root", "module", "depth", "self", "cumulative"}  an import of that process; what it imported follows, one deeper. At
                                                    depth 0 stands what is no import: the place where those below it began
    {"root", "fixture", "scope", "where", "seconds"}  was made once, by a process that runs tests
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time

DIRECTORY = "DTEST_PYTEST_PROFILE"
FILE = "DTEST_PYTEST_PROFILE_APART"  # of the process that collects apart
BEFORE = "Python, pytest, its plugins and conftest.py"
MARK = "dtest: imports of "
LINE = re.compile(rf"import time:\s*(\d+) \|\s*(\d+) \| ( *)(.+)|{MARK}(.+)")
OWN = ("--serve=", "--list=", "--run=", "--coverage=")


def collect(start, arguments):
    """Of the processes of a root the first has it collected, with nothing in the way, before it goes on itself."""
    directory = os.environ[DIRECTORY]
    if FILE in os.environ:
        return
    root = os.path.abspath(next(value for value in arguments if value.startswith("--root="))[len("--root=") :])
    path = os.path.join(directory, hashlib.sha256(os.fsencode(root)).hexdigest()[:16])
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    told = path + ".jsonl"
    command = [sys.executable, "-X", "importtime", start, *(one for one in arguments if not one.startswith(OWN)),
               f"--list={path}.listing", "--coverage=no", "--arg=--capture=no"]
    with open(path, "wb") as errors:
        began = time.perf_counter()
        status = subprocess.run(command, env={**os.environ, FILE: told}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=errors, check=False).returncode
        seconds = time.perf_counter() - began
    with open(path, encoding="utf-8", errors="replace") as file:
        write(told, root, {"seconds": seconds, "status": status}, *imports_of(file))


def write(path, root, *rows):
    with open(path, "ab", buffering=0) as file:
        file.write(b"".join(json.dumps({"root": root, **row}).encode() + b"\n" for row in rows))


def mark(place):
    """From here on imports belong to this place."""
    os.write(2, f"\n{MARK}{json.dumps(place)}\n".encode())


def imports_of(lines):
    """Rows, the heaviest first, of what -X importtime prints: a module behind those that it imported, which are indented more."""
    places, place, waiting = {BEFORE: []}, BEFORE, {}  # waiting, by level: for the module that imported them
    for line in lines:
        found = LINE.search(line)
        if found is None:
            continue  # what tests and plugins print
        level = len(found[3] or "") // 2
        if found[5] is not None:
            place = json.loads(found[5])
            places.setdefault(place, [])
        elif level == 0:
            places[place].append(node_of(found, waiting.pop(1, [])))
        else:
            waiting.setdefault(level, []).append(node_of(found, waiting.pop(level + 1, [])))
    for place, nodes in places.items():
        if nodes:
            yield from rows_of((place, 0.0, sum(node[2] for node in nodes), nodes), 0)


def node_of(found, nodes):
    return found[4], int(found[1]) / 1e6, int(found[2]) / 1e6, nodes


def rows_of(node, depth):
    name, own, cumulative, nodes = node
    yield {"module": name, "depth": depth, "self": own, "cumulative": cumulative}
    for one in sorted(nodes, key=lambda node: -node[2]):
        yield from rows_of(one, depth + 1)
