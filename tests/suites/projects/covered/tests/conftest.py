import threading

import pytest
from lib.control import sign
from lib.late import in_a_thread, once


@pytest.fixture(scope="session", autouse=True)
def of_session():
    made = once()
    yield
    del made


@pytest.fixture(scope="module")
def of_module():
    found = []
    thread = threading.Thread(target=in_a_thread, args=(found,))
    thread.start()
    thread.join()
    yield found
    sign(0)


def pytest_sessionstart(session):
    session.seen = sign(1)


def pytest_sessionfinish(session):
    if session.seen:
        session.seen = None
