"""The memory of a process: it keeps what it frees, and knows the most that it has had."""

import platform
import subprocess
import sys

import numpy as np
import pytest

from scenarios.running.memory import peak_memory

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


def test_the_memory_of_a_process_is_that_of_its_arrays():
    before = peak_memory()
    array = np.ones(30_000_000)
    assert 10**6 < before < peak_memory() + 1 <= before + 2 * array.nbytes
