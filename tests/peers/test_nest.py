"""Spike times agree with NEST's exact neuron model, an independent implementation."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import eventsim as es

pytestmark = pytest.mark.peers

RUNNER = Path(__file__).with_name("nest_run.py")


@pytest.fixture(scope="module")
def nest_python() -> str:
    """An interpreter that has NEST: EVENTSIM_NEST_PYTHON, or this one."""
    python = os.environ.get("EVENTSIM_NEST_PYTHON")
    if python:
        return python
    if importlib.util.find_spec("nest"):
        return sys.executable
    pytest.skip("NEST is not importable and EVENTSIM_NEST_PYTHON is not set")


def weakly_coupled_network(tau_mem: float, tau_syn: float, refractory: float) -> dict:
    """50 neurons, driven to some 40 Hz each, coupled too weakly to amplify rounding errors.

    Delays are multiples of NEST's step of 0.1 ms; everything else lies off the grid. Times in ms.
    """
    rng = np.random.default_rng(20)
    n, t_stop, out_degree = 50, 1000.0, 10
    pre = np.repeat(np.arange(n), out_degree)
    post = np.concatenate([rng.choice(n, out_degree, replace=False) for _ in range(n)])
    input_times = [np.sort(rng.uniform(0.2, t_stop - 1.0, 500)) for _ in range(n)]
    return {
        "n": n,
        "t_stop": t_stop,
        "tau_m": tau_mem,
        "tau_syn_ex": tau_syn,
        "tau_syn_in": tau_syn,
        "V_th": 15.0,
        "t_ref": refractory,
        "pre": pre,
        "post": post,
        "weights": np.where(rng.random(pre.size) < 0.7, 1.0, -2.0)
        * rng.uniform(0.01, 0.05, pre.size),
        "delays": rng.integers(5, 50, pre.size) * 0.1,
        "input_times": np.concatenate(input_times),
        "input_indices": np.repeat(np.arange(n), 500),
        "input_weight": 48.0 / (tau_mem * tau_syn),
        "input_delay": 0.1,
    }


def ours(case: dict) -> tuple[np.ndarray, np.ndarray]:
    """Spike times and neurons of eventsim."""
    n = case["n"]
    net = es.Network()
    net.add_input("in", n)
    neuron = es.LIF(
        case["tau_m"], case["tau_syn_ex"], threshold=case["V_th"], refractory=case["t_ref"]
    )
    net.add_population("all", n, neuron)
    weights = scipy.sparse.identity(n, format="csr") * case["input_weight"]
    net.connect("in", "all", weights=weights, delays=case["input_delay"])
    place = (case["pre"], case["post"])
    weights, delays = (
        scipy.sparse.csr_array((case[name], place), shape=(n, n)) for name in ("weights", "delays")
    )
    net.connect("all", "all", weights=weights, delays=delays)
    stimulus = {"in": es.Spikes(case["input_times"], case["input_indices"])}
    spikes = es.simulate(net, stimulus, case["t_stop"]).spikes["all"]
    return spikes.times, spikes.indices


def theirs(case: dict, python: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Spike times and neurons of NEST, ascending in time."""
    np.savez(folder / "network.npz", **case)
    command = [python, RUNNER, folder / "network.npz", folder / "spikes.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "spikes.npz") as file:
        times, indices = file["times"], file["indices"]
    order = np.lexsort((indices, times))
    return times[order], indices[order]


@pytest.mark.parametrize(
    ("tau_mem", "tau_syn", "refractory"),
    [(20.0, 5.0, 2.0), (10.0, 2.0, 0.1), (8.0, 12.0, 1.0)],
)
def test_spike_times_of_a_recurrent_network_agree_with_nest(
    tau_mem: float, tau_syn: float, refractory: float, nest_python: str, tmp_path: Path
) -> None:
    case = weakly_coupled_network(tau_mem, tau_syn, refractory)
    our_times, our_indices = ours(case)
    nest_times, nest_indices = theirs(case, nest_python, tmp_path)
    assert len(our_times) >= 1000
    assert len(our_times) == len(nest_times)
    np.testing.assert_array_equal(our_indices, nest_indices)
    np.testing.assert_allclose(our_times, nest_times, rtol=0.0, atol=1e-9)
