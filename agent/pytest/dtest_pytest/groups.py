"""Which tests are to run in one worker: `--dist` of pytest-xdist, by its rules."""

import re
from importlib import metadata

SCOPES = ("loadscope", "loadfile", "loadgroup")
ANY_ORDER = ("no", "load", "worksteal")


def of_item(item, mode):
    """The name of the group; "": it has none."""
    if mode == "loadfile":
        return item.nodeid.partition("::")[0]
    if mode == "loadscope":
        parameter = getattr(getattr(item, "callspec", None), "id", "")
        name = item.nodeid
        if parameter and name.endswith(f"[{parameter}]"):  # which may have "::" in it
            name = name[: -len(parameter) - 2]
        return name.rpartition("::")[0] or name
    if mode == "loadgroup":
        marks = list(item.iter_markers("xdist_group"))
        if not xdist_joins_marks():
            marks = marks[:1]  # the closest
        return "_".join(sorted({name_of(mark) for mark in marks}))
    return ""


def xdist_joins_marks():
    """Of several marks; before 3.7 the closest counted."""
    try:
        version = metadata.version("pytest-xdist")
    except metadata.PackageNotFoundError:
        return True
    numbers = re.findall(r"\d+", version)[:2]
    return [int(number) for number in numbers] >= [3, 7]


def name_of(mark):
    return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))


def note(mode):
    """What a person should know of the mode; "": nothing."""
    if mode in SCOPES or mode in ANY_ORDER:
        return ""
    return f"--dist {mode} is none of dtest's: each test runs once, in dtest's order"
