def test_yields():
    yield 3
