"""What became of a test, from the reports that pytest makes of it."""

import io

from _pytest._io import TerminalWriter

PHASES = {"setup": "error in set-up", "call": "", "teardown": "error in tear-down"}
LONGEST_MESSAGE = 4000


class Outcome:
    """Collects the reports of one test; then says its outcome, message, output and warning as texts."""

    def __init__(self, root):
        self._root = root
        self._passed = False  # the test itself, less its set-up, tear-down and subtests
        self._failures = []  # (message, text of the traceback)
        self._skips = []
        self._expected = []  # it failed, as xfail says
        self._unexpected = []  # it passed, and xfail says that it fails
        self._reruns = 0
        self._sections = {}  # in their order, each once: later reports repeat those of earlier ones
        self.warnings = []
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self.properties = []

    def add(self, report):
        if not is_subtest(report):  # what it takes is of the call
            phase = report.when if report.when in PHASES else "call"
            self._seconds[phase] += getattr(report, "duration", 0.0)
        for title, content in getattr(report, "sections", ()):
            self._sections.setdefault((title, content))
        for pair in getattr(report, "user_properties", ()):
            if len(pair) == 2 and (str(pair[0]), str(pair[1])) not in self.properties:
                self.properties.append((str(pair[0]), str(pair[1])))
        reason = getattr(report, "wasxfail", None)
        if report.outcome in ("rerun", "retried"):
            self._reruns += 1
        elif report.failed:
            self._failures.append((message_of(report, self._root), longrepr_text(report)))
        elif report.skipped and reason is not None and not is_subtest(report):
            self._expected.append(reason)
        elif report.skipped and reason is not None:
            self._skips.append((part_of(report), ": ".join(filter(None, ("xfail", reason)))))
        elif report.skipped:
            self._skips.append((part_of(report), skip_of(report, self._root)))
        elif reason is not None:
            self._unexpected.append(reason)
        if report.passed and report.when == "call" and not is_subtest(report):
            self._passed = True

    def warn(self, category, message, path, line):
        self.warnings.append(f"{category}: {message} ({shown(path, self._root)}:{line})")

    def fail(self, message, text=""):
        self._failures.append((message, text))

    def skip(self, message):
        self._skips.append(("", message))

    def seconds(self):
        """In all; of set-up; of tear-down."""
        return sum(self._seconds.values()), self._seconds["setup"], self._seconds["teardown"]

    def fields(self):
        """outcome, message, output, warning."""
        warnings = list(self.warnings)
        outcome, message = "passed", ""
        if self._failures:
            outcome, message = "failed", "\n".join(message for message, _ in self._failures)
        elif self._expected:
            outcome, message = "skipped", ": ".join(("xfail", *filter(None, self._expected)))
        elif self._passed:
            warnings[:0] = [": ".join(filter(None, (f"{part} skipped".strip(), reason))) for part, reason in self._skips]
            if self._unexpected:
                warnings.insert(0, ": ".join(("passed, and xfail expects a failure", *filter(None, self._unexpected))))
        elif self._skips:
            outcome, message = "skipped", "; ".join(reason for _, reason in self._skips)
        else:
            outcome, message = "failed", "pytest told of no result"
        if self._reruns:
            warnings.insert(0, f"run again {self._reruns} times by pytest")
        return outcome, cut(message), self._output(), cut("; ".join(warnings))

    def _output(self):
        parts = [text for _, text in self._failures if text]
        parts += [f"{f' {title} ':-^80}\n{content}" for title, content in self._sections if content]
        return "\n".join(part.rstrip("\n") for part in parts) + ("\n" if parts else "")


def cut(text):
    more = len(text) - LONGEST_MESSAGE
    return text if more <= 0 else f"{text[:LONGEST_MESSAGE]}... ({more} more characters)"


def longrepr_text(report):
    """As `longreprtext`, less its stripping, which takes the first line's indentation."""
    if not hasattr(report.longrepr, "toterminal"):
        return str(report.longrepr or "")
    text = io.StringIO()
    writer = TerminalWriter(text)
    writer.hasmarkup = False
    report.longrepr.toterminal(writer)
    return text.getvalue().strip("\n")


def message_of(report, root):
    """Place and reason of a failure, one line or a few."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        text = f"{shown(crash.path, root)}:{crash.lineno}: {crash.message}"
    elif hasattr(report.longrepr, "errorstring"):  # of a fixture that is not there
        text = f"{shown(report.longrepr.filename, root)}:{report.longrepr.firstlineno + 1}: {reason_of(report.longrepr)}"
    elif getattr(report.longrepr, "reprlocation_lines", None):
        text = "\n".join(doctest_failure(*one, root) for one in report.longrepr.reprlocation_lines)
    else:
        lines = [line for line in longrepr_text(report).splitlines() if line.strip()]
        text = shown(lines[-1], root) if lines else "failed without a reason"
    if is_subtest(report):
        text = f"{subtest_of(report)}: {text}"
    phase = PHASES.get(report.when, "")
    return f"{phase}: {text}" if phase else text


def reason_of(lookup):
    """Without all the fixtures that there are."""
    return lookup.errorstring.strip().partition("\n")[0]


def doctest_failure(place, lines, root):
    """Its place, and what doctest says of it: of a difference what it expected and got, of an exception the last line."""
    lines = [line for line in lines if line.strip()]
    begin = next((i for i, line in enumerate(lines) if line.startswith(("Expected", "Differences"))), -1)
    return "\n".join((f"{shown(place.path, root)}:{place.lineno}: {place.message}", *lines[begin:]))


def is_subtest(report):
    return getattr(report, "context", None) is not None


def subtest_of(report):
    kwargs = getattr(report.context, "kwargs", None) or {}
    show = str if hasattr(report.context, "__post_init__") else repr  # with it pytest has made texts of them
    values = ", ".join(f"{name}={show(value)}" for name, value in kwargs.items())
    return " ".join(filter(None, ("subtest", getattr(report.context, "msg", None), values and f"({values})")))


def part_of(report):
    """Empty: the test itself."""
    if is_subtest(report):
        return subtest_of(report)
    return {"setup": "set-up", "teardown": "tear-down"}.get(report.when, "")


def shown(path, root):
    """As seen from the root, if it is below: hosts have the project in different places."""
    path = str(path)
    prefix = str(root).rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else path


def skip_of(report, root):
    """'reason (file:line)'."""
    if not isinstance(report.longrepr, tuple) or len(report.longrepr) != 3:
        return longrepr_text(report)
    path, line, reason = report.longrepr
    if reason.startswith("Skipped: "):
        reason = reason[len("Skipped: ") :]
    return f"{reason} ({shown(path, root)}:{line})"
