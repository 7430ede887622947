"""The plugin "terminalreporter", which others ask for and write through, without what it would say of each test."""

from _pytest import terminal


REPORTER = terminal.TerminalReporter


def silence():
    """Before anybody is configured."""
    silent = {name: None for name in dir(REPORTER) if name.startswith("pytest_")}  # no hooks
    terminal.TerminalReporter = type("TerminalReporter", (REPORTER,), silent)


def configured():
    """What tests run by pytest within this process is for them to see."""
    terminal.TerminalReporter = REPORTER
