"""Copies side by side: each does what it does alone."""

import numpy as np
import pytest

import eventsim as es
from scenarios.classifier import Classifier, FirstSpikeLoss
from scenarios.copies import Copies, chosen, stacked

NEURON = es.LIF(tau_mem=1.0, tau_syn=0.8)
BATCH = es.SpikeBatch.from_latencies([[0.0, 0.5, 0.3], [0.9, 0.1, 0.2], [0.4, 0.4, 0.7]])
LABELS = np.array([0, 1, 0])
LOSS = FirstSpikeLoss(tau0=0.2, tau1=1.0, gamma=0.1, t_silent=4.0)


def several(n, sizes=(3, 4, 2)):
    """A model, and weights of copies, some of whose neurons are silent."""
    model = Classifier(sizes, NEURON, 4.0, LOSS)
    normals = [(1.2, 0.8)] * (len(sizes) - 1)
    return model, [model.initial(normals, np.random.default_rng(k)) for k in range(n)]


@pytest.mark.parametrize("sizes", [(3, 4, 2), (3, 5, 4, 2)])
def test_copies_have_the_first_spikes_and_gradients_of_each_alone(sizes):
    model, weights = several(5, sizes)
    copies, together = Copies(model, 5), stacked(weights)
    times, step = copies.first_spikes(together, BATCH), copies.step(together, BATCH, LABELS)
    assert np.isinf(times).any()
    assert np.isfinite(times).any()
    for k, own in enumerate(weights):
        np.testing.assert_allclose(times[:, k], model.first_spikes(own, BATCH), rtol=1e-12)
        alone = model.step(own, BATCH, LABELS)
        assert step.accuracy[k] == alone.metrics["accuracy"]
        for name, slope in alone.gradients.items():
            np.testing.assert_allclose(step.gradients[name][k], slope, rtol=1e-12, atol=1e-14)


def test_a_copy_can_leave():
    _, weights = several(3)
    rest = chosen(stacked(weights), np.array([True, False, True]))
    for name, weight in rest.items():
        np.testing.assert_array_equal(weight, [weights[0][name], weights[2][name]])


@pytest.mark.parametrize(
    ("bump", "n", "message"),
    [(0.0, 0, "n must be >= 1, got 0"), (0.5, 3, "bump of copies must be 0, got 0.5")],
)
def test_copies_that_cannot_be_are_refused(bump, n, message):
    with pytest.raises(ValueError, match=message):
        Copies(Classifier((3, 4, 2), NEURON, 4.0, LOSS, bump), n)
