"""What all processes of an agent share: for their caches, and for what is made once."""

import os


def directory():
    """Outlives each of them."""
    package = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(os.path.dirname(os.path.dirname(package)), "pytest-shared")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path
