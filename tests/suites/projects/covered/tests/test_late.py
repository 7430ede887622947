import pytest
from lib import late


@pytest.fixture(scope="module", params=["x", "y"])
def made(request):
    yield late.answer(request.param)


def test_late(made):
    assert made


def test_thread(of_module):
    assert of_module == [2]


class TestClass:
    @classmethod
    def setup_class(cls):
        cls.answer = late.answer("x")

    def test_answer(self):
        assert self.answer == 42

    def test_again(self, of_module, tmp_path):
        assert of_module and tmp_path.is_dir()
