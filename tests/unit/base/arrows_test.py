"""The rooms of the code include each other in one direction only: what RULES does not name is not allowed.

A rule says what a room may include beside itself. A room names only rooms that stand before it in the table, so there
can be no ring.

Run with the root of the source tree as the only argument; each include that breaks a rule is printed as FILE:LINE.
"""

import pathlib
import re
import sys
import tempfile
import unittest

COMMON = ["include/dtest", "include/dtest/base", "protocol"]
COORDINATOR = "coordinator/"
RULES = {
    # room (a directory, or a header in it that stands alone): what it may include
    "include/dtest": [],
    "include/dtest/base": ["include/dtest"],
    "protocol": ["include/dtest", "include/dtest/base"],
    "coordinator/event": COMMON,
    "coordinator/filter": COMMON,
    "coordinator/inventory": COMMON,
    "coordinator/bundle": COMMON,
    "coordinator/launch": COMMON + ["coordinator/inventory"],
    "coordinator/schedule": COMMON + ["coordinator/event"],
    "coordinator/history": COMMON + ["coordinator/event"],
    "coordinator/report": COMMON + ["coordinator/event"],
    "coordinator/coverage": COMMON + [COORDINATOR + room for room in ["event", "inventory", "launch", "report"]],
    "coordinator/controller": COMMON + [COORDINATOR + room for room in ["event", "inventory", "launch", "report"]],
    "coordinator/settings": COMMON + ["coordinator/filter", "coordinator/schedule"],
    "coordinator/run": COMMON + [COORDINATOR + room for room in
                                 ["event", "filter", "inventory", "bundle", "launch", "schedule", "history",
                                  "report", "settings"]],
    "coordinator/cli": COMMON + [COORDINATOR + room for room in
                                 ["event", "filter", "inventory", "bundle", "launch", "schedule", "history", "report",
                                  "coverage", "controller", "run", "settings"]],
    "coordinator": COMMON + ["coordinator/cli"],
    "agent/log.h": COMMON,
    # What the core knows of frameworks: values, and what sanitizers say in any of them.
    "agent/frameworks/capture.h": COMMON,
    "agent/frameworks/process_end.h": COMMON,
    "agent/frameworks/sanitizer.h": COMMON,
    "agent/frameworks": COMMON + ["agent/frameworks/capture.h", "agent/frameworks/process_end.h",
                                  "agent/frameworks/sanitizer.h"],
    "agent/core": COMMON + ["agent/frameworks/capture.h", "agent/frameworks/process_end.h",
                            "agent/frameworks/sanitizer.h"],
    # What fetches waits as the loop does.
    "agent/loop/poller.h": COMMON,
    "agent/store": COMMON,
    "agent/execute": COMMON + ["agent/store"],
    "agent/fetch": COMMON + ["agent/log.h", "agent/core", "agent/store", "agent/execute", "agent/loop/poller.h"],
    "agent/loop": COMMON + ["agent/log.h", "agent/core", "agent/frameworks", "agent/frameworks/capture.h", "agent/store",
                            "agent/execute", "agent/fetch", "agent/loop/poller.h"],
    "agent/package": [],
    "agent": COMMON + ["agent/log.h", "agent/execute", "agent/loop"],
}
ROOTS = ["include", "protocol", "coordinator", "agent"]
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')
OURS = re.compile("(dtest|protocol|coordinator|agent)/")


def room_of(path):
    """The room of a header or source, None if it is in none. `path` is relative to the source tree."""
    if path in RULES:
        return path
    header = str(pathlib.PurePath(path).with_suffix(".h"))
    if header in RULES:  # the source of a header that stands alone
        return header
    directory = str(pathlib.PurePath(path).parent)
    return directory if directory in RULES else None


def path_of(included):
    """Where an include of ours lies in the tree."""
    return "include/" + included if included.startswith("dtest/") else included


def broken_arrows(root):
    """FILE:LINE and what is wrong there, for every include of the tree that no rule allows."""
    wrong = []
    sources = sorted(path for top in ROOTS for path in (root / top).rglob("*") if path.suffix in (".h", ".cc"))
    for source in sources:
        path = source.relative_to(root).as_posix()
        room = room_of(path)
        if room is None:
            wrong.append(f"{path}:1: in no room: give its directory a row in {pathlib.Path(__file__).name}")
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if found is None or not OURS.match(found.group(1)):
                continue
            target = room_of(path_of(found.group(1)))
            if target != room and target not in RULES[room]:
                wrong.append(f"{path}:{number}: {room} may not include {found.group(1)}")
    return wrong


class ArrowsTest(unittest.TestCase):
    root = None

    def test_no_rule_names_a_later_room(self):
        seen = set()
        for room, allowed in RULES.items():
            self.assertLessEqual(set(allowed), seen, f"{room} names what stands below it")
            seen.add(room)

    def test_every_include_follows_an_arrow(self):
        wrong = broken_arrows(self.root)
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_a_turned_arrow_is_seen(self):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in {
                "coordinator/schedule/a.h": '#include "coordinator/event/sink.h"\n\n#include "coordinator/run/run_loop.h"\n',
                "protocol/b.cc": '#include <string>\n#include "dtest/ids.h"\n#include "agent/core/agent.h"\n',
                "agent/frameworks/c.cc": '#include "agent/frameworks/capture.h"\n#  include "agent/execute/process.h"\n',
                "agent/frameworks/capture.cc": '#include "agent/frameworks/capture.h"\n#include "agent/execute/process.h"\n',
                "coordinator/attic/d.h": "",
            }.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            self.assertEqual([line.split(": ")[0] for line in broken_arrows(root)],
                             ["agent/frameworks/c.cc:2", "agent/frameworks/capture.cc:2", "coordinator/attic/d.h:1",
                              "coordinator/schedule/a.h:3", "protocol/b.cc:3"])


if __name__ == "__main__":
    ArrowsTest.root = pathlib.Path(sys.argv.pop(1))
    unittest.main()
