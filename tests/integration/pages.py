"""What pages of docs/ show as files, for those who run it as it stands there."""

import os
import re

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")


def blocks(page, kind):
    """The contents of the page's blocks of this kind, such as toml."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        return re.findall(rf"```{kind}\n(.*?)```", file.read(), re.S)
