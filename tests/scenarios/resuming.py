"""A training that is killed and resumed ends as one that was not."""

import numpy as np
import pytest

from scenarios.training import fit


class KilledError(Exception):
    """Stands for a kill."""


def assert_a_killed_run_resumes(fresh, settings, folder, steps, *, method="step", resumed=None):
    """Kill the run of ``fresh()`` after some steps and go on with it: the same bits.

    ``method`` does a step: of a task, or "learn" of a learner.  ``resumed()`` goes on, [fresh].
    """
    whole = fit(fresh(), settings, folder=folder / "whole")
    killed, done = fresh(), []
    real = getattr(killed, method)

    def dying(*arguments):
        if len(done) == steps:
            raise KilledError
        done.append(1)
        return real(*arguments)

    object.__setattr__(killed, method, dying)
    with pytest.raises(KilledError):
        fit(killed, settings, folder=folder / "pieces")
    assert_same_course(fit((resumed or fresh)(), settings, folder=folder / "pieces"), whole)


def assert_same_course(pieces, whole):
    """Two trainings are the same, but for the time that they took."""
    assert set(pieces.params) == set(whole.params)
    for name, array in whole.params.items():
        np.testing.assert_array_equal(pieces.params[name], array)
    assert pieces.rng == whole.rng
    for one, two in zip(pieces.history, whole.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
