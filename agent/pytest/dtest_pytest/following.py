"""What follows the last test of a batch, which is known only when that test's tear-down begins."""


class Later:
    """In place of the next item, until the hooks of the tear-down are called (resolve_in_tear_down)."""

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


def resolve_in_tear_down(config):
    """pytest decides by the next item what to tear down, and so do plugins, which ask whether it is None: their hooks get
    what a Later stands for. False: the pluggy that is installed does not let them."""
    caller = config.hook.pytest_runtest_teardown
    execute = getattr(caller, "_hookexec", None)
    if execute is None:
        return False

    def resolving(*arguments):
        __tracebackhide__ = True  # what a test's tear-down raises is told of without it
        values = next((one for one in arguments if isinstance(one, dict)), {})
        if isinstance(values.get("nextitem"), Later):
            values["nextitem"] = values["nextitem"].item()
        return execute(*arguments)

    # As code that no file has: pytest takes its frame for one of its own, which it leaves out unless there is no other.
    resolving.__code__ = resolving.__code__.replace(co_filename="<dtest>")
    try:
        caller._hookexec = resolving
    except AttributeError:
        return False
    return True
