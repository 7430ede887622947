"""One test, so that it is the last of its module in whatever process it runs."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def breaks_after_module():
    yield
    print("said in tear-down")
    raise RuntimeError("left the module open")


def test_a():
    pass
