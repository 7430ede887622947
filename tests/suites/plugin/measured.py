"""Prints what a file of coverage.py has of the files below a directory, as JSON: {file: [lines, arcs]}.

    python measured.py FILE DIRECTORY
"""

import json
import os
import sys

import coverage

data = coverage.CoverageData(basename=sys.argv[1])
data.read()
root = os.path.realpath(sys.argv[2])
print(json.dumps({os.path.relpath(file, root): [sorted(data.lines(file)), sorted(data.arcs(file) or ())]
                  for file in data.measured_files()}))
