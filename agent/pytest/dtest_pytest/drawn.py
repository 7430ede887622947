"""Generators of numpy.random that were made without a seed: in each worker they are to be as a process has them that has just
been started, which draws their seed (SeedSequence) from the operating system, through secrets.randbits.

One that has been used since, or whose state was set, is the project's, and stays: nobody can tell the two apart. So does one
whose seed the project itself has drawn, since it may tell that seed.
"""

import gc
import random
import sys

BITS = 128  # of a seed that SeedSequence draws
DRAWN_BY_ITSELF = frozenset(("randbits", "getrandbits"))


class Generators:
    """In the process that is forked: made before the project is imported, told when all is collected."""

    def __init__(self):
        self._seeds = set()
        self._unused = ()
        self._notes = True
        self._original = original = random.SystemRandom.getrandbits

        def getrandbits(generator, k):
            value = original(generator, k)
            if self._notes and k == BITS and not DRAWN_BY_ITSELF.intersection(names_of(sys._getframe(1).f_code)):
                self._seeds.add(value)
            return value

        # What secrets.randbits is, if nobody has imported that yet: numpy does, and keeps it.
        random.SystemRandom.getrandbits = getrandbits
        secrets = sys.modules.get("secrets")
        if secrets is not None:
            secrets.randbits = getrandbits.__get__(secrets._sysrand)

    def collected(self):
        """Before gc.freeze, which hides what there is."""
        self._notes = False
        random.SystemRandom.getrandbits = self._original
        numpy = sys.modules.get("numpy.random")
        kinds = subclasses(getattr(numpy, "BitGenerator", None)) if self._seeds and numpy is not None else ()
        if kinds:
            everybodys = numpy.mtrand._rand._bit_generator  # which numpy.random.seed() is for
            self._unused = [each for each in gc.get_objects()
                            if type(each) in kinds and each is not everybodys and self._is_unused(each)]

    def _is_unused(self, bits):
        seed = getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)
        try:
            return seed.entropy in self._seeds and first(type(bits)(seed)) == first(bits)
        except Exception:  # one of the project's, which is made in another way
            return False

    def leave_to_its_process(self):
        """In a worker, as it begins."""
        for bits in self._unused:
            bits.__setstate__(type(bits)().__getstate__())
        self._unused = ()


def names_of(code):
    return code.co_names + code.co_varnames


def subclasses(kind):
    kinds, more = set(), [kind] if kind is not None else []
    while more:
        kind = more.pop()
        kinds.add(kind)
        more += kind.__subclasses__()
    return kinds


def first(bits):
    """What it would give next, which it still does."""
    copy = type(bits)()
    copy.state = bits.state
    return copy.random_raw(4).tolist()
