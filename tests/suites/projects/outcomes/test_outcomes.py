import asyncio
import logging
import os
import subprocess
import sys

import pytest


def test_passes(of_session):
    assert of_session[1].is_dir()


def test_fails():
    print("somebody sees this")
    print("and this", file=sys.stderr)
    logging.getLogger("water").warning("too cold for %s", "swimming")
    left = {"a": [1, 2, 3], "b": "x" * 100}
    assert left == {"a": [1, 2, 4], "b": "y"}, "no"


def test_compares(temperature):
    assert temperature(20) == temperature(21)


def test_raises():
    try:
        {}["nothing"]
    except KeyError as error:
        raise ValueError("of another") from error


def test_exits():
    raise SystemExit(3)


def test_other_exception():
    raise BaseException("no Exception")


@pytest.mark.skip(reason="no wings")
def test_skipped():
    assert 0


@pytest.mark.skipif("sys.platform == 'linux'", reason="on Linux")
def test_skipped_if():
    assert 0


def test_skips_itself():
    pytest.skip("no legs")


@pytest.fixture
def skips():
    pytest.skip("no arms")


def test_skipped_by_fixture(skips):
    assert 0


def test_imports():
    pytest.importorskip("nothing_of_this_name")


@pytest.mark.xfail(reason="bug 1")
def test_expected():
    assert 0


@pytest.mark.xfail(reason="bug 2", strict=True)
def test_strict():
    pass


@pytest.mark.xfail(reason="bug 3")
def test_unexpected():
    pass


@pytest.mark.xfail(reason="bug 4", raises=KeyError)
def test_expected_otherwise():
    raise ValueError("another")


@pytest.mark.xfail(run=False, reason="bug 5")
def test_expected_not_run():
    os._exit(9)


def test_expects_itself():
    pytest.xfail("bug 6")


def test_hook_expects():
    assert 0


@pytest.mark.xfail(reason="bug 7")
def test_expected_in_set_up(breaks_before):
    pass


def test_set_up(breaks_before):
    pass


def test_tear_down(breaks_after):
    pass


def test_everything_fails(breaks_after):
    assert 0, "before it"


def test_skipped_then_tear_down(breaks_after):
    pytest.skip("no water")


def test_no_fixture(nothing_of_this_name):
    pass


def test_set_up_of_session(breaks_for_all):
    pass


def test_set_up_of_session_again(breaks_for_all):
    pass


def test_fails_by_hand():
    pytest.fail("by hand", pytrace=False)


async def test_coroutine():
    await asyncio.sleep(0)


def test_loop():
    async def fails():
        await asyncio.sleep(0)
        raise RuntimeError("in a loop")

    asyncio.run(fails())


def test_returns():
    return 3


def test_recursion():
    def down():
        return down()

    down()


def test_subtests(request):
    if not hasattr(pytest, "Subtests"):
        pytest.skip("pytest 9 has subtests")
    subtests = request.getfixturevalue("subtests")
    for number in range(3):
        with subtests.test("part", number=number):
            assert number != 1


def test_subtests_that_pass(request):
    if not hasattr(pytest, "Subtests"):
        pytest.skip("pytest 9 has subtests")
    with request.getfixturevalue("subtests").test("part"):
        pass


def test_output_of_processes(capfd):
    os.write(1, b"past Python\n")
    subprocess.run(["echo", "of a process"], check=True)
    assert capfd.readouterr().out == "past Python\nof a process\n"


def test_output_of_processes_is_seen():
    os.write(2, b"past Python\n")
    subprocess.run(["echo", "of a process"], check=True)
    assert 0


def test_output(capsys, caplog):
    print("heard")
    logging.getLogger("water").error("warm")
    assert (capsys.readouterr().out, caplog.messages) == ("heard\n", ["warm"])


def test_no_text():
    print("\ud800 \udcff \0 \x1b[31m red")
    assert "\ud800" == "\0"


def test_temporary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert os.listdir() == []


def test_generated(generated):
    assert generated == 1


@pytest.mark.slow
@pytest.mark.usefixtures("of_class")
class TestClass:
    seen = []

    def setup_method(self):
        self.seen.append("method")

    @classmethod
    def setup_class(cls):
        cls.seen.append("class")

    def test_set_up(self):
        assert self.seen[0] == "class" and self.seen[-1] == "method"

    @staticmethod
    def test_static():
        pass

    @pytest.fixture
    def breaks_after(self, breaks_after):
        yield breaks_after
        raise OSError("and the door")

    def test_tear_down_of_two(self, breaks_after):
        pass


class TestOuter:
    class TestInner:
        def test_inner(self, request):
            assert request.node.nodeid.endswith("TestOuter::TestInner::test_inner")


class TestBreaksClass:
    @classmethod
    def setup_class(cls):
        raise RuntimeError("no class")

    def test_a(self):
        pass

    def test_b(self):
        pass


class TestWithInit:
    def __init__(self):
        pass

    def test_never(self):
        assert 0
