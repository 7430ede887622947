"""The controller of one process, for plugins that make for a worker, as its node is configured, what only the configuration of a controller
knows how to make: SQLAlchemy's a database, over the connection that its options name.

The process forks it before it is configured. It is configured as pytest-xdist's controller is, has those plugins configure the node, and waits
until the session of the process has ended, or the process itself: then they take away what they have made. Those of a host take turns, as the
one of pytest-xdist does one thing after the other. Over a socket it says, each a line of JSON (values.py),

    what they have added to the worker's input, and why they have not, or nothing
    when all is done: null, and why it is not, or nothing

and hears `config.workeroutput`, or that the process is gone.
"""

import contextlib
import os
import socket
import traceback

from _pytest.main import wrap_session

from . import forking, neighbours, node, records, shared, streams, values, wanting, watching

OF_WORKERS = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT")
NOT_TERMINATED = "Not properly terminated"


class OwnController:
    """In the process. `node.Failed` is raised where the controller or a hook in it fails."""

    def __init__(self, config, own, temporary):
        """`own`: what a worker's input has without plugins; `temporary`: the worker's base for temporary directories."""
        ours, theirs = socket.socketpair()
        if forking.fork_twice():
            ours.close()
            lead(config, own, temporary + "-controller", theirs)
        theirs.close()
        self._socket = socket.socket(fileno=records.move_up(ours.detach()))
        self._said = self._socket.makefile("rb")
        self._input = None
        self._failed = False

    def input(self):
        """What plugins have added to a worker's."""
        if self._input is None:
            self._input = self._hear()
        return self._input

    def down(self, output):
        """Returns when they have taken away what they had made."""
        if self._failed:  # which was told
            return
        self.input()
        with contextlib.suppress(OSError):  # it is gone, and so has told nothing
            self._socket.sendall(values.Plain().encode(output))
            self._socket.shutdown(socket.SHUT_WR)
        self._hear()
        self._said.close()
        self._socket.close()

    def _hear(self):
        line = self._said.readline()
        said, why = values.decode(line) if line else (None, "the controller of this process ended without a word; what it printed may say why")
        if why:
            self._failed = True
            raise node.Failed(why)
        return said


class Node(node.Node):
    """Of the process, for its controller."""

    def __init__(self, config, own):
        config.workerinput, config.workeroutput = dict(own), {}
        super().__init__(config, own)
        del config.workerinput, config.workeroutput


def lead(config, own, temporary, channel):
    """Does not return."""
    try:
        watching.stop()
        for name in OF_WORKERS:
            os.environ.pop(name, None)
        os.setpgid(0, 0)  # it outlives what the process is stopped by
        streams.renew_captures(config)
        for plugin in config.pluginmanager.get_plugins():
            if wanting.package_of(plugin) == "dtest_pytest":
                config.pluginmanager.unregister(plugin)
        config.option.dist, config.option.basetemp = "load", temporary
        one = Node(config, own)
        turn = shared.Turn("own-controllers")  # PostgreSQL copies no database that others are connected to
        turn.begin()
        wrap_session(config, lambda *_: serve(one, own, channel, turn))
    except BaseException:
        traceback.print_exc()
    finally:
        forking.leave_at_once()


def serve(one, own, channel, turn):
    manager = one.config.pluginmanager
    for kind in neighbours.of_own_controller():  # which they register only beside pytest-xdist
        if not any(type(plugin) is kind for plugin in manager.get_plugins()):
            manager.register(kind())
    others = [plugin for plugin in manager.get_plugins() if not wanting.of_own_controller(plugin)]
    with channel, channel.makefile("rb") as heard:
        try:
            one._call("pytest_configure_node", list(others), node=one)
            given = {name: value for name, value in one.workerinput.items() if name not in own}
            tell(channel, given, "")
            turn.end()
            output = heard.read()
            turn.begin()
            error = None if output else NOT_TERMINATED
            if output:
                one.workeroutput = values.decode(output)
            one._call("pytest_testnodedown", list(others), node=one, error=error)
            tell(channel, None, "")
        except node.Failed as failed:
            traceback.print_exception(type(failed.__cause__), failed.__cause__, failed.__cause__.__traceback__)
            tell(channel, None, str(failed))
    return 0


def tell(channel, said, why_not):
    channel.sendall(values.Plain().encode((said, why_not)) + b"\n")
