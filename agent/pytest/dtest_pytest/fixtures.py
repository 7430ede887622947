"""The fixtures of pytest-xdist, where it is not there."""

import pytest


@pytest.fixture(scope="session")
def worker_id(request):
    return request.config.workerinput["workerid"]


@pytest.fixture(scope="session")
def testrun_uid(request):
    return request.config.workerinput["testrunuid"]
