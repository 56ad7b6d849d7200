"""A training that is killed and resumed ends as one that was not."""

import numpy as np
import pytest

from scenarios.training import fit


class KilledError(Exception):
    """Stands for a kill."""


def assert_a_killed_run_resumes(fresh, settings, folder, steps):
    """Kill the run of ``fresh()`` after some steps and go on with it: the same bits."""
    whole = fit(fresh(), settings, folder=folder / "whole")
    killed, done = fresh(), []

    def step(*arguments):
        if len(done) == steps:
            raise KilledError
        done.append(1)
        return type(killed).step(killed, *arguments)

    object.__setattr__(killed, "step", step)
    with pytest.raises(KilledError):
        fit(killed, settings, folder=folder / "pieces")
    pieces = fit(fresh(), settings, folder=folder / "pieces")
    for name in whole.params:
        np.testing.assert_array_equal(pieces.params[name], whole.params[name])
    assert pieces.rng == whole.rng
    for one, two in zip(pieces.history, whole.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
