import time
import unittest

import pytest


class TestReport(unittest.TestCase):
    def test_lines_end(self):
        for line in ("Aa 12\n", "Be 7\n"):
            with self.subTest(line=line):
                self.assertTrue(line.endswith("\n"))


@pytest.mark.slow
def test_a_whole_season(tmp_path):
    time.sleep(0.5)
    (tmp_path / "season.txt").write_text("sun\n")
    assert (tmp_path / "season.txt").read_text() == "sun\n"
