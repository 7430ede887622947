import gc
import threading
import warnings

import pytest


class Ours(UserWarning):
    pass


def test_warns():
    warnings.warn("of the user")


def test_warns_ours():
    warnings.warn(Ours("of ours", 3))


def test_deprecated():
    warnings.warn("old", DeprecationWarning)


def test_error():
    warnings.warn("the future is an error", FutureWarning)


@pytest.mark.filterwarnings("ignore:silent")
def test_ignored():
    warnings.warn("silent")


def test_expects():
    with pytest.warns(Ours, match="of o.rs"):
        warnings.warn(Ours("of ours"))


def test_expects_in_vain():
    with pytest.warns(Ours):
        pass


def test_thread():
    def fails():
        raise RuntimeError("in a thread")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()


def test_unraisable():
    class Falls:
        def __del__(self):
            raise RuntimeError("in __del__")

    Falls()
    gc.collect()


@pytest.fixture
def warns_in_set_up():
    warnings.warn("in set-up")


def test_set_up_warns(warns_in_set_up):
    assert 0
