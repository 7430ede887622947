"""Plugins that ask the controller of pytest-xdist for what dtest does itself or does not have: they do without."""

import sys

ASK_WHETHER = frozenset(("pytest_benchmark",))  # modules that ask whether this is a worker, and not which


def before_conftests(early_config):
    # pytest-cov: the controller collects its data.
    early_config.known_args_namespace.no_cov = True


def before_configure(config):
    config.option.no_cov = True
    # pytest-rerunfailures: a server of the controller's remembers the reruns of a test that kills its worker.
    rerunfailures = sys.modules.get("pytest_rerunfailures")
    if rerunfailures is not None:
        rerunfailures.HAS_PYTEST_HANDLECRASHITEM = False
