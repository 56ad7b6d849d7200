"""The same graphs of NIR in tools with a clock: their spikes come to ours as the step shrinks."""

import os

import pytest

from tests.peers.nir_steps import TOOLS, error

pytestmark = [pytest.mark.peers("nir"), pytest.mark.jit]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_error_of_a_tool_with_a_clock_is_of_the_order_of_its_step(tool: str) -> None:
    python = os.environ.get("EVENTSIM_TORCH_PYTHON")
    if not python:
        pytest.skip("EVENTSIM_TORCH_PYTHON is not set")
    coarse, fine = (error(python, tool, step) for step in (1e-2, 2e-3))
    assert coarse < 3e-2
    assert 3.0 < coarse / fine < 8.0
