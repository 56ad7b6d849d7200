"""The guide for those who come from other simulators: their programs print what it says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.peers

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "coming_from.md").read_text()
PEERS = {  # the variable that names an interpreter; how far its spikes may be from ours, in ms
    "Brian2": ("EVENTSIM_BRIAN_PYTHON", 0.2),
    "NEST": ("EVENTSIM_NEST_PYTHON", 0.0),
    "snnTorch": ("EVENTSIM_TORCH_PYTHON", 0.2),
    "jaxsnn": ("EVENTSIM_JAXSNN_PYTHON", 1e-4),
}


def block(section: str, language: str) -> str:
    """Return the first block of a section that is in a language."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    assert found
    return found[1]


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line)]


@pytest.mark.parametrize("peer", PEERS)
def test_the_spikes_on_the_page_are_near_ours(peer):
    ours = numbers(block("One network, in our words", "python").splitlines()[-2])
    theirs = numbers(block(f"From {peer}", "text").splitlines()[0])
    assert len(ours) == len(theirs) == 3
    assert np.abs(np.subtract(theirs, ours)).max() <= PEERS[peer][1]


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_their_program_prints_what_the_page_says(peer):
    variable, _ = PEERS[peer]
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set")
    command = [os.environ[variable], "-c", block(f"From {peer}", "python")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said = block(f"From {peer}", "text").splitlines()
    assert printed.splitlines()[-len(said) :] == said
