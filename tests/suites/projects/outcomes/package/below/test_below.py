def test_below(of_package):
    assert of_package == ["inner package"]
