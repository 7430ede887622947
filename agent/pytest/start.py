"""What the agent starts with the project's Python: lists the tests of a pytest root, or runs some of them.

The directory of this file is on sys.path only while the plugin is imported, so that tests see the path that `pytest`
gives them.
"""

import sys

from dtest_pytest import process

del sys.path[0]

if __name__ == "__main__":
    process.main(sys.argv[1:])
