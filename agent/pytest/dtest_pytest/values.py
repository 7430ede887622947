"""Values as JSON, such that tuples, bytes, sets and keys that are no texts come back as they were, as pytest-xdist brings
them: pytest's reports and config.workeroutput are full of them.

An object with one key of TAGS stands for what JSON does not have.
"""

import base64
import json

TUPLE, BYTES, SET, PAIRS = TAGS = ("()", "b", "set", "{}")
_encode = json.JSONEncoder().encode  # before a test replaces anything


class Plain:
    """Makes JSON; what nothing else can be made of becomes a text, and `told` says what that was."""

    def __init__(self):
        self.told = []  # names of types

    def encode(self, value):
        return _encode(self._plain(value)).encode()

    def _plain(self, value):
        kind = type(value)
        if value is None or kind in (str, bool, int, float):
            return value
        if kind is dict:
            if all(type(key) is str for key in value) and not (len(value) == 1 and next(iter(value)) in TAGS):
                return {key: self._plain(each) for key, each in value.items()}
            return {PAIRS: [[self._plain(key), self._plain(each)] for key, each in value.items()]}
        if kind is list:
            return [self._plain(each) for each in value]
        if isinstance(value, tuple):
            return {TUPLE: [self._plain(each) for each in value]}
        if isinstance(value, (set, frozenset)):
            return {SET: [self._plain(each) for each in value]}
        if isinstance(value, (bytes, bytearray)):
            return {BYTES: base64.b64encode(value).decode()}
        if isinstance(value, dict):
            return self._plain(dict(dict.items(value)))
        if isinstance(value, list):
            return self._plain(list(value))
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value)
        self.told.append(kind.__name__)
        return str(value)


def decode(text):
    return json.loads(text, object_hook=_restored)


def _restored(value):
    if len(value) != 1:
        return value
    (tag, content), = value.items()
    if tag == TUPLE:
        return tuple(content)
    if tag == BYTES:
        return base64.b64decode(content)
    if tag == SET:
        return set(content)
    if tag == PAIRS:
        return dict(map(tuple, content))
    return value
