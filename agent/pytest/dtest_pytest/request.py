"""What the agent asks of a process, from its command line."""

from . import records


class Request:
    """
    --root=DIR      pytest's rootdir; node ids are relative to it
    --ini=FILE      the file that configures pytest, below the root
    --path=PATH     to collect, relative to the root; may go on as a node id: a.py::TestA::test_b[x]. Repeatable
    --ignore=PATH   not to collect, relative to the root: a root or a program of its own. Repeatable
    --packages=DIR  what the run ships of an environment (environment.py), relative to the directory of the process
    --system-packages=yes  what is installed beside the interpreter is imported, too
    --kept=DIR      of this user on this host, for what makes a later run faster (bytecode.py)
    --may-be-empty=yes  that there is no test is no mistake
    --arg=ARG       for pytest. Repeatable
    --there=PATH    a directory, relative to that of the process or absolute. Repeatable, as often as
    --here=PATH     what it is on the machine that dtest was called on: names of tests have that in its place (names.py)
    --coverage=yes  measure what the tests cover, and tell it (measuring.py); no: not even where the project asks for it
    --reports=yes   tell what pytest reports, for a controller at the end (telling.py); no: not even where something wants it
    --list=FILE     write the listing there
    --serve=yes     collect, and fork a worker for each --run that is asked for through descriptor 3 (forking.py)
    --control=DIR   be the controller of a run whose processes have told what is there (controlling.py)
    --interrupted=WHY   of such a run: it ended before all had been run
    --goes-on=yes   of such cases: others may follow (running.py)
    --run=FILE      run the cases that stand there, each with a zero byte behind it; tell of them through descriptor 3
    """

    LISTS = ("path", "ignore", "arg", "there", "here")
    TEXTS = ("root", "ini", "packages", "system-packages", "kept", "may-be-empty", "coverage", "reports", "list", "serve", "run",
             "goes-on", "control", "interrupted")

    def __init__(self, arguments):
        self.root = self.ini = self.may_be_empty = self.coverage = self.reports = ""
        self.list = self.serve = self.run = self.goes_on = self.control = self.interrupted = ""
        self.packages = self.system_packages = self.kept = ""
        self.path, self.ignore, self.arg, self.there, self.here = [], [], [], [], []
        for argument in arguments:
            name, separator, value = argument.partition("=")
            name = name[2:] if name.startswith("--") and separator else ""
            if name in self.LISTS:
                getattr(self, name).append(value)
            elif name in self.TEXTS:
                setattr(self, name.replace("-", "_"), value)
            else:
                raise ValueError(f"dtest started its pytest plugin with {argument!r}, which it does not know")

    def cases(self):
        """Also while a test has replaced what reads files."""
        names = records.System.read_file(self.run).split(b"\0")[:-1]
        return [name.decode("utf-8", "surrogateescape") for name in names]

    def files(self):
        """Of its cases, each once."""
        return list(dict.fromkeys(case.partition("::")[0] for case in self.cases()))
