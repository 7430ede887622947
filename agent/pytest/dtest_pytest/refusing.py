"""What pytest would do and a run of dtest does not: options that were typed for it, and hooks that run tests in their own way.

Those of `addopts` are the project's for its runs without dtest, and mean nothing here (docs/pytest.md).
"""

import pytest

from . import neighbours, outcome

CASES = "dtest list PATH shows the cases"
HISTORY = "dtest's own, by the history of all hosts, stands before --"
ALONE = "only pytest itself does that"
# By the name of an option in config.option: as it is typed, what a person can do.
OPTIONS = {
    "collectonly": ("--collect-only", CASES),
    "maxfail": ("-x or --maxfail", "dtest's own, which counts over all processes and hosts, stands before --"),
    "lf": ("--lf", HISTORY),
    "failedfirst": ("--ff", HISTORY),
    "newfirst": ("--nf", HISTORY),
    "stepwise": ("--sw", HISTORY),
    "stepwise_skip": ("--sw-skip", HISTORY),
    "stepwise_reset": ("--sw-reset", HISTORY),
    "usepdb": ("--pdb", "tests have no terminal; " + ALONE),
    "trace": ("--trace", "tests have no terminal; " + ALONE),
    "basetemp": ("--basetemp", "each worker has a directory of its own"),
    "rootdir": ("--rootdir", "dtest's own stands before --"),
    "durations": ("--durations", "dtest's own stands before --"),
    "version": ("--version", ALONE),
    "help": ("--help", ALONE),
    "showfixtures": ("--fixtures", ALONE),
    "show_fixtures_per_test": ("--fixtures-per-test", ALONE),
    "markers": ("--markers", ALONE),
    "cacheshow": ("--cache-show", ALONE),
    "setupplan": ("--setup-plan", "it runs no test; " + ALONE),
    "setuponly": ("--setup-only", "it runs no test; " + ALONE),
    "pastebin": ("--pastebin", ALONE),
    "debug": ("--debug", "it writes into the project; " + ALONE),
    "looponfail": ("--looponfail", ALONE),
}
# Those that end pytest while it reads its command line.
AT_ONCE = {"--version": "version", "-V": "version", "--help": "help", "-h": "help"}
RUNS_TESTS = "pytest_runtestloop"


class Refusing:
    """A plugin of pytest. `typed`: arguments that somebody has typed for this run."""

    def __init__(self, typed, root):
        self._typed = typed
        self._root = root

    def before_parsing(self):
        """Why pytest is not to be asked; empty: it is."""
        for argument in self._typed:
            if argument in AT_ONCE:
                return why_not(AT_ONCE[argument])
        return ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config):
        before = config._parser.parse_known_args([])
        typed = config._parser.parse_known_args(list(self._typed))
        for name in OPTIONS:
            given = getattr(typed, name, None)
            if given and given != getattr(before, name, None):
                raise pytest.UsageError(why_not(name))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self, session):
        """When all conftests are known."""
        yield
        for implementation in session.config.hook.pytest_runtestloop.get_hookimpls():
            function = getattr(implementation.function, "__func__", implementation.function)
            package = function.__module__.partition(".")[0]
            if not wraps(implementation) and package not in neighbours.OWN:
                code = getattr(function, "__code__", None)
                place = f"{outcome.shown(code.co_filename, self._root)}:{code.co_firstlineno}" if code else package
                raise pytest.UsageError(f"dtest: {place}: {RUNS_TESTS} runs the tests in its own way: dtest runs them one by "
                                        "one, in an order of its own, and would not call it (one that wraps is called)")


def wraps(implementation):
    return implementation.hookwrapper or getattr(implementation, "wrapper", False)


def why_not(name):
    option, instead = OPTIONS[name]
    return f"dtest: {option} was given to pytest, and is not heeded by dtest: {instead}"
