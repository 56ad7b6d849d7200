"""Memory that is freed stays with the process."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from scenarios.running.memory import keep_freed_memory
if sys.argv[1] == "keeps":
    assert keep_freed_memory()
for k in range(11):
    if k == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(5_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keeps):
    """Page faults of ten arrays of 40 MB, one after the other."""
    command = [sys.executable, "-c", SCRIPT, "keeps" if keeps else "gives back"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_memory_that_is_kept_is_not_filled_with_zeros_again():
    assert faults(keeps=True) < 100 < faults(keeps=False)
