"""What a worker has inherited of the process that it was forked from, and must not take for its own."""

import atexit
import gc
import io
import random
import sys
import threading
import traceback
import weakref

BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


class Inherited:
    """In the process that is forked: made before the project is imported, told when all is collected."""

    def __init__(self):
        self._unseeded = {}  # generators of random numbers, by id: what compares them is the project's
        self._seeding = (random.Random.seed, random.Random.setstate)
        self._generators = self._files = ()
        seed, setstate = self._seeding

        def seed_and_note(generator, a=None, version=2):
            if a is None:
                self._unseeded[id(generator)] = weakref.ref(generator)
            else:
                self._unseeded.pop(id(generator), None)
            return seed(generator, a, version)

        def setstate_and_note(generator, state):
            self._unseeded.pop(id(generator), None)
            return setstate(generator, state)

        random.Random.seed, random.Random.setstate = seed_and_note, setstate_and_note

    def collected(self):
        """Before gc.freeze, which hides what there is."""
        random.Random.seed, random.Random.setstate = self._seeding
        unseeded = [reference() for reference in self._unseeded.values()]
        self._generators = [each for each in unseeded if each is not None and not isinstance(each, random.SystemRandom)]
        self._files = [weakref.ref(file) for file in files_of_process()]
        self.flush()  # or each worker would write it, too

    def flush(self):
        """What was written to files that were open when all had been collected."""
        flush_all([file for file in (reference() for reference in self._files) if file is not None])

    def leave_to_its_process(self):
        """In a worker, as it begins."""
        # What was registered before the fork is of the process that was forked; what comes is the worker's.
        atexit._clear()
        for finalizer in list(weakref.finalize._registry):
            finalizer.atexit = False
        weakref.finalize._registered_with_atexit = False
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None:
            processes._children.clear()  # whose end others wait for
        for generator in self._generators:  # as a process that has just been started would have them
            try:
                generator.seed(None)
            except Exception:
                pass  # one of the project's that is seeded in another way stays as it is

    def finish(self):
        """In a worker: what the interpreter would do at its end."""
        multiprocessing, logging = sys.modules.get("multiprocessing.util"), sys.modules.get("logging")
        steps = [threading._shutdown, atexit._run_exitfuncs, *([multiprocessing._exit_function] if multiprocessing else []),
                 *([logging.shutdown] if logging else []),
                 self.flush, lambda: flush_all(files_of_process()), lambda: flush_all([sys.stdout, sys.stderr])]
        for step in steps:
            try:
                step()
            except BaseException:  # the others' work is to be done all the same
                traceback.print_exc()


def files_of_process():
    """That are written to through a buffer, and that the garbage collector knows: all that came after its freezing."""
    kinds, more = set(), list(BUFFERED)
    while more:
        kind = more.pop()
        kinds.add(kind)
        more += kind.__subclasses__()
    return [each for each in gc.get_objects() if type(each) in kinds]  # a proxy is not asked what it is


def flush_all(files):
    """Texts first, which are in front of others."""
    for file in sorted(files, key=lambda file: not isinstance(file, io.TextIOBase)):
        try:
            if not file.closed:
                file.flush()
        except Exception:  # the interpreter tells of no such thing at its end either
            pass
