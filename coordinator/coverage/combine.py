"""Makes one of what all processes of a run have covered, with the coverage.py of the project, and reports it.

The coordinator (collector.h) starts it in the directory that the run was started in. In a directory of its own is what
processes have told (agent/pytest/dtest_pytest/measuring.py), a file each, UNIT-NUMBER: two fields, each its length, a
colon, its bytes and a comma. The first is JSON, the second what CoverageData.dumps made. Python 3.8 and later, coverage.py
5.0 and later.

    --told=DIR         that directory; anything else in it may be written
    --root=UNIT=DIR    of the unit's project, here. Repeatable
    --output=DIR       of the reports of --coverage; without it only those that the project asks for (--cov)
    --failed=yes       the run has failed
    --result=FILE      where to write what came of it: JSON

Paths below a host's root become those below the root here. Then the project's own configuration is at work as where
one process has measured: [paths], [report], fail_under.
"""

import collections
import glob
import hashlib
import inspect
import io
import json
import os
import shutil
import sys
import warnings

MOST_NAMED = 5


class Asked:
    def __init__(self, arguments):
        self.told = self.output = self.failed = self.result = ""
        self.roots = {}
        for argument in arguments:
            name, _, value = argument.partition("=")
            if name == "--root":
                unit, _, root = value.partition("=")
                self.roots[unit] = os.path.realpath(root)
            elif name in ("--told", "--output", "--failed", "--result"):
                setattr(self, name[2:], value)
            else:
                raise ValueError(f"dtest started combine.py with {argument!r}, which it does not know")


class Told:
    """One process."""

    def __init__(self, unit, about, data):
        self.unit, self.about, self.data = unit, about, data


def read(directory):
    """By units, so that whose options count is no matter of chance; of each in the order in which they came."""
    names = [name for name in os.listdir(directory) if name.replace("-", "").isdigit()]
    for name in sorted(names, key=lambda name: tuple(map(int, name.split("-")))):
        with open(os.path.join(directory, name), "rb") as file:
            about, data = fields_of(file.read())
        yield Told(name.partition("-")[0], json.loads(about), data)


def fields_of(record):
    fields, at = [], 0
    while at < len(record):
        colon = record.index(b":", at)
        end = colon + 1 + int(record[at:colon])
        fields.append(record[colon + 1 : end])
        at = end + 1
    return fields


class Nothing(Exception):
    """There is nothing to report."""


