"""The plugin "terminalreporter", which others ask for and write through, without what it would say of each test."""

from _pytest import terminal

ORIGINAL = terminal.TerminalReporter


def silence():
    """Before anybody is configured."""
    silent = {name: None for name in dir(ORIGINAL) if name.startswith("pytest_")}  # no hooks
    terminal.TerminalReporter = type("TerminalReporter", (ORIGINAL,), silent)


def restore():
    """Once there is one: a test may run pytest within this process, which is to say all."""
    terminal.TerminalReporter = ORIGINAL
