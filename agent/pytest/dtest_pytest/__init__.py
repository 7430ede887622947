"""dtest's side of a pytest process: pure Python 3.8 and later, pytest 7 and later. docs/pytest.md says what it does."""
