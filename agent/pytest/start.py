"""What the agent starts with the project's Python: lists the tests of a pytest root, or runs some of them.

The directory of this file is on sys.path only while the plugin is imported, so that tests see the path that `pytest`
gives them.
"""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
if os.path.abspath(sys.path[0]) == here:  # not where PYTHONSAFEPATH is set
    del sys.path[0]
sys.path.insert(0, here)

from dtest_pytest import process  # noqa: E402

sys.path.remove(here)

if __name__ == "__main__":
    process.start(os.path.abspath(__file__), sys.argv[1:])
