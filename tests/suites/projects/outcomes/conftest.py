"""Hooks, and fixtures of all scopes."""

import pytest


def pytest_addoption(parser):
    parser.addini("colour", "of the fixtures", default="red")
    parser.addoption("--size", type=int, default=3)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long")


def pytest_generate_tests(metafunc):
    if "generated" in metafunc.fixturenames:
        metafunc.parametrize("generated", [1, 2], ids=lambda number: f"of conftest {number}")


def pytest_collection_modifyitems(items):
    for item in items:
        if "hook_expects" in item.name:
            item.add_marker(pytest.mark.xfail(reason="a hook expects it"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    report.sections.append(("of conftest", f"{item.name} {report.when}"))
    return report


def pytest_assertrepr_compare(op, left, right):
    if isinstance(left, Temperature) and op == "==":
        return [f"{left.degrees} degrees are not {right.degrees}"]
    return None


class Temperature:
    def __init__(self, degrees):
        self.degrees = degrees


@pytest.fixture
def temperature():
    return Temperature


def scope_by_name(fixture_name, config):
    return "class" if config.getini("colour") == "red" else "function"


@pytest.fixture(scope="session")
def of_session(tmp_path_factory):
    made = ["session"]
    yield made, tmp_path_factory.mktemp("of_session")
    made.append("gone")


@pytest.fixture(scope="package")
def of_package(of_session):
    return [*of_session[0], "package"]


@pytest.fixture(scope="module", params=["north", "south"])
def of_module(request, of_package):
    yield [*of_package, request.param]


@pytest.fixture(scope=scope_by_name)
def of_class():
    return ["class"]


@pytest.fixture(autouse=True)
def of_each(request):
    request.node.stash_of_each = request.node.name
    yield
    del request.node.stash_of_each


@pytest.fixture
def breaks_before():
    print("said in set-up")
    raise RuntimeError("no water")


@pytest.fixture
def breaks_after(request):
    request.addfinalizer(lambda: print("said by a finalizer"))
    yield
    raise RuntimeError("left the tap open")


@pytest.fixture(scope="session")
def breaks_for_all():
    raise LookupError("there is no such pipe")
