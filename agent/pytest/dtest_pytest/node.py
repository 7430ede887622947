"""What pytest-xdist's controller knows of a worker: plugins add to its input, and look at it when it is done.

There is no controller here: each process asks the plugins for itself.
"""

import os
import sys
import types

import pytest


class Hooks:
    """Those of pytest-xdist's controller, where it is not there."""

    def pytest_xdist_setupnodes(self, config, specs): ...

    def pytest_xdist_newgateway(self, gateway): ...

    @pytest.hookspec(firstresult=True)
    def pytest_xdist_getremotemodule(self): ...

    def pytest_configure_node(self, node): ...

    def pytest_testnodeready(self, node): ...

    def pytest_testnodedown(self, node, error): ...

    def pytest_xdist_node_collection_finished(self, node, ids): ...

    @pytest.hookspec(firstresult=True)
    def pytest_xdist_make_scheduler(self, config, log): ...

    @pytest.hookspec(firstresult=True)
    def pytest_xdist_auto_num_workers(self, config): ...

    @pytest.hookspec(firstresult=True)
    def pytest_handlecrashitem(self, crashitem, report, sched): ...


class Gateway:
    def __init__(self, name):
        self.id = name
        self.spec = types.SimpleNamespace(popen=True, chdir=None, python=None, id=name)

    def _rinfo(self):
        return types.SimpleNamespace(executable=sys.executable, cwd=os.getcwd(), platform=sys.platform,
                                     version_info=tuple(sys.version_info))


class Failed(Exception):
    """A hook of the controller, for this process."""


class Node:
    def __init__(self, config, own):
        self.config = config
        self.workerinput = config.workerinput
        self.workeroutput = config.workeroutput
        self.gateway = Gateway(own["workerid"])
        self.nodemanager = types.SimpleNamespace(config=config, roots=[], testrunuid=own["testrunuid"],
                                                 specs=[self.gateway.spec] * own["workercount"])
        self._own = own
        self._asked = []  # plugins
        self._up = False

    def configure(self):
        """Has those plugins that were not asked yet add what they tell a worker."""
        self._up = True
        added = dict.keys(self.workerinput) - self._own.keys()
        self._call("pytest_configure_node", self._asked, node=self)
        dict.update(self.workerinput, self._own)
        return dict.keys(self.workerinput) - self._own.keys() - added

    def down(self):
        if self._up:
            self._up = False
            self._call("pytest_testnodedown", [], node=self, error=None)
            self._asked = []

    def _call(self, name, less, **arguments):
        manager = self.config.pluginmanager
        if not hasattr(manager.hook, name):
            return
        plugins = [each.plugin for each in manager.subset_hook_caller(name, remove_plugins=less).get_hookimpls()]
        less += plugins
        for plugin in plugins:
            others = [each.plugin for each in getattr(manager.hook, name).get_hookimpls() if each.plugin is not plugin]
            try:
                manager.subset_hook_caller(name, remove_plugins=others)(**arguments)
            except Exception as error:  # as at a controller, where it breaks off the run
                raise Failed(f"{name} of {manager.get_name(plugin) or plugin} failed: {type(error).__name__}: {error}") from error
