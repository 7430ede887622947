def test_seen():
    pass


assert [1, 2] == [3], "at import"
