import pytest

pytest.importorskip("nothing_of_this_name", reason="not there")


def test_lost():
    pass
