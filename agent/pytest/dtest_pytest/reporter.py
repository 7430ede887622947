"""The plugin "terminalreporter", which others ask for and write through, without what it would say of each test."""

from _pytest import terminal


def silence():
    """Before anybody is configured."""
    silent = {name: None for name in dir(terminal.TerminalReporter) if name.startswith("pytest_")}  # no hooks
    terminal.TerminalReporter = type("TerminalReporter", (terminal.TerminalReporter,), silent)
