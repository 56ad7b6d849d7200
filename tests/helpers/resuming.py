"""A training that is killed and resumed ends as one that was not."""

from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from scenarios.running import training
from scenarios.running.training import fit
from tests.helpers.stopping import files_in


class KilledError(Exception):
    """Stands for a kill."""


def assert_a_killed_run_resumes(fresh, settings, folder, steps, *, method="step", resumed=None):
    """Kill the run of ``fresh()`` after some steps and go on with it: the same files.

    ``method`` does a step: of a task, or "learn" of a learner.  ``resumed()`` goes on, [fresh].
    """
    with mock.patch.object(training, "time", SimpleNamespace(perf_counter=lambda: 0.0)):
        _kill_and_resume(fresh, settings, folder, steps, method, resumed or fresh)
    assert files_in(folder / "pieces") == files_in(folder / "whole")


def _kill_and_resume(fresh, settings, folder, steps, method, resumed):
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
    assert_same_course(fit(resumed(), settings, folder=folder / "pieces"), whole)


def assert_same_arrays(found, expected):
    """The same arrays by the same names, and at least one."""
    assert found.keys() == expected.keys() != set()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def assert_same_course(pieces, whole):
    """Two trainings are the same, but for the time that they took."""
    assert_same_arrays(pieces.params, whole.params)
    assert pieces.rng == whole.rng
    for one, two in zip(pieces.history, whole.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
