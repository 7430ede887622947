"""Which tests count on what a database had when it was made, and which leave it without that: as pytest-django knows them, which has the
first run before the second. Within a batch they still do; a process that goes on could be given one of the first after one of the second."""

import sys

KEEPS, EMPTIES = "keeps", "empties"


def kind_of(item):
    """KEEPS: a test in a transaction that is rolled back; EMPTIES: one after which tables are emptied; None: neither."""
    django = sys.modules.get("django.test")
    case = getattr(item, "cls", None)
    if django is not None and case is not None and issubclass(case, django.TransactionTestCase):
        return KEEPS if issubclass(case, django.TestCase) else EMPTIES
    fixtures = getattr(item, "fixturenames", ())
    mark = item.get_closest_marker("django_db")
    if "transactional_db" in fixtures or "live_server" in fixtures or (mark is not None and is_transactional(mark)):
        return EMPTIES
    return KEEPS if mark is not None or "db" in fixtures else None


def is_transactional(mark):
    """Its arguments `transaction` and `reset_sequences`, by place or by name."""
    return any(mark.args[:2]) or any(mark.kwargs.get(name) for name in ("transaction", "reset_sequences"))


def end_with(items, collected):
    """Whether a process that has run `items` may run no other of those that were collected."""
    if "pytest_django" not in sys.modules:
        return False
    return any(kind_of(item) == EMPTIES for item in items) and any(kind_of(item) == KEEPS for item in collected)
