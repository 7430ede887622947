"""Fixtures of all scopes: what each process makes of them is the same, however many there are."""

import pytest

MADE = []


@pytest.fixture(scope="module")
def once():
    MADE.append("once")
    return MADE


def test_module(of_module):
    assert of_module in (["session", "package", "north"], ["session", "package", "south"])


def test_module_again(of_module, of_each):
    assert of_module[-1] == "north"


def test_once(once):
    assert MADE == ["once"]


def test_once_more(once, request):
    assert MADE == ["once"] and request.node.stash_of_each == "test_once_more"


class TestClass:
    def test_class(self, of_class):
        assert of_class == ["class"]

    def test_class_again(self, of_class, request):
        assert request.getfixturevalue("of_session")[0] == ["session"]
