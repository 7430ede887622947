import os
import sys

import pytest


@pytest.mark.skipif("EXPECT_SYSMON" not in os.environ, reason="another core is as good")
def test_sys_monitoring_is_used():
    assert sys.monitoring.get_tool(sys.monitoring.COVERAGE_ID)
