"""The page docs/torch.md: its programs run, and the model that it trains learns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra torch is not installed")

PAGE = Path(__file__).parents[3] / "docs" / "torch.md"


@pytest.mark.jit
@pytest.mark.slow
def test_the_page_trains_a_hybrid_model_as_well_as_it_says() -> None:
    text, names = PAGE.read_text(), dict[str, Any]()
    for program in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(program, names)
    said = re.search(r"it names (\d+) right", text)
    assert said
    assert abs(50 * names["accuracy"] - int(said[1])) <= 2
    assert names["accuracy"] >= 0.9
    assert names["times"].shape == (32, 6)
