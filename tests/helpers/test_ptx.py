"""Every CUDA kernel is compiled for devices that need not be there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MOST_REGISTERS = 168  # with which three blocks of 128 threads share a multiprocessor


@pytest.mark.jit
@pytest.mark.slow
def test_every_kernel_compiles_without_spilling() -> None:
    pytest.importorskip("numba_cuda", reason="the extra cuda is not installed")
    command = [sys.executable, "-m", "tests.helpers.ptx", "9.0"]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert {"advance, float64", "advance, float32"} <= report.keys()
    for kernel, numbers in report.items():
        assert numbers["bytes"] > 0, kernel
        assert numbers.get("registers", 0) <= MOST_REGISTERS, kernel
        assert numbers.get("spilled", 0) == 0, kernel
