"""Plugins that ask the controller of pytest-xdist for what dtest does itself or does not have: they do without."""

import sys

# Packages of plugins whose hooks of the controller are no reason to have one: dtest does their work, or it is for reports
# that others ask for, or for the screen.
NEED_NO_CONTROLLER = frozenset(("pytest_cov", "pytest_metadata", "pytest_rerunfailures", "pytest_sugar", "sqlalchemy"))
# Of those, what they made for the worker as the node was configured: there they take it away, too.
IN_EACH_PROCESS = frozenset(("sqlalchemy",))
ASK_WHETHER = frozenset(("pytest_benchmark",))  # modules that ask whether this is a worker, and not which


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


def at_controller(option):
    """It comes when all tests have been run: what is begun afresh there would be their results."""
    if hasattr(option, "clean_alluredir"):
        option.clean_alluredir = False
