"""Pictures of the scenario `microcircuit` where there is little to show."""

import numpy as np

from scenarios.microcircuit.figures import statistics
from scenarios.microcircuit.model import POPULATIONS
from scenarios.networks.recording import Recording


def test_all_panels_name_all_populations_and_say_where_spikes_are_too_few():
    one = Recording(np.array([5.0]), np.array([0]), 10, 100.0, 0.0)
    for ax in statistics({"this run": dict.fromkeys(POPULATIONS, one)}).axes:
        low, high = ax.get_xlim()
        assert low < 0.0 < len(POPULATIONS) - 1 < high
        said = [text.get_text() for text in ax.texts]
        assert said == ([] if "rate" in ax.get_ylabel() else ["too few spikes"])
