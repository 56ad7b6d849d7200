"""Gradients beside differences: they agree, and a wrong gradient is found."""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.gradcheck import study as gradcheck_study
from scenarios.gradcheck.config import GradcheckOptions
from scenarios.gradcheck.differences import TimesAndPotentials
from scenarios.gradcheck.network import Setup, leaves, title, tree_of
from scenarios.gradcheck.study import study
from scenarios.running.command.cli import main
from tests.helpers.strategies import examples

SMALL = GradcheckOptions(neurons=3, entries=1)
TITLES = [title(path) for path, _ in leaves(Setup.random(SMALL).tree)]

pytestmark = pytest.mark.jit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder with the differences of the small network."""
    folder = tmp_path_factory.mktemp("gradcheck")
    study(SMALL, folder)
    return folder


def altered(tree, wrong, above=()):
    """A gradient of which one part is off by a millionth of its largest entry."""
    return {
        key: altered(value, wrong, (*above, key))
        if isinstance(value, Mapping)
        else value + 1e-6 * np.abs(value).max() * (title((*above, key)) == wrong)
        for key, value in tree.items()
    }


def test_gradients_and_differences_agree_by_every_parameter(folder):
    results = study(SMALL, folder)
    assert [check.title for check in results.checks] == TITLES
    kinds = {name.split()[0] for name in TITLES}
    assert kinds == {
        "weights", "delays", "tau_mem", "tau_syn", "threshold", "bias", "rest", "reset", "initial",
        "input_times",
    }  # fmt: skip
    for check in results.checks:
        assert check.wrong == [], check.title
        assert check.n_unknown == 0
        assert check.off.max() <= 1e-6 * check.scale, check.title
    assert results.n_spikes > 5


@pytest.mark.parametrize("wrong", TITLES)
def test_a_gradient_that_is_wrong_by_a_millionth_is_found(folder, monkeypatch, wrong):
    monkeypatch.setattr(gradcheck_study, "tree_of", lambda g: altered(tree_of(g), wrong))
    assert [check.title for check in study(SMALL, folder).checks if check.wrong] == [wrong]


def test_the_command_ends_with_an_error_where_a_gradient_is_wrong(monkeypatch, capsys, tmp_path):
    right = TimesAndPotentials.gradient

    def wrong(self, result):
        gradient = right(self, result)
        return replace(gradient, bias={"all": 1.001 * gradient.bias["all"]})

    monkeypatch.setattr(TimesAndPotentials, "gradient", wrong)
    folder = str(tmp_path / "run")
    arguments = ["run", "gradcheck", "--neurons", "2", "--entries", "1", "--folder", folder]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "exact gradients and differences disagree: by bias[" in said
    assert "go on with: eventsim resume" in said
    assert " > " in (tmp_path / "run" / "report.html").read_text().replace("&gt;", ">")
    monkeypatch.setattr(TimesAndPotentials, "gradient", right)
    assert main(["resume", folder]) == 0
    text = capsys.readouterr().out
    for word in ("difference", "exact", "error ≤ limit", "step", "delays in->all r2"):
        assert word in text
    numbers = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(numbers["parameters"]) == TITLES
    assert (tmp_path / "run" / "errors.png").read_bytes().startswith(b"\x89PNG")


@given(
    seed=st.integers(0, 2**32 - 1),
    neurons=st.integers(1, 4),
    receptors=st.integers(1, 2),
    refractory=st.sampled_from([0.0, 0.3, 2.0, np.inf]),
)
@examples(0.03)
def test_gradients_and_differences_agree_for_any_network(seed, neurons, receptors, refractory):
    config = GradcheckOptions(neurons, receptors, refractory, entries=1, seed=seed)
    for check in study(config).checks:
        assert check.wrong == [], (check.title, check.entries, check.exact, check.found)


def test_a_spike_that_appears_is_no_derivative():
    setup = Setup.random(SMALL)
    result = setup.run()
    loss = TimesAndPotentials.random(result, np.random.default_rng(0))
    assert np.isfinite(loss(result))
    awake = setup.moved(("bias", "all"), np.full(3, 2.0)).run()
    assert np.isnan(loss(awake))