class Combination:
    def __init__(self, asked, coverage):
        self._asked, self._coverage = asked, coverage
        self._in_memory = adds_in_memory(coverage)
        self._here = os.path.realpath(os.getcwd())
        self._moved = {}  # directories of hosts: where they are here
        self._project = self._root = None  # options of pytest-cov; the root whose configuration counts
        self._required = []  # of each unit
        self._local = set()  # files of which processes on this machine have told, and reports of earlier runs
        self._of_hosts = collections.defaultdict(set)  # host -> files
        self._sources = {}  # (host, source): what the host has told of it
        self._added, self._left_out = set(), {}  # units; of those that could not be added: why
        self.warnings, self.missing = [], []

    def run(self):
        """What to tell of it."""
        rcfiles = {}  # host -> its COVERAGE_RCFILE
        merged = self._merge(rcfiles)
        self._tell_of_hosts(rcfiles)
        if self._root is not None:
            os.chdir(self._root)  # what the configuration says is relative to it
        text, measured, total = io.StringIO(), None, None
        if self._asked.output:
            measured, total = self._write_all(merged)
        project = self._project
        if project is not None and not (self._asked.failed and project["no_cov_on_fail"]):
            measured = self._of_project(merged)
            total = self._write_reports(measured, project["report"], text)
        return {"percent": total, "text": text.getvalue(), **self._judge(measured, total)}

    # ---- One of all

    def _merge(self, rcfiles):
        """The path of the file that has it all, with paths as they are here."""
        lost, problems, seen = collections.Counter(), collections.Counter(), set()
        for told in read(self._asked.told):
            if not told.about.get("lost"):
                problems.update(told.about["problems"])
                self._learn(told, rcfiles)
        merged = self._new_data("merging")
        mapped = self._mapping()
        for told in read(self._asked.told):
            reason = told.about.get("lost") or self._add(merged, told, mapped, seen)
            if reason:
                lost[reason] += 1
        for reason, count in lost.items():
            self.warnings.append(f"coverage of {count} {'process' if count == 1 else 'processes'} is missing: {reason}")
        for problem, count in problems.items():
            self.warnings.append(f"coverage{f' ({count} times)' if count > 1 else ''}: {problem}")
        if not seen:
            raise Nothing("no process has told what it covers")
        path = os.path.join(self._asked.told, "merged")
        data = self._coverage.CoverageData(basename=path)
        data.loads(merged.dumps())
        close(data)
        return path

    def _new_data(self, name):
        """In memory, where that works: on disk it takes three times as long."""
        if self._in_memory:
            return self._coverage.CoverageData(no_disk=True)
        path = os.path.join(self._asked.told, name)
        if os.path.exists(path):
            os.remove(path)
        return self._coverage.CoverageData(basename=path)

    def _add(self, merged, told, mapped, seen):
        """Returns why not; empty: it is in there."""
        digest = hashlib.sha256(told.data).digest()
        if digest in seen:
            self._added.add(told.unit)
            return ""
        try:
            part = self._new_data("part")
            part.loads(told.data)
            merged.update(part, **mapped)
            files = part.measured_files()
            close(part)
        except Exception as error:
            reason = (f"coverage.py {self._coverage.__version__} here cannot add what {told.about['coverage']} of "
                      f"{told.about['host']} has measured: {error}")
            self._left_out.setdefault(told.unit, reason)
            return reason
        if self._of_a_host(told):
            self._of_hosts[told.about["host"]].update(files)
        else:
            self._local.update(files)
        seen.add(digest)
        self._added.add(told.unit)
        return ""

    def _of_a_host(self, told):
        """On this machine tests run in the project itself."""
        return told.about["root"] != self._asked.roots.get(told.unit, self._here)

    def _mapping(self):
        """How paths of hosts become those here, as an argument of CoverageData.update."""
        from coverage import files

        aliases = files.PathAliases()
        for there, here in sorted(self._moved.items(), key=lambda pair: -len(pair[0])):
            aliases.add(glob.escape(there), here)
        if "aliases" in inspect.signature(self._coverage.CoverageData.update).parameters:
            return {"aliases": aliases}
        return {"map_path": aliases.map}

    def _learn(self, told, rcfiles):
        root = self._asked.roots.get(told.unit, self._here)
        for there, here in ((told.about["root"], root), (told.about["directory"], self._here)):
            if there != here:
                self._moved[there] = here
        if self._project is None:
            self._project = told.about["project"]
        if self._root is None and told.about["in_root"]:
            self._root = root
        if told.about["required"] not in self._required:
            self._required.append(told.about["required"])
        if self._of_a_host(told):
            rcfiles[told.about["host"]] = told.about["rcfile"]
            for source in told.about["sources"]:
                self._sources[told.about["host"], source[0]] = source

    def _tell_of_hosts(self, rcfiles):
        """Of what is measured otherwise there than here."""
        for (host, source), (_, real, exists) in sorted(self._sources.items()):
            if not exists:
                what = "does not exist there"
            elif not any(file == real or file.startswith(f"{real.rstrip('/')}/") for file in self._of_hosts[host]):
                what = "has nothing that was measured there"
            else:
                continue
            self.warnings.append(f"coverage on {host}: {source}, which --cov or `source` of the configuration names, {what}; "
                                 "name it from the project's directory, which is elsewhere on a host")
        here = os.environ.get("COVERAGE_RCFILE", "")
        hosts = sorted(host for host, there in rcfiles.items() if here or there)
        if hosts:
            self.warnings.append(f"COVERAGE_RCFILE is {here or 'not set'} here and {rcfiles[hosts[0]] or 'not set'} on "
                                 f"{some(hosts)}: what is measured there may be something else than what is reported here; "
                                 "a configuration within the project (.coveragerc) is the same on all")

    def _tell_missing(self, measured):
        """What only hosts have is in no report."""
        files = measured.get_data().measured_files()  # after [paths] of the configuration
        missing = sorted(path for path in files if path not in self._local and not os.path.exists(path))
        self.missing = missing if self._of_hosts else []

    # ---- Reports

    def _take(self, measured, merged):
        copy = os.path.join(self._asked.told, "copy")
        shutil.copyfile(merged, copy)
        measured.combine([copy])  # which removes it
        measured.save()

    def _configuration(self):
        if self._project is None:
            return {}
        return {name: self._project[key] for name, key in
                (("source", "source"), ("branch", "branch"), ("config_file", "config"))}

    def _write_all(self, merged):
        """For --coverage. What an earlier run has left there goes only when all of this one is written."""
        measured = self._coverage.Coverage(data_file=os.path.join(self._asked.told, ".coverage"), **self._configuration())
        self._take(measured, merged)
        self._tell_missing(measured)
        measured.xml_report(outfile=os.path.join(self._asked.told, "coverage.xml"), ignore_errors=True)
        if hasattr(measured, "lcov_report"):
            measured.lcov_report(outfile=os.path.join(self._asked.told, "coverage.lcov"), ignore_errors=True)
        else:
            self.warnings.append(f"coverage.py {self._coverage.__version__} writes no lcov: 6.3 does")
        total = measured.report(file=io.StringIO(), ignore_errors=True)
        os.makedirs(self._asked.output, exist_ok=True)
        for name in (".coverage", "coverage.xml", "coverage.lcov"):
            source, target = os.path.join(self._asked.told, name), os.path.join(self._asked.output, name)
            if os.path.exists(source):
                shutil.copyfile(source, f"{target}.new")
                os.replace(f"{target}.new", target)
            elif os.path.exists(target):
                os.remove(target)
        return measured, total

    def _of_project(self, merged):
        """As pytest-cov leaves it."""
        measured = self._coverage.Coverage(**self._configuration())
        if self._project["append"]:
            measured.load()
            self._local.update(measured.get_data().measured_files())
        else:
            measured.erase()
        self._take(measured, merged)
        self._tell_missing(measured)
        return measured

    def _write_reports(self, measured, wanted, text):
        if "term" in wanted or "term-missing" in wanted:
            skip = "skip-covered" in wanted.values()
            measured.report(show_missing="term-missing" in wanted or None, ignore_errors=True, file=text,
                            skip_covered=skip or None)
        for kind, write, fallback in (
            ("annotate", lambda to: measured.annotate(directory=to, ignore_errors=True), "beside its source"),
            ("html", lambda to: measured.html_report(directory=to, ignore_errors=True), measured.get_option("html:directory")),
            ("xml", lambda to: measured.xml_report(outfile=to, ignore_errors=True), measured.get_option("xml:output")),
            ("json", lambda to: measured.json_report(outfile=to, ignore_errors=True), "coverage.json"),
            ("lcov", lambda to: measured.lcov_report(outfile=to, ignore_errors=True), "coverage.lcov"),
        ):
            if kind in wanted:
                write(wanted[kind])
                text.write(f"coverage as {kind}: {wanted[kind] or fallback}\n")
        for kind, mode in (("markdown", "w"), ("markdown-append", "a")):
            if kind in wanted:
                path = wanted[kind] or "coverage.md"
                with open(path, mode, encoding="utf-8") as file:
                    measured.report(file=file, output_format="markdown", ignore_errors=True)
                text.write(f"coverage as markdown: {path}\n")
        return measured.report(file=io.StringIO(), ignore_errors=True)

    def _judge(self, measured, total):
        """The strictest of all units counts."""
        if measured is None:
            return {"required": 0, "missed": False}
        judged = [(self._misses(total, **required), required["required"]) for required in self._required]
        missed, required = max(judged)
        left_out = {unit: why for unit, why in self._left_out.items() if unit not in self._added}
        if required and left_out:
            raise Nothing(f"at least {required:g} % are required, and what {len(left_out)} of the roots covers could not be "
                          f"added: {next(iter(left_out.values()))}; test these roots one by one")
        return {"required": required, "missed": missed}

    def _misses(self, total, required, precision, exact):
        if exact:
            return total < required
        from coverage import results

        return bool(results.should_fail_under(total, required, precision))


