import pytest


@pytest.fixture(scope="package")
def of_package():
    yield ["inner package"]


@pytest.fixture
def breaks_before():
    """Of the same name as one above."""
