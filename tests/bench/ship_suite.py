"""A suite to be shipped: 40 GoogleTest executables with debug information, about 500 MB, made once under build/.

They are what a C++ project's tests look like to a shipper: real code and real DWARF from generated sources full of
templates, in 13 static components. Every executable links its own eight cases, the component `core`, two others of
twelve, and GoogleTest. `version` 1 is the suite; the others are it after one source file was changed and what links it
was linked again:

    constant    a number in a function of component 7 became another one
    function    a function of component 7 got a few statements more, so that what stands behind it moved
"""

import itertools
import os
import subprocess

from measure import BUILD

EXECUTABLES, COMPONENTS, CASES = 40, 12, 8
CHANGED = 7
VERSIONS = ("1", "constant", "function")
ROOT = os.path.join(BUILD, "bench", "ship")
HEADERS = ("algorithm", "deque", "functional", "map", "memory", "set", "string", "tuple", "unordered_map", "variant",
           "vector")

RECORD = """
struct Record@ {
  int id = @;
  double weight = @.5;
  std::string name;
  std::vector<int> parts;
  bool operator<(const Record@& other) const { return std::tie(id, name) < std::tie(other.id, other.name); }
};

int Work@(int seed) {
  std::map<int, Record@> by_id;
  std::unordered_map<std::string, std::shared_ptr<Record@>> by_name;
  std::set<Record@> sorted;
  std::deque<std::variant<int, Record@, std::string>> queue;
  for (int j = 0; j < 8; ++j) {
    Record@ record;
    record.id = seed * (@ + 3) + j * STEP;
    record.name = "record @ of COMPONENT, " + std::to_string(record.id);
    record.parts.assign(j + 1, record.id);
    by_id.emplace(record.id, record);
    by_name[record.name] = std::make_shared<Record@>(record);
    sorted.insert(record);
    queue.emplace_back(std::move(record));
    queue.emplace_back(j);
  }
  std::vector<Record@> all(sorted.begin(), sorted.end());
  std::stable_sort(all.begin(), all.end(), [](const Record@& a, const Record@& b) { return b.weight < a.weight; });
  std::function<int(const Record@&)> size = [seed](const Record@& r) { return seed + \
static_cast<int>(r.parts.size()); };
  int sum = 0;
  for (const Record@& record : all) sum += size(record);
  for (const auto& entry : queue) sum += std::visit([](const auto& v) { return static_cast<int>(sizeof v); }, entry);
  return sum + static_cast<int>(by_id.size() + by_name.size());
}
"""
MORE = """  for (int j = 0; j < seed; ++j) {
    if (by_id.count(j) != 0) sum += static_cast<int>(by_id[j].name.size());
  }
"""


def component(name, records, step, version="1"):
    text = "".join(f"#include <{header}>\n" for header in HEADERS) + f"\nnamespace {name} {{\n"
    for number in range(records):
        record = RECORD.replace("STEP", str(step)).replace("COMPONENT", name)
        if number == 1 and version == "constant":
            record = record.replace("j < 8", "j < 9", 1)
        if number == 1 and version == "function":
            record = record.replace("  int sum = 0;\n", "  int sum = 0;\n" + MORE)
        text += record.replace("@", str(number))
    calls = " + ".join(f"Work{number}(seed)" for number in range(records))
    return text + f"\nint Work(int seed) {{ return {calls}; }}\n\n}}  // namespace {name}\n"


def own_cases(number, parts):
    text = "#include <gtest/gtest.h>\n\n"
    text += "".join(f"namespace {part} {{ int Work(int seed); }}\n" for part in parts)
    for case in range(CASES):
        part = parts[case % len(parts)]
        text += f"\nTEST(Suite{number}, Case{case}) {{ EXPECT_GT({part}::Work({number + case + 1}), 0); }}\n"
    return text


def parts_of(number):
    """Components that executable `number` links, in the order of the link."""
    pairs = list(itertools.combinations(range(COMPONENTS), 2))
    return [f"part{part}" for part in pairs[number * 5 % len(pairs)]] + ["core"]


def executable_names(version="1"):
    """All of them, or those that are different in another version."""
    return [f"suite{number:02}_test" for number in range(EXECUTABLES)
            if version == "1" or f"part{CHANGED}" in parts_of(number)]


def path(version, name):
    """An executable of a version; one that did not change is that of version 1."""
    return os.path.join(ROOT, f"bin-{version if name in executable_names(version) else '1'}", name)


def write_if_new(name, text):
    target = os.path.join(ROOT, name)
    if os.path.exists(target):
        with open(target, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)


def make():
    """Generates and builds what is missing. Several minutes of processor time at the first time."""
    os.makedirs(ROOT, exist_ok=True)
    rules = ["rule cc\n  command = c++ -std=c++17 -g -O0$flags -c $in -o $out\n",
             "rule link\n  command = c++ $in -lgtest_main -lgtest -pthread -o $out\n"]

    def source(name, text, version="1"):
        """Another version of a source file is of the same name, also in the debug information."""
        directory = "" if version == "1" else f"{version}/"
        os.makedirs(os.path.join(ROOT, directory), exist_ok=True)
        write_if_new(f"{directory}{name}.cc", text)
        rules.append(f"build {directory}{name}.o: cc {directory}{name}.cc\n")
        if directory:
            rules.append(f"  flags = $ -ffile-prefix-map={directory}=\n")

    source("core", component("core", 9, 1))
    for number in range(COMPONENTS):
        source(f"part{number}", component(f"part{number}", 5, number + 2))
    for version in VERSIONS[1:]:
        source(f"part{CHANGED}", component(f"part{CHANGED}", 5, CHANGED + 2, version), version)
    for number, name in enumerate(executable_names()):
        source(name, own_cases(number, parts_of(number)))
    for version in VERSIONS:
        for number, name in enumerate(executable_names()):
            if name not in executable_names(version):
                continue
            objects = [f"{version}/{part}.o" if version != "1" and part == f"part{CHANGED}" else f"{part}.o"
                       for part in parts_of(number)]
            rules.append(f"build bin-{version}/{name}: link {name}.o {' '.join(objects)}\n")
    write_if_new("build.ninja", "".join(rules))
    done = subprocess.run(["ninja", "-C", ROOT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the suite to be shipped does not build:\n{done.stdout[-4000:]}")


if __name__ == "__main__":
    make()
