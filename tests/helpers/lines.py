"""Tasks without spikes, which are trained in no time."""

import numpy as np

from scenarios.running.training import Step


class Line:
    """A task without spikes: the slope of a straight line through 20 points, by least squares."""

    n_train = 20

    def __init__(self):
        self.x = np.linspace(-1.0, 1.0, self.n_train)
        self.rows_seen = []

    def initial(self, rng):
        return {"slope": rng.normal(size=1)}

    def step(self, params, rows, rng):  # noqa: ARG002
        self.rows_seen.append(rows)
        x = self.x[rows]
        error = (params["slope"] - 2.0) * x
        metrics = {"loss": float(np.mean(error**2) / 2), "accuracy": 0.0}
        return Step({"slope": np.array([np.mean(error * x)])}, metrics)

    def evaluate(self, params):
        return {"test_accuracy": float(abs(params["slope"][0] - 2.0) < 0.05)}


class NoisyLine(Line):
    """Points that are moved at random in each step."""

    def step(self, params, rows, rng):
        noisy = Line()
        noisy.x = self.x + rng.normal(0.0, 0.1, self.n_train)
        return noisy.step(params, rows, rng)
