"""Whether somebody wants pytest's own reports of a run, which only one process for the whole run can make."""

import os
import types

from . import neighbours

# Options that ask for one, as they are called in config.option: what the option is called, and, where it is a file, which
# option names that.
REPORTS = {
    "xmlpath": ("--junitxml", "xmlpath"),
    "htmlpath": ("--html", "htmlpath"),
    "json_report": ("--json-report", "json_report_file"),
    "report_log": ("--report-log", "report_log"),
    "md_report": ("--md-report", "md_report_output"),
    "csv_path": ("--csv", "csv_path"),
    "nunit_xmlpath": ("--nunit-xml", "nunit_xmlpath"),
    "excelpath": ("--excelreport", "excelpath"),
    "ctrf": ("--ctrf", "ctrf"),
    "tap_stream": ("--tap-stream", ""),
    "tap_combined": ("--tap-combined", ""),
    "tap_files": ("--tap-files", ""),
}
# Hooks that pytest-xdist calls in its controller alone; pytest_configure_node, which each process calls, is none of them.
OF_CONTROLLER = ("pytest_testnodedown", "pytest_testnodeready", "pytest_handlecrashitem", "pytest_xdist_setupnodes",
                 "pytest_xdist_newgateway", "pytest_xdist_node_collection_finished")
OWN = frozenset(("_pytest", "pytest", "dtest_pytest", "xdist"))
# What a hook that does one thing in a worker and another in the controller goes by.
TELLS_APART = frozenset(("workerinput", "slaveinput", "is_xdist_controller", "is_xdist_master", "is_xdist_worker",
                         "get_xdist_worker_id", "PYTEST_XDIST_WORKER"))


def reports_of(config):
    """(option as it is typed, path or "") of those that are asked for."""
    asked = []
    for name, (option, of_path) in REPORTS.items():
        if getattr(config.option, name, None):
            asked.append((option, str(getattr(config.option, of_path, None) or "")))
    return asked


def reasons(config):
    """What wants them, for a person; empty: nothing does."""
    found = [option for option, _ in reports_of(config)]
    for name in OF_CONTROLLER:
        found += [f"{name} of {package}" for _, package in implementations(config, name)]
    # Of the project's own, not of plugins that are installed: many have these, and mean their lines on the screen.
    found += [f"pytest_terminal_summary of {package}" for _, package in of_project(config, "pytest_terminal_summary")]
    return found + that_tell_apart(config, ("pytest_sessionfinish", "pytest_unconfigure"))


def too_late(config):
    """What the project does in a controller before tests run, where dtest has none yet."""
    return that_tell_apart(config, ("pytest_configure", "pytest_sessionstart"))


def that_tell_apart(config, names):
    return [f"{name} of {package}" for name in names for implementation, package in of_project(config, name)
            if tells_apart(implementation.function)]


def of_project(config, name):
    """Its implementations of a hook, less those of plugins that are installed."""
    installed = {package_of(plugin) for plugin, _ in config.pluginmanager.list_plugin_distinfo()}
    return [(implementation, package) for implementation, package in implementations(config, name) if package not in installed]


def implementations(config, name):
    """(implementation, package) of a hook, but of pytest's, ours, and those whose work dtest does."""
    hook = getattr(config.pluginmanager.hook, name, None)
    found = [(each, package_of(each.plugin)) for each in (hook.get_hookimpls() if hook is not None else ())]
    return [(each, package) for each, package in found if package not in OWN and package not in neighbours.NEED_NO_CONTROLLER
            and not of_own_controller(each.plugin)]


def package_of(plugin):
    module = plugin.__name__ if isinstance(plugin, types.ModuleType) else type(plugin).__module__
    return module.partition(".")[0]


def of_own_controller(plugin):
    """A controller of each process calls its hooks, and not that of the run."""
    return type(plugin) in neighbours.of_own_controller()


def tells_apart(function):
    """Whether it, or a function that it calls by its name, looks whether it is in a worker."""
    function = getattr(function, "__func__", function)
    words = words_of(getattr(function, "__code__", None))
    called = [getattr(function, "__globals__", {}).get(name) for name in words]
    return bool(TELLS_APART & words) or any(TELLS_APART & words_of(each.__code__) for each in called
                                            if isinstance(each, types.FunctionType))


def words_of(code):
    """Names and texts in it, and in what is defined in it."""
    if code is None:
        return set()
    words = {*code.co_names, *(each for each in code.co_consts if isinstance(each, str))}
    return words.union(*(words_of(each) for each in code.co_consts if isinstance(each, types.CodeType)))


def missing(asked, before):
    """Of the reports those that are not written: (option, path). `before`: what stood there, by path."""
    return [(option, path) for option, path in asked if path and state_of(path) in (None, before.get(path))]


def state_of(path):
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
