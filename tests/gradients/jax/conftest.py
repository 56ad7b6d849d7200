"""What tests of JAX share: 64 bits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def x64() -> Iterator[None]:
    """Let JAX have 64 bits during a test."""
    jax = pytest.importorskip("jax", reason='the extra "jax" is not installed')
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)
