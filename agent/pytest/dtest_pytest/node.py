"""What pytest-xdist's controller knows of a worker: plugins add to its input, and look at it when it is done.

Each process asks the plugins for itself, before it runs tests. The controller (controlling.py) is there only at the end.
"""

import os
import sys

import pytest

from . import wanting


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


class Fields:
    """What is asked only for its attributes. Can be a key, unlike types.SimpleNamespace."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def spec_of(name):
    return Fields(popen=True, chdir=None, python=None, id=name)


class Gateway:
    """`info`: of the process that it leads to, as workerinfo of pytest-xdist; none: this one."""

    def __init__(self, name, info=None):
        self.id = name
        self.spec = spec_of(name)
        self._info = info

    def _rinfo(self):
        info = self._info or {"executable": sys.executable, "cwd": os.getcwd(), "sysplatform": sys.platform,
                              "version_info": tuple(sys.version_info)}
        return Fields(executable=info["executable"], cwd=info["cwd"], platform=info["sysplatform"],
                      version_info=info["version_info"])


class Failed(Exception):
    """A hook of the controller, for this process."""


def name_of(manager, plugin):
    name = manager.get_name(plugin) or ""
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}" if name in ("", str(id(plugin))) else name


class Node:
    def __init__(self, config, own, controller=None):
        """`own`: what a worker's input has without plugins; `controller`: asks some of them (own_controller.py)."""
        self.config = config
        self._controller = controller
        self.workerinput = config.workerinput
        self.workeroutput = config.workeroutput
        self.gateway = Gateway(own["workerid"])
        self.nodemanager = Fields(config=config, roots=[], testrunuid=own["testrunuid"],
                                  specs=[self.gateway.spec] * own["workercount"])
        self._own = own
        self._asked = []  # plugins
        self._up = False

    def configure(self):
        """Has those plugins that were not asked yet add what they tell a worker."""
        self._up = True
        added = dict.keys(self.workerinput) - self._own.keys()
        self._call("pytest_configure_node", self._asked, node=self)
        if self._controller is not None:
            dict.update(self.workerinput, self._controller.input())
        dict.update(self.workerinput, self._own)
        return dict.keys(self.workerinput) - self._own.keys() - added

    def down(self, controlled):
        """`controlled`: a controller will ask the plugins, but those that have something to take away here."""
        if self._up:
            self._up = False
            elsewhere = [plugin for plugin in self.config.pluginmanager.get_plugins()
                         if not wanting.of_own_controller(plugin)] if controlled else []
            self._call("pytest_testnodedown", elsewhere, node=self, error=None)
            self._asked = []
        if self._controller is not None:
            self._controller.down(self.workeroutput)
            self._controller = None

    def _call(self, name, less, **arguments):
        manager = self.config.pluginmanager
        if not hasattr(manager.hook, name):
            return
        plugins = [each.plugin for each in manager.subset_hook_caller(name, remove_plugins=less).get_hookimpls()
                   if self._controller is None or not wanting.of_own_controller(each.plugin)]
        less += plugins
        for plugin in plugins:
            others = [each.plugin for each in getattr(manager.hook, name).get_hookimpls() if each.plugin is not plugin]
            try:
                manager.subset_hook_caller(name, remove_plugins=others)(**arguments)
            except Exception as error:  # as at a controller, where it breaks off the run
                raise Failed(f"{name} of {name_of(manager, plugin)} failed: {type(error).__name__}: {error}") from error
