import pytest


@pytest.fixture(scope="session")
def distances():
    """Kilometres between towns, as a table that takes a while to load would have them."""
    return {("Aa", "Be"): 12, ("Be", "Ce"): 7, ("Aa", "Ce"): 15}
