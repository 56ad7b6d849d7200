"""`gradients.torch` on a device."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

import eventsim as es  # noqa: E402
from gradients.torch import SpikingNetwork  # noqa: E402
from tests.helpers.torch_layers import IN, latencies, network  # noqa: E402


@pytest.mark.cuda
def test_a_device_gives_the_same() -> None:
    plain = network().replace(neurons={"hidden": es.LIF(tau_mem=1.0, tau_syn=0.6)})
    own, there = (SpikingNetwork(plain, t_stop=3.0, engine=e) for e in ("layered", "cuda"))
    found, expected = (each(latencies()[:1]) for each in (there, own))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for outputs in (found, expected):
        outputs.sum().backward()
    torch.testing.assert_close(there.weights[IN].grad, own.weights[IN].grad)
