"""Which tests are to run in one worker: `--dist` of pytest-xdist, by its rules."""

SCOPES = ("loadscope", "loadfile", "loadgroup")
ANY_ORDER = ("no", "load", "worksteal")


def of_item(item, mode):
    """The name of the group; "": it has none."""
    if mode == "loadfile":
        return item.nodeid.partition("::")[0]
    if mode == "loadscope":
        parameter = getattr(getattr(item, "callspec", None), "id", "")
        name = item.nodeid[: -len(parameter) - 2] if parameter else item.nodeid
        return name.rpartition("::")[0] or name
    if mode == "loadgroup":
        # pytest-xdist joins them to what it puts behind the node id.
        return "_".join(sorted({name_of(mark) for mark in item.iter_markers("xdist_group")}))
    return ""


def name_of(mark):
    return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))


def note(mode):
    """What a person should know of the mode; "": nothing."""
    if mode in SCOPES or mode in ANY_ORDER:
        return ""
    return f"--dist {mode} is none of dtest's: each test runs once, in dtest's order"
