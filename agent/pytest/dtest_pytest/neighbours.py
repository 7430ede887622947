"""Plugins that ask the controller of pytest-xdist for what dtest does itself or does not have: they do without."""

import os
import shutil
import sys
import zlib

from . import shared

OWN = frozenset(("_pytest", "pytest", "pluggy", "dtest_pytest"))  # packages that are no plugins of others
# Modules that ask whether this is a worker, and not which, or that copy the environment for what tells them of this machine.
ASK_WHETHER = frozenset(("platform", "pytest_benchmark"))
# Packages of plugins whose hooks at the end take away nothing that others use.
UNMAKE_NOTHING = frozenset(("allure_pytest", "pytest_benchmark", "pytest_django", "pytest_html", "pytest_metadata"))
# Packages of plugins whose hooks of the controller are no reason to have one: dtest does their work, or it is for reports
# that others ask for, or for the screen.
NEED_NO_CONTROLLER = frozenset(("pytest_cov", "pytest_metadata", "pytest_rerunfailures", "pytest_sugar"))
# Modules with a plugin of the controller that makes something for each worker, over what its own configuration has: SQLAlchemy's,
# and as its own tests load it.
MAKE_FOR_WORKERS = ("sqlalchemy.testing.plugin.pytestplugin", "sqla_pytestplugin")


def before_configure(config, workerinput):
    config.option.no_cov = True  # pytest-cov: measuring.py does its work
    # pytest-random-order: registers the hook that would add this only beside pytest-xdist.
    if hasattr(config.option, "random_order_seed"):
        workerinput["random_order_seed"] = str(config.option.random_order_seed)
    # pytest-retry: a server of the controller's gathers what its workers say of attempts.
    retry = sys.modules.get("pytest_retry.retry_plugin")
    if retry is not None:
        workerinput["server_port"] = 0
        retry.ClientReporter = lambda port: retry.OfflineReporter()
    # pytest-rerunfailures: a server of the controller's remembers the reruns of a test that kills its worker.
    rerunfailures = sys.modules.get("pytest_rerunfailures")
    if rerunfailures is not None:
        rerunfailures.HAS_PYTEST_HANDLECRASHITEM = False
    # allure: each process would remove what those before it have written.
    config.dtest_cleans = config.option.allure_report_dir if getattr(config.option, "clean_alluredir", False) else None
    if config.dtest_cleans:
        config.option.clean_alluredir = False


def of_own_controller():
    """Types of plugins that each process has a controller for (own_controller.py), once their modules are there."""
    return [sys.modules[name].XDistHooks for name in MAKE_FOR_WORKERS if hasattr(sys.modules.get(name), "XDistHooks")]


def before_tests(config):
    """In a process that runs tests, before the first of them, and in none that only lists them."""
    if config.dtest_cleans:
        directory = os.path.abspath(config.dtest_cleans)
        shared.once(f"allure-{zlib.crc32(os.fsencode(directory))}", lambda: clean(directory))


def clean(directory):
    """What stood in it is of runs before this one."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory, exist_ok=True)
