import asyncio
import sys

import pytest
from lib import control


@pytest.mark.parametrize("number", range(-3, 6))
def test_sign(number):
    assert control.sign(number) == (number > 0) - (number < 0)


@pytest.mark.parametrize("items", [[1, None, 2], [3]])
def test_searched(items):
    assert control.searched(list(items), 1) == ("there" if 1 in items else "nowhere")


def test_tried():
    assert control.tried(lambda: 1) == 2
    assert control.tried(lambda: int("x")).startswith("invalid")


def test_tried_and_raised():
    with pytest.raises(ZeroDivisionError):
        control.tried(lambda: 1 / 0)


@pytest.mark.parametrize("number", [0, 1, 4])
def test_left(number):
    control.left(number)


def test_generated():
    made = control.generated([5, 6])
    assert next(made) == 5 and made.send(2) == 0
    assert list(made) == [1, 6]


def test_awaited():
    assert asyncio.run(control.awaited([1, 2, 3, 4])) == [2, 3, 4]


def test_by_class():
    assert control.by_class("kind") == "kind"


def test_fails():
    assert control.unreached(2) == 4


def test_exits():
    if control.unreached(1):
        raise SystemExit
    raise AssertionError


@pytest.mark.skip
def test_skipped():
    control.unreached(5)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no match")
@pytest.mark.parametrize("value", [[], [1], 3, None])
def test_matched(value):
    from lib.since_3_10 import matched

    matched(value)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no type parameters")
def test_since_3_12():
    from lib.since_3_12 import Box, grouped

    def raises():
        raise ExceptionGroup("two", [ValueError(1), ValueError(2)])

    assert Box(3).get("x") == 3
    assert grouped(raises) == "2"