def some(names):
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def adds_in_memory(coverage):
    """coverage.py 7.10 does so once, and does not let go of what it has added."""
    merged = coverage.CoverageData(no_disk=True)
    try:
        for number in range(2):
            part = coverage.CoverageData(no_disk=True)
            part.add_lines({f"file {number}": [1]})
            merged.update(part)
            close(part)
        close(merged)
    except Exception:
        return False
    return True


def close(data):
    if hasattr(data, "close"):  # as newer ones want it
        data.close()


def outcome(asked):
    try:
        import coverage
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        return {"error": f"{sys.executable} (Python {version}) of this machine cannot import coverage, which combines what "
                         f"was measured: {error}; --pytest names another"}
    startup = getattr(coverage.process_startup, "coverage", None)
    if startup is not None:  # COVERAGE_PROCESS_START is for tests
        startup.stop()
        startup._auto_save = False
    combination = Combination(asked, coverage)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            told = combination.run()
        except Exception as error:  # of coverage.py, of disks
            told = {"error": f"{error}" if isinstance(error, Nothing) else f"{type(error).__name__}: {error}"}
    if combination.missing and "No data" in told.get("error", ""):
        told["error"] += f" Measured were only files of hosts that are not here: {some(combination.missing)}"
    elif combination.missing:
        combination.warnings.append("coverage of files that are on a host and not here is in no report: "
                                    f"{some(combination.missing)}")
    return {**told, "warnings": combination.warnings + of_coverage(caught, combination.missing)}


def of_coverage(caught, missing):
    """What coverage.py itself has warned of, but for what is told already: each once, and not all of many."""
    said = list(dict.fromkeys(str(warning.message) for warning in caught
                              if warning.category.__name__ == "CoverageWarning"
                              and not any(path in str(warning.message) for path in missing)))
    if len(said) > MOST_NAMED:
        said[MOST_NAMED:] = [f"{len(said) - MOST_NAMED} more of these"]
    return [f"coverage.py: {line}" for line in said]


def main(arguments):
    asked = Asked(arguments)
    with open(asked.result, "w", encoding="utf-8") as file:
        json.dump(outcome(asked), file)


if __name__ == "__main__":
    main(sys.argv[1:])
