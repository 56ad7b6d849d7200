"""Spike times agree with NEST's neurons in continuous time, independent implementations.

`iaf_psc_exp_ps_lossless` loses no spike, but has one synaptic time constant; `iaf_psc_exp_ps` has
two, and would miss a crossing that is over when it looks; `iaf_psc_delta_ps` has closed forms.
NEST's models that adapt by themselves are integrated numerically or lie on a grid, so none is
comparable; a synapse of a neuron onto itself, onto a slow receptor, is.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import eventsim as es

pytestmark = pytest.mark.peers

RUNNER = Path(__file__).with_name("nest_run.py")
N, T_STOP, OUT_DEGREE = 50, 1000.0, 10
INPUT_RATE = 0.5  # spikes in a ms, of each input
# ms: NEST's step. Sums of its multiples are exact. Of 0.1 they are not, and of charges that two
# paths of equal length bring at once the one, here, may come first, and set the neuron off.
STEP = 0.125


@pytest.fixture(scope="module")
def nest_python() -> str:
    """An interpreter that has NEST: EVENTSIM_NEST_PYTHON, or this one."""
    python = os.environ.get("EVENTSIM_NEST_PYTHON")
    if python:
        return python
    if importlib.util.find_spec("nest"):
        return sys.executable
    pytest.skip("NEST is not importable and EVENTSIM_NEST_PYTHON is not set")


def weakly_coupled_network(
    model: str,
    params: Mapping[str, float],
    driven_to: tuple[float, ...],
    coupled_by: tuple[float, float],
    v_m: tuple[float, float],
) -> dict:
    """50 neurons, each with inputs of its own, coupled too weakly to amplify rounding errors.

    Delays are multiples of NEST's step; everything else lies off the grid. Times in ms, potentials
    in mV; ``driven_to`` is by how much each input moves the potential on average, and
    ``coupled_by`` are the largest weights of synapses, excitatory and inhibitory, in mV/ms or mV.
    """
    rng = np.random.default_rng(20)
    unit = 1.0 if "delta" in model else params["C_m"]  # of weights, in NEST
    taus = [1.0 if "delta" in model else params[f"tau_syn_{'ex' if v > 0.0 else 'in'}"]
            for v in driven_to]  # fmt: skip
    each = unit * np.array(driven_to) / (INPUT_RATE * np.array(taus) * params["tau_m"])
    n_spikes = round(INPUT_RATE * T_STOP)
    pre = np.repeat(np.arange(N), OUT_DEGREE)
    post = np.concatenate([rng.choice(N, OUT_DEGREE, replace=False) for _ in range(N)])
    largest = np.where(rng.random(pre.size) < 0.7, *coupled_by)
    n_inputs = N * len(driven_to)
    return {
        "model": model,
        "params": json.dumps(dict(params)),
        "V_m": rng.uniform(*v_m, N),
        "t_stop": T_STOP,
        "pre": pre,
        "post": post,
        "weights": unit * largest * rng.uniform(0.2, 1.0, pre.size),
        "delays": rng.integers(5, 50, pre.size) * STEP,
        "input_times": np.sort(rng.uniform(0.2, T_STOP - 1.0, (n_inputs, n_spikes))).ravel(),
        "input_indices": np.repeat(np.arange(n_inputs), n_spikes),
        "input_weights": np.repeat(each, N),
        "input_delay": STEP,
        "step": STEP,
    }


def with_adaptation(case: dict, strength: float) -> dict:
    """The same network, with a synapse of each neuron onto itself, as fast as NEST has them."""
    own = np.arange(N)
    more = {"pre": own, "post": own, "weights": np.full(N, -strength), "delays": np.full(N, STEP)}
    return {**case, **{name: np.append(case[name], values) for name, values in more.items()}}


def ours(case: dict, neuron: es.LIF) -> tuple[np.ndarray, np.ndarray]:
    """Spike times and neurons of eventsim."""
    net = es.Network()
    net.add_input("in", case["input_weights"].size)
    net.add_population("all", N, neuron)
    inputs = np.arange(case["input_weights"].size)
    connect(net, case, "in", (inputs, inputs % N, case["input_weights"], case["input_delay"]))
    connect(net, case, "all", [case[name] for name in ("pre", "post", "weights", "delays")])
    stimulus = {"in": es.Spikes(case["input_times"], case["input_indices"])}
    initial = {"all": es.State(potential=case["V_m"])}
    spikes = es.simulate(net, stimulus, case["t_stop"], initial=initial).spikes["all"]
    return spikes.times, spikes.indices


def connect(net: es.Network, case: dict, source: str, synapses) -> None:
    """As NEST does: positive weights lead to the receptor "ex", negative ones to "in"."""
    pre, post, weights, delays = synapses
    unit = 1.0 if "delta" in case["model"] else json.loads(case["params"])["C_m"]
    delays = np.broadcast_to(delays, weights.shape)
    receptors = net.neurons["all"].receptors or (None,)
    for receptor in receptors:
        some = {"ex": weights > 0.0, "in": weights < 0.0, None: weights != 0.0}[receptor]
        n_pre = {**net.inputs, **net.populations}[source]
        matrices = [
            scipy.sparse.csr_array((values[some], (pre[some], post[some])), shape=(n_pre, N))
            for values in (weights / unit, delays)
        ]
        net.connect(source, "all", weights=matrices[0], delays=matrices[1], receptor=receptor)


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


def assert_same_spikes(case: dict, found, expected) -> None:
    (times, indices), (nest_times, nest_indices) = found, expected
    assert len(times) >= 1000
    assert len(set(indices)) == N
    assert len(times) == len(nest_times)
    np.testing.assert_array_equal(indices, nest_indices)
    np.testing.assert_allclose(times, nest_times, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("tau_mem", "tau_syn", "refractory"),
    [(20.0, 5.0, 2.0), (10.0, 2.0, 0.125), (8.0, 12.0, 1.0)],
)
def test_spike_times_of_a_recurrent_network_agree_with_nest(
    tau_mem: float, tau_syn: float, refractory: float, nest_python: str, tmp_path: Path
) -> None:
    model = "iaf_psc_exp_ps_lossless"
    params = {
        "C_m": 1.0, "tau_m": tau_mem, "tau_syn_ex": tau_syn, "tau_syn_in": tau_syn, "I_e": 0.0,
        "E_L": 0.0, "V_reset": 0.0, "V_th": 15.0, "t_ref": refractory,
    }  # fmt: skip
    case = weakly_coupled_network(model, params, (24.0,), (0.05, -0.1), (0.0, 0.0))
    expected = theirs(case, nest_python, tmp_path)
    neuron = es.LIF.from_nest(model, params)
    for same in (neuron, replace(neuron, tau_syn=tau_syn)):
        assert_same_spikes(case, ours(case, same), expected)


@pytest.mark.parametrize(
    "params",
    [
        {"tau_m": 20.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0, "t_ref": 5.0, "E_L": -49.0,
         "V_th": -50.0, "V_reset": -60.0, "C_m": 200.0, "I_e": 0.0},
        {"tau_m": 10.0, "tau_syn_ex": 2.0, "tau_syn_in": 30.0, "t_ref": 1.0, "E_L": -65.0,
         "V_th": -52.0, "V_reset": -58.0, "C_m": 250.0, "I_e": 150.0},
        {"tau_m": 12.0, "tau_syn_ex": 12.0, "tau_syn_in": 3.0, "t_ref": 2.0, "E_L": -60.0,
         "V_th": -50.0, "V_reset": -70.0, "C_m": 100.0, "I_e": -20.0},
    ],
)  # fmt: skip
def test_receptors_with_time_constants_of_their_own_agree_with_nest(
    params: dict, nest_python: str, tmp_path: Path
) -> None:
    model = "iaf_psc_exp_ps"
    case = weakly_coupled_network(model, params, (24.0, -8.0), (0.05, -0.1), (-70.0, -55.0))
    found = ours(case, es.LIF.from_nest(model, params))
    assert_same_spikes(case, found, theirs(case, nest_python, tmp_path))


@pytest.mark.parametrize("current", [0.0, 150.0, 400.0])  # 400: fires without any input
def test_charges_that_arrive_at_once_agree_with_nest(
    current: float, nest_python: str, tmp_path: Path
) -> None:
    model = "iaf_psc_delta_ps"
    params = {
        "tau_m": 10.0, "C_m": 250.0, "t_ref": 2.0, "E_L": -65.0, "V_reset": -68.0, "V_th": -52.0,
        "I_e": current,
    }  # fmt: skip
    case = weakly_coupled_network(model, params, (14.0, -4.0), (1.0, -2.0), (-70.0, -55.0))
    found = ours(case, es.LIF.from_nest(model, params))
    assert_same_spikes(case, found, theirs(case, nest_python, tmp_path))


def test_adaptation_by_a_synapse_of_a_neuron_onto_itself_agrees_with_nest(
    nest_python: str, tmp_path: Path
) -> None:
    model = "iaf_psc_exp_ps"
    params = {
        "tau_m": 20.0, "tau_syn_ex": 5.0, "tau_syn_in": 100.0, "t_ref": 2.0, "E_L": -65.0,
        "V_reset": -60.0, "V_th": -50.0, "C_m": 200.0, "I_e": 0.0,
    }  # fmt: skip
    plain = weakly_coupled_network(model, params, (30.0,), (0.02, 0.05), (-70.0, -55.0))
    case, neuron = with_adaptation(plain, strength=40.0), es.LIF.from_nest(model, params)
    found = ours(case, neuron)
    assert len(found[0]) < 0.8 * len(ours(plain, neuron)[0])
    assert_same_spikes(case, found, theirs(case, nest_python, tmp_path))
