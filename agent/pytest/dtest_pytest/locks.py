"""Which locks a test needs: `@pytest.mark.dtest_lock("port")`, of the test, its class or its module."""

MARK = "dtest_lock(name, ...): locks that a test holds while it runs, as `locks` of an [[override]] of dtest.toml"


class Unreadable(Exception):
    """Says which mark of dtest's of which test is not as it is to be."""


def of_item(item):
    """Their names, sorted."""
    names = set()
    for mark in item.iter_markers("dtest_lock"):
        if mark.kwargs or not mark.args or not all(map(is_name, mark.args)):
            arguments = [*map(repr, mark.args), *(f"{name}={value!r}" for name, value in mark.kwargs.items())]
            raise Unreadable(f"{item.nodeid}: @pytest.mark.dtest_lock({', '.join(arguments)}): it takes names of locks, which "
                             "are texts that are not empty")
        names.update(mark.args)
    return sorted(names)


def is_name(value):
    return isinstance(value, str) and value != "" and "\0" not in value


def of_listed(item):
    """None where a mark cannot be read: the test fails as it is set up."""
    try:
        return of_item(item)
    except Unreadable:
        return []
