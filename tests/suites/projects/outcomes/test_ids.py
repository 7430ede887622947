"""Parameters whose ids are odd."""

import enum
import re

import pytest


class Colour(enum.Enum):
    RED = 1


TEXTS = ["", " ", "a b", "a", "a", "b::c", "x[y]", "]", "[", "/", "..", "a/b.py", "test_ids.py::test_text[a]", "-k", "@g", "\u00e9", "\u20ac",
         "\U0001f600", "\n\t", "\\", "'\"", "%s {0} $HOME `x`", "#;&|<>*?~!", "\0", "\x1b[31m", "\udcff", "\ud800", "x" * 300]


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    assert text not in ("b::c", "\0", "\u00e9", "a/b.py")


@pytest.mark.parametrize("value", [
    None, True, 3, -1.5, float("inf"), 3 + 4j, b"\xff\0", int, len, re.compile("a+[b]"), Colour.RED, object(), (1, 2), [], lambda: 3,
    NotImplemented])
def test_value(value):
    assert value


@pytest.mark.parametrize("value", [
    pytest.param(1, id="one [1]"), pytest.param(2, marks=pytest.mark.skip(reason="two")), pytest.param(3, marks=pytest.mark.xfail),
    pytest.param(4, id="\u00fcber", marks=pytest.mark.slow)])
@pytest.mark.parametrize("other", ["x", "y::z"])
def test_both(value, other):
    assert value != 3 and (value, other) != (4, "y::z")


@pytest.fixture
def doubled(request):
    return request.param * 2


@pytest.mark.parametrize("doubled", ["ab", "[]"], indirect=True)
def test_indirect(doubled):
    assert doubled == "abab"


@pytest.mark.parametrize("nothing", [])
def test_empty(nothing):
    assert 0
