"""`@pytest.mark.dtest_no_network`: the mark is a label, by which dtest knows which processes are to have no network."""

from . import locks

MARK = "dtest_no_network: the test reaches no address but those of its own host, as all do under --no-network"


def check_of_item(item):
    for mark in item.iter_markers("dtest_no_network"):
        if mark.args or mark.kwargs:
            arguments = [*map(repr, mark.args), *(f"{name}={value!r}" for name, value in mark.kwargs.items())]
            raise locks.Unreadable(f"{item.nodeid}: @pytest.mark.dtest_no_network({', '.join(arguments)}): it takes nothing")
