"""What follows the last test of a batch, which is known only when that test's tear-down begins."""

from _pytest import runner


class Later:
    """In place of the next item. The hooks of the tear-down get what it stands for (see resolve_in_tear_down); what
    looks at it before has it found out then."""

    def __init__(self, find):
        self._find = find
        self._item = None

    def item(self):
        if self._find is not None:
            find, self._find = self._find, None
            self._item = find()
        return self._item

    def __bool__(self):
        return self.item() is not None

    def __getattr__(self, name):
        return getattr(self.item(), name)


def resolve_in_tear_down():
    """pytest decides by the next item what to tear down, and so do plugins, which ask whether it is None."""
    call_and_report = getattr(runner, "call_and_report", None)
    if call_and_report is None:
        return

    def resolving(item, when, log=True, **arguments):
        if isinstance(arguments.get("nextitem"), Later):
            arguments["nextitem"] = arguments["nextitem"].item()
        return call_and_report(item, when, log, **arguments)

    runner.call_and_report = resolving
