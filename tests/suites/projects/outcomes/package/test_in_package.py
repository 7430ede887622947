import pytest

from .below import __name__ as below


def test_of_package(of_package, breaks_before):
    assert of_package == ["inner package"] and below == "package.below"


def test_fails(of_package):
    assert of_package == pytest.approx(3)
