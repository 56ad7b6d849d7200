"""One table of bad arguments: the call, the exception, and what its message must quote."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import scipy.stats

import eventsim as es
import gradients

NAN, INF = math.nan, math.inf


def net(weights: Any = None, delays: Any = 0.0, **lif: Any) -> es.Network:
    """2 inputs -> 3 neurons."""
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("out", 3, es.LIF(**lif))
    network.connect(
        "in", "out", weights=np.ones((2, 3)) if weights is None else weights, delays=delays
    )
    return network


def receptors(**lif: Any) -> es.Network:
    """As `net`, of neurons with two receptors."""
    return net(tau_syn={"exc": 1.0, "inh": 2.0}, **lif)


def begun(*state: Any, network: es.Network | None = None, **options: Any) -> es.Result:
    """A run whose neurons begin in a state."""
    initial = {"out": es.State(*state)}
    return es.simulate(network or net(), {}, 1.0, initial=initial, **options)


def poisson(rate: Any = 3.0, n: Any = 2, seed: Any = 0) -> es.Network:
    network = net(tau_syn={"exc": 1.0, "step": INF})
    network.add_poisson("ext", n, rate=rate, seed=seed)
    return network


def regular(interval: Any = 0.5, first: Any = 0.0) -> None:
    net().add_regular("clock", 2, interval=interval, first=first)


def step_current(
    amplitudes: Any = None, receptor: Any = "step", post: Any = "out", name: Any = "step"
) -> es.Network:
    network = poisson()
    steps = es.Steps([0.0, 1.0], [0.5, 0.75]) if amplitudes is None else amplitudes
    network.add_step_current(name, post, steps, receptor=receptor)
    return network


def connected(network: es.Network, receptor: Any) -> tuple[Any, ...]:
    return network.connect("in", "out", weights=np.ones((2, 3)), receptor=receptor)


def run(times: Any = (0.1,), indices: Any = (0,), t_stop: Any = 1.0, **options: Any) -> es.Result:
    return es.simulate(net(), {"in": es.Spikes(times, indices)}, t_stop, **options)


def resumed(t_stop: float, times: Any = (), **options: Any) -> es.Result:
    network = net()
    before = es.simulate(network, {"in": es.Spikes([0.1], [0])}, 2.0)
    more = {"in": es.Spikes(times, [0] * len(times))}
    return es.simulate(network, more, t_stop, resume=before, **options)


def part(t_stop: float, times: Any = (), network: Any = None, **options: Any) -> es.Result:
    """As `resumed`, without the history: the run goes on from a part of it."""
    first = next(es.stream(net(), {"in": es.Spikes([0.1], [0])}, 4.0, chunk=2.0))
    more = {"in": es.Spikes(times, [0] * len(times))}
    options = {"history": False} | options
    return es.simulate(network or net(), more, t_stop, resume=first, **options)


def streamed(chunk: Any = 0.5, stimulus: Any = None, **options: Any) -> list[Any]:
    network = options.pop("network", None) or net()
    return list(es.stream(network, stimulus or {}, 1.0, chunk=chunk, **options))


def kept(record: Any, **options: Any) -> es.Result:
    return run(engine="scheduler", record=record, **options)


def crossing(**changes: Any) -> Any:
    arguments = {"current": 1.0, "potential": 0.0, "alpha": 1.0, "beta": 1.0, "threshold": 1.0}
    return es.first_crossing(**(arguments | changes))


def conv(shape: Any = (2, 1, 3, 3), image: Any = (5, 5), **geometry: Any) -> es.Convolution:
    return es.Convolution(np.ones(shape), image, **geometry)


def convolved(weights: Any = None, delays: Any = 0.0, n_post: int = 18) -> es.Network:
    """5 x 5 inputs -> 2 channels of 3 x 3 neurons."""
    network = es.Network()
    network.add_input("in", 25)
    network.add_population("out", n_post, es.LIF())
    network.connect("in", "out", weights=conv() if weights is None else weights, delays=delays)
    return network


def pool(delays: Any = 0.0) -> es.Network:
    """4 inputs -> 1 unit of a pool."""
    network = es.Network()
    network.add_input("in", 4)
    network.add_population("pool", 1, es.LIF.earliest())
    network.connect("in", "pool", weights=np.ones((4, 1)), delays=delays)
    return network


def recurrent() -> es.Network:
    network = net()
    network.connect("out", "out", weights=np.eye(3))
    return network


def deep() -> es.Network:
    network = net()
    network.add_population("more", 2, es.LIF())
    return network


def sparse(value: float = 1.0) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(([value], ([0], [1])), shape=(2, 3))


def latencies(n: int = 2) -> np.ndarray:
    return np.full((n, 3), 0.5)


def penalty(**changes: Any) -> Any:
    arguments = {
        "potentials": np.zeros((2, 3)),
        "counts": np.zeros((2, 3), dtype=int),
        "threshold": 1.0,
        "condition": gradients.dead_neurons(),
    }
    return gradients.spike_count_penalty(**(arguments | changes))


def memory(step: Any = 0, **arrays: Any) -> dict[str, Any]:
    return {"step": step, **{name: {"w": values} for name, values in arrays.items()}}


def update(optimizer: Any, grads: Any = (1.0, 1.0), state: Any = None) -> Any:
    params = {"w": np.zeros(2)}
    state = optimizer.init(params) if state is None else state
    return optimizer.update(params, {"w": np.array(grads)}, state)


def trained(found: Any, **options: Any) -> Any:
    stimulus = {"in": es.Spikes([0.1], [0])}
    return gradients.value_and_grad(net(), stimulus, lambda _: found, 1.0, **options)


def potential_loss(n: int = 3) -> gradients.Loss:
    return gradients.Loss(1.0, potentials={"out": np.zeros(n)})


def drawn(rule: str = "fixed_indegree", *sizes: Any, **options: Any) -> es.Synapses:
    return getattr(es, rule)(*(sizes or (2, 3, 1)), **({"weights": 1.0, "seed": 1} | options))


def broken(**changes: Any) -> es.Synapses:
    """Synapses some of whose arrays were changed by hand, and are as read-only as they were."""
    weights = drawn().weights
    for name, value in changes.items():
        setattr(weights, name, np.asarray(value, dtype=getattr(weights, name).dtype))
        getattr(weights, name).flags.writeable = False
    return es.Synapses(weights)


Row = tuple[str, Callable[[], Any], type[Exception], str]

TABLE: list[Row] = [
    # --- neuron parameters
    ("tau_mem negative", lambda: es.LIF(tau_mem=-1.5), ValueError, r"tau_mem.*-1\.5"),
    ("tau_mem zero", lambda: es.LIF(tau_mem=0.0), ValueError, r"tau_mem.*0\.0"),
    ("tau_mem nan", lambda: es.LIF(tau_mem=NAN), ValueError, r"tau_mem.*nan"),
    ("tau_syn negative", lambda: es.LIF(tau_syn=[1.0, -2.5]), ValueError, r"tau_syn.*-2\.5"),
    (
        "tau_syn zero of some",
        lambda: es.LIF(tau_syn={"a": 1.0, "b": [0.0, 2.5]}),
        ValueError,
        r"tau_syn\['b'\] must be 0 for all neurons or for none, got .*2\.5",
    ),
    ("threshold zero", lambda: es.LIF(threshold=0.0), ValueError, r"threshold.*0\.0"),
    ("threshold negative", lambda: es.LIF(threshold=-3.0), ValueError, r"threshold.*-3\.0"),
    ("threshold nan", lambda: es.LIF(threshold=NAN), ValueError, r"threshold.*nan"),
    ("refractory negative", lambda: es.LIF(refractory=-0.5), ValueError, r"refractory.*-0\.5"),
    ("bias infinite", lambda: es.LIF(bias=INF), ValueError, r"bias.*inf"),
    ("bias nan", lambda: es.LIF(bias=NAN), ValueError, r"bias.*nan"),
    ("parameter a matrix", lambda: es.LIF(tau_mem=np.ones((2, 2))), ValueError, r"\(2, 2\)"),
    ("parameter a word", lambda: es.LIF(tau_mem="long"), ValueError, r"tau_mem.*'long'"),
    ("parameter of wrong length", lambda: net(tau_mem=[1.0, 2.0]), ValueError, r"\(3,\).*\(2,\)"),
    (
        "threshold zero of one that fires on",
        lambda: es.LIF(threshold=[0.0, 0.0], refractory=[INF, 2.5]),
        ValueError,
        r"threshold must be > reset \(or equal .* infinite refractory period\), got 0\.0",
    ),
    ("refractory nan", lambda: es.LIF(refractory=NAN), ValueError, r"refractory.*nan"),
    # --- names and sizes
    ("input size zero", lambda: es.Network().add_input("x", 0), ValueError, r"got 0"),
    ("input size a float", lambda: es.Network().add_input("x", 2.5), ValueError, r"got 2\.5"),
    (
        "population size negative",
        lambda: es.Network().add_population("x", -4, es.LIF()),
        ValueError,
        r"got -4",
    ),
    (
        "neuron no LIF",
        lambda: es.Network().add_population("x", 1, "LIF"),
        ValueError,
        r"got 'LIF'",
    ),
    ("input name taken", lambda: net().add_input("out", 1), ValueError, r"'out'"),
    ("name taken", lambda: net().add_population("in", 1, es.LIF()), ValueError, r"'in'"),
    ("name a number", lambda: es.Network().add_input(7, 1), ValueError, r"got 7"),
    # --- files
    ("path a number", lambda: net().save(7), ValueError, r"path must be the name .*got 7"),
    ("path of bytes", lambda: net().save(b"x"), ValueError, r"path must be the name .*got b'x'"),
    ("path to load a number", lambda: es.Network.load(0), ValueError, r"path must be .*got 0"),
    (
        "path in no folder",
        lambda: net().save("/none/such/net.npz"),
        ValueError,
        r"path must be in a folder that exists, got '/none/such/net\.npz'",
    ),
    (
        "part of a network to be saved",
        lambda: es.Network(part=(1, 2)).save("net.npz"),
        ValueError,
        r"a file needs all synapses of a network, got one .* part \(1, 2\) alone",
    ),
    # --- rules of connection
    (
        "p above 1",
        lambda: drawn("fixed_probability", 2, 3, 1.5),
        ValueError,
        r"p must be in \[0, 1\], got 1\.5",
    ),
    (
        "p negative",
        lambda: drawn("fixed_probability", 2, 3, -1e-300),
        ValueError,
        r"p must be .*-1e-300",
    ),
    (
        "p nan",
        lambda: drawn("fixed_probability", 2, 3, NAN),
        ValueError,
        r"p must be in \[0, 1\], got nan",
    ),
    (
        "p of too many",
        lambda: drawn("fixed_probability", 2**30, 2**30, 0.5),
        ValueError,
        r"p must make at most 2147483647 synapses, got 0\.5, which makes 5\.76",
    ),
    ("indegree negative", lambda: drawn("fixed_indegree", 2, 3, -1), ValueError, r"indegree.*-1"),
    (
        "indegree fractional",
        lambda: drawn("fixed_indegree", 2, 3, 1.5),
        ValueError,
        r"indegree.*1\.5",
    ),
    (
        "indegree above n_pre",
        lambda: drawn("fixed_indegree", 2, 3, 3, allow_multapses=False),
        ValueError,
        r"indegree must be at most 2 for allow_multapses=False, got 3",
    ),
    (
        "outdegree above the others",
        lambda: drawn("fixed_outdegree", 3, 3, 3, allow_multapses=False, allow_self=False),
        ValueError,
        r"outdegree must be at most 2 for allow_multapses=False, got 3",
    ),
    (
        "outdegree of too many",
        lambda: drawn("fixed_outdegree", 2, 3, 2**30),
        ValueError,
        r"outdegree must make at most 2147483647 synapses, got 1073741824",
    ),
    (
        "indegree of a single neuron without itself",
        lambda: drawn("fixed_indegree", 1, 1, 2, allow_self=False),
        ValueError,
        r"indegree must be 0 for allow_self=False and a single neuron, got 2",
    ),
    ("total negative", lambda: drawn("fixed_total_number", 2, 3, -4), ValueError, r"n must.*-4"),
    (
        "one to one of two sizes",
        lambda: drawn("one_to_one", 2, 3),
        ValueError,
        r"n_pre and n_post must be the same, got 2 and 3",
    ),
    (
        "no self of two sizes",
        lambda: drawn(allow_self=False),
        ValueError,
        r"n_pre and n_post must be the same for allow_self=False, got 2 and 3",
    ),
    ("allow_self no flag", lambda: drawn(allow_self=1), ValueError, r"allow_self must be .*got 1"),
    ("seed negative", lambda: drawn(seed=-1), ValueError, r"seed.*-1"),
    ("seed fractional", lambda: drawn(seed=0.5), ValueError, r"seed.*0\.5"),
    ("seed a string", lambda: drawn(seed="one"), ValueError, r"seed.*'one'"),
    (
        "weights of another number",
        lambda: drawn(weights=[1.0, 2.0]),
        ValueError,
        r"weights must be a number, or one for each of the 3 synapses, got shape \(2,\)",
    ),
    (
        "drawn delays of another shape",
        lambda: drawn(delays=lambda rng, size: rng.random((size, 2))),
        ValueError,
        r"delays must be a number, or one for each of the 3 synapses, got shape \(3, 2\)",
    ),
    (
        "drawn weights infinite",
        lambda: drawn(weights=lambda _, size: np.full(size, INF)),
        ValueError,
        r"weights must be finite.*inf",
    ),
    (
        "drawn weights no numbers",
        lambda: drawn(weights=lambda *_: None),
        ValueError,
        r"weights must be real numbers.*None",
    ),
    (
        "drawn delays negative",
        lambda: drawn(delays=scipy.stats.uniform(-2.0, 1.0)),
        ValueError,
        r"delays must be >= 0, got -1",
    ),
    ("delays nan", lambda: drawn(delays=[1.0, NAN, 2.0]), ValueError, r"delays.*NaN, got nan"),
    (
        "synapses of another shape",
        lambda: net().connect("in", "out", drawn("fixed_indegree", 3, 2, 1)),
        ValueError,
        r"synapses must have shape \(n_pre, n_post\) = \(2, 3\), got \(3, 2\)",
    ),
    (
        "synapses no synapses",
        lambda: net().connect("in", "out", np.ones((2, 3))),
        ValueError,
        r"synapses must be eventsim\.Synapses, got array",
    ),
    (
        "weights beside synapses",
        lambda: net().connect("in", "out", drawn(), weights=np.ones((2, 3))),
        ValueError,
        r"weights must be left out beside synapses, got array",
    ),
    (
        "delays beside synapses",
        lambda: net().connect("in", "out", drawn(), delays=0.25),
        ValueError,
        r"delays must be left out beside synapses, got 0\.25",
    ),
    ("no weights", lambda: net().connect("in", "out"), ValueError, r"weights must.*None"),
    (
        "synapses changed to one that is not there",
        lambda: net().connect("in", "out", broken(indices=[0, 1, 3])),
        ValueError,
        r"synapses must be sound: .*< 3",
    ),
    (
        "synapses changed to another order",
        lambda: net().connect("in", "out", broken(indices=[2, 1, 0], indptr=[0, 3, 3])),
        ValueError,
        r"synapses must have the targets of each row in ascending order",
    ),
    (
        "synapses changed to infinity",
        lambda: net().connect("in", "out", broken(data=[1.0, INF, 2.0])),
        ValueError,
        r"weights must be finite.*inf",
    ),
    ("pre unknown", lambda: net().connect("inn", "out", weights=[[1]]), ValueError, r"'inn'"),
    ("post unknown", lambda: net().connect("in", "oout", weights=[[1]]), ValueError, r"'oout'"),
    ("post an input", lambda: net().connect("out", "in", weights=[[1]]), ValueError, r"got 'in'"),
    # --- weights and delays
    ("weights transposed", lambda: net(np.ones((3, 2))), ValueError, r"\(2, 3\).*\(3, 2\)"),
    ("weights a vector", lambda: net(np.ones(3)), ValueError, r"\(2, 3\).*\(3,\)"),
    ("weights nan", lambda: net(np.full((2, 3), NAN)), ValueError, r"weights.*nan"),
    ("weights infinite", lambda: net(sparse(INF)), ValueError, r"weights.*inf"),
    ("weights words", lambda: net([["a"] * 3] * 2), ValueError, r"weights.*'a'"),
    ("delay negative", lambda: net(delays=-0.25), ValueError, r"delays.*-0\.25"),
    ("delay infinite", lambda: net(delays=INF), ValueError, r"delays.*inf"),
    ("delay nan", lambda: net(delays=NAN), ValueError, r"delays.*nan"),
    ("delays negative", lambda: net(delays=np.full((2, 3), -2.0)), ValueError, r"delays.*-2\.0"),
    ("delays of wrong shape", lambda: net(delays=np.ones((3, 2))), ValueError, r"\(3, 2\)"),
    ("sparse delays, dense weights", lambda: net(delays=sparse()), ValueError, r"delays.*sparse"),
    (
        "dense delays, sparse weights",
        lambda: net(sparse(), np.ones((2, 3))),
        ValueError,
        r"delays.*dense",
    ),
    (
        "delays of other entries",
        lambda: net(sparse(), scipy.sparse.csr_array(np.ones((2, 3)))),
        ValueError,
        r"delays.*1.*6",
    ),
    (
        "replace an unknown projection",
        lambda: net().replace(weights={("in", "nowhere"): 1.0}),
        ValueError,
        r"nowhere",
    ),
    (
        "replace with another shape",
        lambda: net().replace(weights={("in", "out"): np.ones((2, 2))}),
        ValueError,
        r"\(2, 3\).*\(2, 2\)",
    ),
    (
        "replace dense by sparse",
        lambda: net().replace(weights={("in", "out"): sparse()}),
        ValueError,
        r"sparse",
    ),
    (
        "replace unknown neurons",
        lambda: net().replace(neurons={"nobody": es.LIF()}),
        ValueError,
        r"nobody",
    ),
    # --- convolutions and pools
    ("kernel a matrix", lambda: conv((3, 3)), ValueError, r"c_out.*\(3, 3\)"),
    ("kernel of no channel", lambda: conv((0, 1, 3, 3)), ValueError, r"\(0, 1, 3, 3\)"),
    (
        "kernel nan",
        lambda: es.Convolution(np.full((1, 1, 2, 2), NAN), (4, 4)),
        ValueError,
        r"kernel.*nan",
    ),
    ("kernel a word", lambda: es.Convolution("blur", (4, 4)), ValueError, r"kernel.*'blur'"),
    ("image a number", lambda: conv(image=25), ValueError, r"image.*\(height, width\).*25"),
    ("image of three", lambda: conv(image=(1, 5, 5)), ValueError, r"image.*\(1, 5, 5\)"),
    ("image of no height", lambda: conv(image=(0, 5)), ValueError, r"height of image.*0"),
    ("image of half a width", lambda: conv(image=(5, 4.5)), ValueError, r"width of image.*4\.5"),
    ("stride zero", lambda: conv(stride=0), ValueError, r"stride.*0"),
    ("stride fractional", lambda: conv(stride=1.5), ValueError, r"stride.*1\.5"),
    ("padding negative", lambda: conv(padding=-1), ValueError, r"padding.*-1"),
    ("padding beyond the kernel", lambda: conv(padding=3), ValueError, r"padding.*\[0, 3\).*3"),
    ("padding fractional", lambda: conv(padding=0.5), ValueError, r"padding.*0\.5"),
    ("padding true", lambda: conv(padding=True), ValueError, r"padding.*True"),
    ("kernel larger than the image", lambda: conv(image=(2, 5)), ValueError, r"window of 3.*2"),
    (
        "kernel larger than the padded image",
        lambda: conv((1, 1, 2, 5), (3, 2), padding=1),
        ValueError,
        r"window of 5 must fit.*with padding.*4",
    ),
    (
        "kernel of another shape",
        lambda: conv().with_kernel(np.ones((2, 1, 3, 2))),
        ValueError,
        r"\(2, 1, 3, 3\).*\(2, 1, 3, 2\)",
    ),
    (
        "convolution onto another number of neurons",
        lambda: convolved(n_post=17),
        ValueError,
        r"\(25, 17\).*\(25, 18\)",
    ),
    (
        "convolution from another number of channels",
        lambda: convolved(conv((2, 2, 3, 3))),
        ValueError,
        r"\(25, 18\).*\(50, 18\)",
    ),
    (
        "delays of each synapse of a convolution",
        lambda: convolved(delays=np.ones((25, 18))),
        ValueError,
        r"delays of a convolution must be a single number, got array",
    ),
    ("delay of a convolution negative", lambda: convolved(delays=-0.5), ValueError, r"-0\.5"),
    (
        "replace a kernel by a matrix",
        lambda: convolved().replace(weights={("in", "out"): np.ones((25, 18))}),
        ValueError,
        r"\(2, 1, 3, 3\).*\(25, 18\)",
    ),
    (
        "kernel too large for a simulation",
        lambda: convolved(es.Convolution(np.full((2, 1, 3, 3), 1e101), (5, 5))),
        ValueError,
        r"weights.*1e\+101",
    ),
    (
        "replace a kernel by one that is too large",
        lambda: convolved().replace(weights={("in", "out"): np.full((2, 1, 3, 3), 1e101)}),
        ValueError,
        r"weights.*1e\+101",
    ),
    (
        "replace a convolution by one of another kernel",
        lambda: convolved().replace(weights={("in", "out"): conv((2, 1, 3, 2))}),
        ValueError,
        r"\(2, 1, 3, 3\).*\(2, 1, 3, 2\)",
    ),
    (
        "replace a matrix by a convolution",
        lambda: net().replace(weights={("in", "out"): conv()}),
        ValueError,
        r"must be a matrix.*Convolution",
    ),
    (
        "tangent of a convolution a matrix",
        lambda: gradients.jvp(
            es.simulate(convolved(), {"in": es.Spikes([0.1], [0])}, 1.0),
            weights={("in", "out"): np.ones((25, 18))},
        ),
        ValueError,
        r"\(2, 1, 3, 3\).*\(25, 18\)",
    ),
    ("pool of a flat image", lambda: es.pooling((4, 4), 2), ValueError, r"\(4, 4\)"),
    ("pool of a number", lambda: es.pooling(16, 2), ValueError, r"image.*16"),
    ("pool without window", lambda: es.pooling((1, 4, 4), 0), ValueError, r"window.*0"),
    ("pool without step", lambda: es.pooling((1, 4, 4), 2, 0), ValueError, r"stride.*0"),
    (
        "pool larger than the image",
        lambda: es.pooling((1, 4, 2), 3),
        ValueError,
        r"window of 3 must fit.*2",
    ),
    (
        "padding beyond the pool",
        lambda: es.pooling((1, 4, 4), 2, padding=2),
        ValueError,
        r"padding.*\[0, 2\).*2",
    ),
    ("delay onto a pool", lambda: pool(0.25), ValueError, r"onto the pool 'pool'.*0\.25"),
    (
        "delays onto a pool",
        lambda: pool(np.array([[0.0], [0.0], [0.75], [0.0]])),
        ValueError,
        r"onto the pool 'pool'.*0\.75",
    ),
    (
        "replaced delay onto a pool",
        lambda: pool().replace(delays={("in", "pool"): 0.5}),
        ValueError,
        r"onto the pool 'pool'.*0\.5",
    ),
    (
        "delayed neurons become a pool",
        lambda: net(delays=1.25).replace(neurons={"out": es.LIF.earliest()}),
        ValueError,
        r"onto the pool 'out'.*1\.25",
    ),
    # --- spike trains
    ("time negative", lambda: es.Spikes([0.5, -0.25], [0, 0]), ValueError, r"times.*-0\.25"),
    ("time nan", lambda: es.Spikes([NAN], [0]), ValueError, r"times.*nan"),
    ("time infinite", lambda: es.Spikes([INF], [0]), ValueError, r"times.*inf"),
    ("times a matrix", lambda: es.Spikes(np.ones((2, 2)), [0]), ValueError, r"\(2, 2\)"),
    ("unequal lengths", lambda: es.Spikes([1.0, 2.0], [0]), ValueError, r"\(2,\).*\(1,\)"),
    ("index negative", lambda: es.Spikes([1.0], [-3]), ValueError, r"indices.*-3"),
    (
        "index beyond int64",
        lambda: es.Spikes([1.0], np.array([2**63], np.uint64)),
        ValueError,
        r"indices must be < 2\*\*63, got 9223372036854775808",
    ),
    ("index fractional", lambda: es.Spikes([1.0], [0.5]), ValueError, r"indices.*0\.5"),
    ("sample too large", lambda: es.SpikeBatch([1.0], [0], [7], 2), ValueError, r"samples.*7"),
    ("sample negative", lambda: es.SpikeBatch([1.0], [0], [-1], 2), ValueError, r"samples.*-1"),
    ("no samples", lambda: es.SpikeBatch([], [], [], 0), ValueError, r"n_samples.*0"),
    ("latency nan", lambda: es.SpikeBatch.from_latencies([[NAN]]), ValueError, r"nan"),
    ("latency negative", lambda: es.SpikeBatch.from_latencies([[-2.5]]), ValueError, r"-2\.5"),
    ("latencies flat", lambda: es.SpikeBatch.from_latencies([1.0]), ValueError, r"\(1,\)"),
    # --- simulate
    ("index out of range", lambda: run([0.5], [2]), ValueError, r"in.*2"),
    (
        "unknown input",
        lambda: es.simulate(net(), {"inn": es.Spikes([], [])}, 1.0),
        ValueError,
        r"'inn'",
    ),
    ("stimulus no Spikes", lambda: es.simulate(net(), {"in": [0.5]}, 1.0), ValueError, r"0\.5"),
    ("t_stop negative", lambda: run(t_stop=-1.5), ValueError, r"t_stop.*-1\.5"),
    ("t_stop nan", lambda: run(t_stop=NAN), ValueError, r"t_stop.*nan"),
    ("t_stop infinite", lambda: run(t_stop=INF), ValueError, r"t_stop.*inf"),
    ("unknown engine", lambda: run(engine="steam"), ValueError, r"engine.*'steam'"),
    (
        "layers of a recurrent network",
        lambda: es.simulate(recurrent(), {}, 1.0, engine="layered"),
        ValueError,
        r"feed-forward.*\['out'\] feed back, got 'layered'",
    ),
    ("no threads", lambda: run(threads=0), ValueError, r"threads.*0"),
    ("max_spikes negative", lambda: run(max_spikes=-1), ValueError, r"max_spikes.*-1"),
    ("t_stop before the last state", lambda: resumed(1.5), ValueError, r"t_stop.*2\.0.*1\.5"),
    ("input before the last state", lambda: resumed(3.0, [1.25]), ValueError, r"1\.25"),
    ("part that ends before it begins", lambda: part(1.5), ValueError, r"t_stop.*2\.0.*1\.5"),
    ("input before a part", lambda: part(3.0, [1.25]), ValueError, r"after 2\.0.*1\.25"),
    ("history no flag", lambda: run(history=2), ValueError, r"history.*got 2"),
    (
        "history of a part",
        lambda: part(3.0, history=True),
        ValueError,
        r"history must be False.*part of a run.*0\.0.*got True",
    ),
    (
        "history of what was not recorded",
        lambda: es.simulate(net(), {}, 2.0, resume=kept([])),
        ValueError,
        r"history must be False.*recorded, got True",
    ),
    (
        "layers in parts",
        lambda: run(engine="layered", history=False),
        ValueError,
        r"history must be True.*'layered'.*got history = False",
    ),
    (
        "layers in a stream",
        lambda: es.stream(net(), {}, 1.0, chunk=0.5, engine="layered"),
        ValueError,
        r"history must be True.*'layered'.*got history = False",
    ),
    (
        "a part of a run of layers",
        lambda: es.simulate(net(), {}, 2.0, resume=run(engine="layered"), history=False),
        ValueError,
        r"history must be True.*'layered'.*got history = False",
    ),
    (
        "until_fired of a part",
        lambda: run(history=False, until_fired="out"),
        ValueError,
        r"until_fired must be None.*got 'out'",
    ),
    (
        "until_fired of a record",
        lambda: kept([], until_fired="out"),
        ValueError,
        r"until_fired must be None with record.*got 'out'",
    ),
    ("record of an unknown population", lambda: kept(["exc"]), ValueError, r"record.*'exc'"),
    ("record of an input", lambda: kept(["in"]), ValueError, r"record.*'in'"),
    ("record a string", lambda: kept("out"), ValueError, r"record.*'out'"),
    (
        "record with a history",
        lambda: resumed(3.0, record=["out"]),
        ValueError,
        r"history must be False with record and resume, got True",
    ),
    (
        "spikes that were not recorded",
        lambda: kept([]).first_spikes("out"),
        ValueError,
        r"one of \[\], whose spikes are recorded, got 'out'",
    ),
    (
        "potential where not all is recorded",
        lambda: kept([]).potential("out", at=0.5),
        ValueError,
        r"at must be t_stop = 1\.0.*got 0\.5",
    ),
    (
        "potential before a part",
        lambda: part(3.0).potential("out", at=2.0),
        ValueError,
        r"at must be > 2\.0.*got 2\.0",
    ),
    ("chunk zero", lambda: streamed(0.0), ValueError, r"chunk.*got 0\.0"),
    ("chunk negative", lambda: streamed(-0.5), ValueError, r"chunk.*got -0\.5"),
    ("chunk nan", lambda: streamed(NAN), ValueError, r"chunk.*got nan"),
    ("chunk too short to be told apart", lambda: streamed(1e-20), ValueError, r"chunk.*got 1e-20"),
    (
        "input that comes too late to a stream",
        lambda: streamed(stimulus=lambda *_: {"in": es.Spikes([0.25], [0])}),
        ValueError,
        r"after 0\.5, where the run goes on, got 0\.25",
    ),
    (
        "nonsense of a closed loop",
        lambda: streamed(stimulus=lambda begin, end: begin + end),
        ValueError,
        r"stimulus.*got 0\.5",
    ),
    (
        "stream that goes on with other synapses",
        lambda: part(3.0, network=net(np.ones((2, 3)), delays=0.5)),
        ValueError,
        r"network must keep the delays of \('in', 'out'\) of resume, got 0\.5",
    ),
    (
        "part of another network",
        lambda: part(3.0, network=receptors()),
        ValueError,
        r"network must keep the receptors of 'out'.*got \{'exc'",
    ),
    (
        "part of a network with more populations",
        lambda: part(3.0, network=deep()),
        ValueError,
        r"network must keep the populations \[\('out', 3\)\].*got .*'more'",
    ),
    (
        "part with other connections",
        lambda: part(3.0, network=net(sparse())),
        ValueError,
        r"network must keep the synapses of \('in', 'out'\) of resume, got",
    ),
    (
        "part with more projections",
        lambda: part(3.0, network=recurrent()),
        ValueError,
        r"network must keep the projections .*got .*\('out', 'out'\)",
    ),
    (
        "potential above a new threshold",
        lambda: part(3.0, network=net(threshold=1e-9)),
        ValueError,
        r"threshold of neuron 0 of 'out'.*at t = 2\.0, got 1e-09",
    ),
    (
        "gradients of a part",
        lambda: gradients.timing_backprop(part(3.0)),
        ValueError,
        r"needs the whole run.*history=True.*got a part from t = 2\.0 to 3\.0",
    ),
    (
        "gradients of what was not recorded",
        lambda: gradients.timing_backprop(kept([])),
        ValueError,
        r"needs the spikes of all populations.*got those of \[\]",
    ),
    ("causality of a part", lambda: part(3.0).causality(), ValueError, r"whole run.*got a part"),
    ("no network", lambda: es.simulate("net", {}, 1.0), ValueError, r"'net'"),
    ("no population", lambda: es.simulate(es.Network(), {}, 1.0), ValueError, r"population"),
    (
        "runaway activity",
        lambda: es.simulate(net(bias=50.0), {}, 10.0, max_spikes=20),
        es.ActivityError,
        r"max_spikes = 20.*'out'.*t = 0\.\d+",
    ),
    # --- reading a result
    ("unknown population", lambda: run().potential("outt"), ValueError, r"'outt'"),
    ("first_spikes of nobody", lambda: run().first_spikes("outt"), ValueError, r"'outt'"),
    ("spike_counts of an input", lambda: run().spike_counts("in"), ValueError, r"'in'"),
    ("potential after t_stop", lambda: run().potential("out", at=1.5), ValueError, r"1\.5"),
    (
        "potential of no such neuron",
        lambda: run().potential("out", neurons=[0, 77]),
        ValueError,
        r"neurons must be < .*'out', got 77",
    ),
    (
        "currents of a table of neurons",
        lambda: run().current("out", neurons=[[0]]),
        ValueError,
        r"neurons .*\(1, 1\)",
    ),
    ("potential before 0", lambda: run().potential("out", at=-0.5), ValueError, r"-0\.5"),
    ("current at nan", lambda: run().current("out", at=NAN), ValueError, r"nan"),
    # --- first_crossing
    ("crossing: current nan", lambda: crossing(current=NAN), ValueError, r"current.*nan"),
    ("crossing: alpha negative", lambda: crossing(alpha=-0.5), ValueError, r"alpha.*-0\.5"),
    ("crossing: beta infinite", lambda: crossing(beta=INF), ValueError, r"beta.*inf"),
    ("crossing: bias infinite", lambda: crossing(bias=-INF), ValueError, r"bias.*-inf"),
    ("crossing: threshold nan", lambda: crossing(threshold=NAN), ValueError, r"threshold.*nan"),
    ("crossing: t_max nan", lambda: crossing(t_max=NAN), ValueError, r"t_max.*nan"),
    ("crossing: above threshold", lambda: crossing(potential=1.25), ValueError, r"1\.25"),
    # --- gradients
    (
        "cotangent of a population unknown",
        lambda: gradients.timing_backprop(run(), potentials={"outt": np.zeros(3)}),
        ValueError,
        r"'outt'",
    ),
    (
        "cotangent of wrong shape",
        lambda: gradients.timing_backprop(run(), potentials={"out": np.zeros(4)}),
        ValueError,
        r"\(3,\).*\(4,\)",
    ),
    (
        "spike cotangent of wrong shape",
        lambda: gradients.timing_backprop(run(), spike_times={"out": np.zeros(5)}),
        ValueError,
        r"\(5,\)",
    ),
    (
        "gradient by nothing known",
        lambda: gradients.timing_backprop(run(), wrt=["weights", "wishes"]),
        ValueError,
        r"wrt must hold some of.*'wishes'",
    ),
    (
        "gradient by a bare string",
        lambda: gradients.timing_backprop(run(), wrt="weights"),
        ValueError,
        r"wrt must hold some of.*got 'weights'",
    ),
    (
        "layered gradient by a rate",
        lambda: gradients.timing_backprop(run(engine="layered"), wrt=("alpha",)),
        ValueError,
        r"wrt must hold some of.*'alpha'",
    ),
    (
        "layered cotangent of wrong shape",
        lambda: gradients.timing_backprop(run(engine="layered"), spike_times={"out": [1.0]}),
        ValueError,
        r"\(0,\).*\(1,\)",
    ),
    (
        "layered cotangent of a silent neuron",
        lambda: gradients.timing_backprop(
            run(engine="layered"), first_spikes={"out": [0.0, 0.0, -1.5]}
        ),
        ValueError,
        r"silent.*-1\.5",
    ),
    (
        "cotangent nan",
        lambda: gradients.timing_backprop(run(), potentials={"out": np.full(3, NAN)}),
        ValueError,
        r"nan",
    ),
    (
        "cotangent of a silent neuron",
        lambda: gradients.timing_backprop(run(), first_spikes={"out": np.array([0.0, 2.5, 0.0])}),
        ValueError,
        r"2\.5",
    ),
    (
        "tangent of an unknown projection",
        lambda: gradients.jvp(run(), weights={("in", "nowhere"): np.ones((2, 3))}),
        ValueError,
        r"nowhere",
    ),
    (
        "tangent of wrong shape",
        lambda: gradients.jvp(run(), weights={("in", "out"): np.ones((3, 2))}),
        ValueError,
        r"\(3, 2\)",
    ),
    (
        "jacobian with respect to nothing known",
        lambda: gradients.jacobian(run().causality(), wrt="wishes"),
        ValueError,
        r"'wishes'",
    ),
    (
        "label out of range",
        lambda: gradients.first_spike_cross_entropy(
            latencies(1), [3], tau0=0.2, tau1=1.0, gamma=0.0, t_silent=2.0
        ),
        ValueError,
        r"3",
    ),
    (
        "labels too few",
        lambda: gradients.first_spike_cross_entropy(
            latencies(2), [0], tau0=0.2, tau1=1.0, gamma=0.0, t_silent=2.0
        ),
        ValueError,
        r"\(1,\)",
    ),
    (
        "tau0 negative",
        lambda: gradients.first_spike_cross_entropy(
            latencies(1), [0], tau0=-0.25, tau1=1.0, gamma=0.0, t_silent=2.0
        ),
        ValueError,
        r"tau0.*-0\.25",
    ),
    (
        "times smoothed too much",
        lambda: gradients.first_spike_cross_entropy(
            latencies(1), [0], tau0=0.2, t_silent=2.0, smoothing=1.5
        ),
        ValueError,
        r"smoothing.*1\.5",
    ),
    (
        "membrane label out of range",
        lambda: gradients.membrane_cross_entropy(latencies(1), [3]),
        ValueError,
        r"labels.*< 3.*3",
    ),
    (
        "membrane label negative",
        lambda: gradients.membrane_cross_entropy(latencies(1), [-2]),
        ValueError,
        r"labels.*-2",
    ),
    (
        "membrane label fractional",
        lambda: gradients.membrane_cross_entropy(latencies(1), [0.5]),
        ValueError,
        r"labels.*0\.5",
    ),
    (
        "membrane labels too many",
        lambda: gradients.membrane_cross_entropy(latencies(1), [0, 1]),
        ValueError,
        r"\(1, 3\).*\(2,\)",
    ),
    (
        "membrane loss of no sample",
        lambda: gradients.membrane_cross_entropy(np.empty((0, 3)), []),
        ValueError,
        r"\(0, 3\)",
    ),
    (
        "potential infinite",
        lambda: gradients.membrane_cross_entropy([[0.0, INF]], [0]),
        ValueError,
        r"potentials.*inf",
    ),
    (
        "smoothing negative",
        lambda: gradients.membrane_cross_entropy(latencies(1), [0], smoothing=-0.25),
        ValueError,
        r"smoothing.*-0\.25",
    ),
    (
        "norm penalty nan",
        lambda: gradients.membrane_cross_entropy(latencies(1), [0], norm_penalty=NAN),
        ValueError,
        r"norm_penalty.*nan",
    ),
    ("penalty: potential nan", lambda: penalty(potentials=[[NAN] * 3] * 2), ValueError, r"nan"),
    ("penalty: flat", lambda: penalty(potentials=np.zeros(3)), ValueError, r"\(3,\)"),
    ("penalty: counts differ", lambda: penalty(counts=[[0, 1, 2]]), ValueError, r"\(1, 3\)"),
    ("penalty: count negative", lambda: penalty(counts=[[-4] * 3] * 2), ValueError, r"counts.*-4"),
    ("penalty: threshold infinite", lambda: penalty(threshold=INF), ValueError, r"threshold.*inf"),
    ("penalty: two thresholds", lambda: penalty(threshold=[1.0, 2.0]), ValueError, r"\(2,\)"),
    (
        "penalty: flags are numbers",
        lambda: penalty(condition=lambda counts: counts),
        ValueError,
        r"condition.*bool.*int64",
    ),
    (
        "penalty: flags of another shape",
        lambda: penalty(condition=lambda counts: counts[:, 0] > 0),
        ValueError,
        r"condition.*\(3,\).*\(2,\)",
    ),
    ("dead in no sample", lambda: gradients.dead_neurons(0.0), ValueError, r"fraction.*0\.0"),
    ("dead in too many", lambda: gradients.dead_neurons(1.5), ValueError, r"fraction.*1\.5"),
    ("counts of one sample", lambda: gradients.dead_neurons()([1, 2]), ValueError, r"\(2,\)"),
    ("loss nan", lambda: gradients.Loss(NAN), ValueError, r"value.*nan"),
    ("loss an array", lambda: gradients.Loss(np.zeros(2)), ValueError, r"value.*0\."),
    (
        "loss with words",
        lambda: gradients.Loss(1.0, potentials={"out": ["a"]}),
        ValueError,
        r"potentials\['out'\].*'a'",
    ),
    ("loss times nan", lambda: NAN * gradients.Loss(1.0), ValueError, r"factor.*nan"),
    (
        "sum of derivatives of two shapes",
        lambda: sum(
            [gradients.Loss(1.0, potentials={"out": np.zeros(n)}) for n in (2, 3)],
            start=gradients.Loss(0.0),
        ),
        ValueError,
        r"potentials\['out'\].*\(2,\).*\(3,\)",
    ),
    (
        "sum of metrics of one name",
        lambda: gradients.Loss(1.0, metrics={"a": 1.0}) + gradients.Loss(1.0, metrics={"a": 2.0}),
        ValueError,
        r"metrics.*'a'",
    ),
    # --- what is no dict, even if it is empty; and what numpy would take something from
    ("replace by nothing", lambda: net().replace(weights=0), ValueError, r"weights.*dict, got 0"),
    (
        "replace by a list",
        lambda: net().replace(neurons=[]),
        ValueError,
        r"neurons.*dict, got \[\]",
    ),
    ("key a list", lambda: net().replace(delays={"in": 1}), ValueError, r"delays.*got 'in'"),
    ("tangent a word", lambda: gradients.jvp(run(), weights=""), ValueError, r"weights.*dict.*''"),
    ("tangent a list", lambda: gradients.jvp(run(), bias=[]), ValueError, r"bias.*dict, got \[\]"),
    (
        "cotangent an empty list",
        lambda: gradients.timing_backprop(run(), first_spikes=[]),
        ValueError,
        r"first_spikes.*dict, got \[\]",
    ),
    (
        "integrals without ends",
        lambda: gradients.timing_backprop(run(), integrals={"out": [1.0, 2.0]}),
        ValueError,
        r"integrals\['out'\].*\[1\.0, 2\.0\]",
    ),
    (
        "gradient by what is no list",
        lambda: gradients.timing_backprop(run(), wrt=3),
        ValueError,
        r"wrt.*got 3",
    ),
    (
        "derivatives a list",
        lambda: gradients.Loss(1.0, potentials=[1.0]),
        ValueError,
        r"potentials.*dict, got \[1\.0\]",
    ),
    ("metrics a word", lambda: gradients.Loss(1.0, metrics={"a": "b"}), ValueError, r"'a'.*'b'"),
    ("weights complex", lambda: net(np.full((2, 3), 1j)), ValueError, r"weights.*real.*1\.j"),
    ("sparse weights complex", lambda: net(sparse() * 1j), ValueError, r"weights.*real.*complex"),
    (
        "weights masked",
        lambda: net(np.ma.masked_equal([[1.0, 2.0, 3.0]] * 2, 2.0)),
        ValueError,
        r"weights must be without a mask, got masked",
    ),
    ("weights flags", lambda: net(np.ones((2, 3), bool)), ValueError, r"weights.*True"),
    ("crossing: current a word", lambda: crossing(current="4"), ValueError, r"current.*'4'"),
    ("crossing: bias a flag", lambda: crossing(bias=True), ValueError, r"bias.*True"),
    (
        "crossing: a date",
        lambda: crossing(t_max=np.datetime64("2000")),
        ValueError,
        r"t_max.*datetime64",
    ),
    (
        "crossing: shapes",
        lambda: crossing(current=[1.0, 2.0], alpha=[1.0] * 3),
        ValueError,
        r"current.*alpha.*broadcast.*\(2,\).*\(3,\)",
    ),
    ("spikes until unknown", lambda: run(until_fired=["out"]), ValueError, r"fired.*\['out'\]"),
    ("too many spikes", lambda: run(max_spikes=10**30), ValueError, r"max_spikes.*got 1000"),
    (
        "more neurons than numbers",
        lambda: net().add_population("more", 2**31 - 1, es.LIF()),
        ValueError,
        r"size of population 'more' must be at most 2147483642, got 2147483647",
    ),
    (
        "graph not directed",
        lambda: gradients.jacobian(nx.Graph()),
        ValueError,
        r"graph.*DiGraph, got <networkx",
    ),
    (
        "kernels a word",
        lambda: gradients.jacobian(run().causality(), kernels="a"),
        ValueError,
        "'a'",
    ),
    ("equations of nobody", lambda: run().causality().equations([3], [0.5]), ValueError, r"< 3.*3"),
    (
        "equations after the end",
        lambda: run().causality().equations([0], [1.5]),
        ValueError,
        r"times must be in \[0, 1\.0\], got 1\.5",
    ),
    (
        "end of another simulator's spikes a word",
        lambda: es.CausalityGraph.from_spikes(net(), {}, {}, "late"),
        ValueError,
        r"t_stop.*'late'",
    ),
    # --- training
    (
        "parameter nan",
        lambda: gradients.SGD(0.1).update({"w": [NAN]}, {"w": [1.0]}, memory()),
        ValueError,
        r"params\['w'\] must be finite, got nan",
    ),
    (
        "memory infinite",
        lambda: update(gradients.SGD(0.1), state=memory(mean=[INF, 0.0])),
        ValueError,
        r"state: mean\['w'\] must be finite, got inf",
    ),
    (
        "mean square negative",
        lambda: update(gradients.Adam(), state=memory(mean=[0.0] * 2, square=[1.0, -0.25])),
        ValueError,
        r"square of 'w' must be >= 0, got -0\.25",
    ),
    (
        "memory of what is not trained",
        lambda: update(
            gradients.SGD(0.1), state={"step": 0, "mean": {"w": [0.0] * 2, "v": [0.0] * 2}}
        ),
        ValueError,
        r"state: mean must hold \['w'\] alone, got 'v'",
    ),
    (
        "state of more than there is",
        lambda: update(gradients.SGD(0.1), state=memory(mean=[0.0] * 2, square=[0.0] * 2)),
        ValueError,
        r"state must hold \['step', 'mean'\] alone, got 'square'",
    ),
    (
        "step of half",
        lambda: update(gradients.SGD(0.1), state=memory(0.5, mean=[0.0] * 2)),
        ValueError,
        r"step must be an integer >= 0, got 0\.5",
    ),
    ("parameters a list", lambda: gradients.Adam().init([1.0]), ValueError, r"params.*\[1\.0\]"),
    ("eps a word", lambda: gradients.Adam(eps="small"), ValueError, r"eps.*'small'"),
    (
        "extreme gamma",
        lambda: gradients.first_spike_cross_entropy(
            [[0.0, 1e-300]], [0], tau0=1e-320, tau1=1e-300, gamma=1e300, t_silent=1.0, smoothing=0.5
        ),
        ValueError,
        r"gamma.*derivative is a number, got 1e\+300",
    ),
    ("learning rate negative", lambda: gradients.Adam(lr=-0.1), ValueError, r"lr.*-0\.1"),
    ("learning rate a word", lambda: gradients.SGD("fast"), ValueError, r"lr.*'fast'"),
    ("betas too large", lambda: gradients.Adam(betas=(0.9, 1.5)), ValueError, r"1\.5"),
    ("one beta", lambda: gradients.Adam(betas=(0.9,)), ValueError, r"betas.*\(0\.9,\)"),
    ("momentum too large", lambda: gradients.SGD(0.1, momentum=1.5), ValueError, r"1\.5"),
    ("decay negative", lambda: gradients.Adam(weight_decay=-1.5), ValueError, r"decay.*-1\.5"),
    ("clipped to nothing", lambda: gradients.SGD(0.1, clip_norm=0.0), ValueError, r"norm.*0\.0"),
    (
        "scheduled rate negative",
        lambda: update(gradients.SGD(lambda step: -0.5 - step)),
        ValueError,
        r"learning rate of step 0.*-0\.5",
    ),
    ("gradient nan", lambda: update(gradients.Adam(), (1.0, NAN)), ValueError, r"'w'.*nan"),
    ("gradient infinite", lambda: update(gradients.SGD(0.1), (INF, 1.0)), ValueError, r"'w'.*inf"),
    ("gradient too large", lambda: update(gradients.Adam(), (1.0, -1e151)), ValueError, r"1e\+151"),
    ("gradient too long", lambda: update(gradients.Adam(), [1.0] * 3), ValueError, r"\(3,\)"),
    (
        "state of another optimizer",
        lambda: update(gradients.Adam(), state=gradients.SGD(0.1).init({"w": np.zeros(2)})),
        ValueError,
        r"square of 'w'.*None",
    ),
    (
        "state of other parameters",
        lambda: update(gradients.SGD(0.1), state=gradients.SGD(0.1).init({"w": np.zeros(3)})),
        ValueError,
        r"mean of 'w'.*\(2,\).*\(3,\)",
    ),
    (
        "loss no function",
        lambda: gradients.value_and_grad(net(), {}, 2.5, 1.0),
        ValueError,
        r"loss.*2\.5",
    ),
    ("loss returns a number", lambda: trained(2.5), ValueError, r"Loss.*2\.5"),
    ("loss of wrong shape", lambda: trained(potential_loss(4)), ValueError, r"\(3,\).*\(4,\)"),
    (
        "potentials at an early end",
        lambda: trained(potential_loss(), until_fired="out"),
        ValueError,
        r"until_fired.*'out'",
    ),
    (
        "differentiated by nothing known",
        lambda: trained(potential_loss(), wrt=("weights", "wishes")),
        ValueError,
        r"wrt.*'wishes'",
    ),
    # --- receptors, rest and reset
    ("receptor unknown", lambda: connected(receptors(), "nmda"), ValueError, r"'inh'.*'nmda'"),
    ("receptor a number", lambda: connected(receptors(), 1), ValueError, r"receptor.*got 1"),
    (
        "receptor where they have no names",
        lambda: connected(net(), "exc"),
        ValueError,
        r"receptor.*'out'.*\[\], got 'exc'",
    ),
    ("no receptor", lambda: es.LIF(tau_syn={}), ValueError, r"tau_syn.*1 to 127 rec.*got 0"),
    ("name of a receptor", lambda: es.LIF(tau_syn={3: 1.0}), ValueError, r"named by.*got 3"),
    (
        "time constant of a receptor",
        lambda: es.LIF(tau_syn={"exc": 1.0, "inh": -2.5}),
        ValueError,
        r"tau_syn\['inh'\].*got -2\.5",
    ),
    (
        "receptors of two lengths",
        lambda: es.LIF(tau_syn={"exc": [1.0] * 2, "inh": [1.0] * 3}),
        ValueError,
        r"same length, got .*'inh'.*3",
    ),
    (
        "receptor of other neurons",
        lambda: net(tau_syn={"exc": [1.0, 2.0]}),
        ValueError,
        r"tau_syn\['exc'\].*\(3,\), got \(2,\)",
    ),
    (
        "current of an unknown receptor",
        lambda: begun(network=receptors()).current("out", receptor="nmda"),
        ValueError,
        r"receptor.*'inh'.*got 'nmda'",
    ),
    (
        "replaced by other receptors",
        lambda: receptors().replace(neurons={"out": es.LIF(tau_syn=0.25)}),
        ValueError,
        r"'inh'.*got 0\.25",
    ),
    (
        "replaced by a receptor where they have no names",
        lambda: net().replace({"tau_syn": {"out": {"exc": 2.5}}}),
        ValueError,
        r"tau_syn\['out'\].*receptors.*'exc': 2\.5",
    ),
    (
        "replaced at an unknown receptor",
        lambda: receptors().replace({"tau_syn": {"out": {"nmda": 2.5}}}),
        ValueError,
        r"tau_syn.*'inh'.*got 'nmda'",
    ),
    ("reset above", lambda: es.LIF(reset=1.5), ValueError, r"> reset.*got 1\.0.*reset 1\.5"),
    ("reset above of one", lambda: es.LIF(reset=[0.5, 2.5]), ValueError, r"got 1\.0.*reset 2\.5"),
    ("reset nan", lambda: es.LIF(reset=NAN), ValueError, r"reset.*nan"),
    ("rest infinite", lambda: es.LIF(rest=INF), ValueError, r"rest.*inf"),
    (
        "rest above the threshold",
        lambda: es.simulate(net(rest=1.5), {}, 1.0),
        ValueError,
        r"rest of 'out', where it begins, must be below the threshold, got 1\.5",
    ),
    # --- where a run begins
    ("begun at the threshold", lambda: begun(1.0), ValueError, r"potential.*'out'.*got 1\.0"),
    ("begun above", lambda: begun([0.0, 0.5, 2.5]), ValueError, r"potential.*'out'.*got 2\.5"),
    ("begun at nan", lambda: begun(NAN), ValueError, r"potential.*nan"),
    ("begun at infinity", lambda: begun(-INF), ValueError, r"potential.*-inf"),
    ("begun with a word", lambda: begun("low"), ValueError, r"potential.*'low'"),
    ("begun with too few", lambda: begun([0.1, 0.2]), ValueError, r"potential.*\(3,\).*\(2,\)"),
    ("begun for two", lambda: begun(np.zeros((2, 3))), ValueError, r"\(1, 3\), got \(2, 3\)"),
    ("begun with a cube", lambda: begun(np.zeros((1, 1, 1))), ValueError, r"\(1, 1, 1\)"),
    ("current at the start nan", lambda: begun(None, NAN), ValueError, r"current.*nan"),
    (
        "current at the start for too many",
        lambda: begun(None, {"inh": [1.0] * 4}, network=receptors()),
        ValueError,
        r"current.*'out'.*\(3,\).*\(4,\)",
    ),
    (
        "current at the start of an unknown receptor",
        lambda: begun(None, {"nmda": 1.0}, network=receptors()),
        ValueError,
        r"current.*'out'.*'inh'.*'nmda'",
    ),
    (
        "current at the start nan of a receptor",
        lambda: begun(None, {"inh": NAN}, network=receptors()),
        ValueError,
        r"current\['inh'\].*nan",
    ),
    (
        "current at the start of which receptor",
        lambda: begun(None, 2.5, network=receptors()),
        ValueError,
        r"current.*'out'.*dict.*'inh'.*2\.5",
    ),
    (
        "current at the start by a receptor without a name",
        lambda: begun(None, {"exc": 2.5}),
        ValueError,
        r"current.*'out'.*\[\].*'exc'",
    ),
    (
        "initial of an input",
        lambda: es.simulate(net(), {}, 1.0, initial={"in": es.State(0.1)}),
        ValueError,
        r"initial.*'out'.*got 'in'",
    ),
    (
        "initial a number",
        lambda: es.simulate(net(), {}, 1.0, initial={"out": 0.25}),
        ValueError,
        r"initial\['out'\].*State.*0\.25",
    ),
    (
        "initial of a run that goes on",
        lambda: resumed(3.0, initial={"out": es.State(0.25)}),
        ValueError,
        r"initial must be None with resume.*0\.25",
    ),
    (
        "initial of a graph above the threshold",
        lambda: es.CausalityGraph.from_spikes(net(), {}, {}, initial={"out": es.State(2.5)}),
        ValueError,
        r"potential.*'out'.*2\.5",
    ),
    # --- what engines, time steps and directions do not know
    (
        "receptors on a device",
        lambda: es.simulate(receptors(), {}, 1.0, engine="cuda"),
        ValueError,
        r"'cuda' needs .* one receptor, got .*'inh'.*'out'",
    ),
    ("begun on a device", lambda: begun(0.25, engine="cuda"), ValueError, r"initial.*0\.25"),
    (
        "at rest elsewhere on a device",
        lambda: es.simulate(net(rest=[0.0, 0.0, -0.25]), {}, 1.0, engine="cuda"),
        ValueError,
        r"'cuda' needs a rest of 0 in 'out', got .*-0\.25",
    ),
    (
        "charges in layers",
        lambda: es.simulate(net(tau_syn={"exc": 2.0, "fast": 0.0}), {}, 1.0, engine="layered"),
        ValueError,
        r"'layered' needs tau_syn > 0, got 0\.0 at receptor 'fast' of 'out'",
    ),
    (
        "direction of an unknown receptor",
        lambda: gradients.jvp(begun(network=receptors()), tau_syn={"out": {"nmda": 1.0}}),
        ValueError,
        r"tau_syn\['out'\].*'inh'.*'nmda'",
    ),
    (
        "direction of which receptor",
        lambda: gradients.jvp(begun(network=receptors()), tau_syn={"out": 2.5}),
        ValueError,
        r"tau_syn\['out'\].*dict.*2\.5",
    ),
    (
        "direction of the time constant of charges",
        lambda: gradients.jvp(begun(network=net(tau_syn=0.0)), tau_syn={"out": 2.5}),
        ValueError,
        r"tau_syn\['out'\] must be 0 at .*charges, got 2\.5",
    ),
    (
        "direction of no state",
        lambda: gradients.jvp(begun(), initial={"out": 2.5}),
        ValueError,
        r"initial\['out'\].*State.*2\.5",
    ),
    (
        "direction of too few states",
        lambda: gradients.jvp(begun(), initial={"out": es.State([1.0, 2.5])}),
        ValueError,
        r"initial\['out'\].*\(3,\).*\(2,\)",
    ),
    ("rate negative", lambda: poisson([1.0, -2.5]), ValueError, r"rate must be >= 0.*-2\.5"),
    ("rate NaN", lambda: poisson(NAN), ValueError, r"rate.*nan"),
    ("rate infinite", lambda: poisson([INF, 1.0]), ValueError, r"rate.*inf"),
    ("rate of too many", lambda: poisson(np.ones(3)), ValueError, r"rate.*\(2,\).*\(3,\)"),
    ("rate of steps", lambda: poisson(es.Steps([0.5], [-1.5])), ValueError, r"rate.*-1\.5"),
    (
        "rate of steps of too many",
        lambda: poisson(es.Steps([0.5], np.ones((1, 3)))),
        ValueError,
        r"rate.*\(n_steps, 2\).*\(1, 3\)",
    ),
    ("seed negative", lambda: poisson(seed=-7), ValueError, r"seed.*>= 0.*-7"),
    ("seed too large", lambda: poisson(seed=2**64), ValueError, r"seed.*1844674407370955161\d"),
    ("seed no integer", lambda: poisson(seed=0.5), ValueError, r"seed.*0\.5"),
    ("no source", lambda: poisson(n=0), ValueError, r"size of input 'ext'.*0"),
    ("generator twice", lambda: poisson().add_input("ext", 2), ValueError, r"'ext' exists.*'ext'"),
    ("steps of no time", lambda: es.Steps([], []), ValueError, r"times.*at least one.*\(0,\)"),
    ("steps that fall", lambda: es.Steps([1, 0.5], [1, 1]), ValueError, r"times.*ascend.*0\.5"),
    ("steps at once", lambda: es.Steps([2.5, 2.5], [1, 1]), ValueError, r"times.*ascend.*2\.5"),
    ("steps before 0", lambda: es.Steps([-1.5, 1], [1, 1]), ValueError, r"times.*>= 0.*-1\.5"),
    ("steps never", lambda: es.Steps([NAN], [1]), ValueError, r"times.*nan"),
    ("steps too few", lambda: es.Steps([0, 1], [1]), ValueError, r"values.*2.*\(1,\)"),
    ("steps to infinity", lambda: es.Steps([0], [INF]), ValueError, r"values.*inf"),
    ("interval zero", lambda: regular([1.0, 0.0]), ValueError, r"interval.*0\.0"),
    ("interval negative", lambda: regular(-2.5), ValueError, r"interval.*> 0.*-2\.5"),
    ("interval infinite", lambda: regular(INF), ValueError, r"interval.*inf"),
    ("interval of too many", lambda: regular(np.ones(3)), ValueError, r"interval.*\(3,\)"),
    ("first before 0", lambda: regular(first=-0.5), ValueError, r"first.*>= 0.*-0\.5"),
    (
        "step current that decays",
        lambda: step_current(receptor="exc"),
        ValueError,
        r"receptor of the step current 'step'.*tau_syn = inf.*1\.0",
    ),
    (
        "step current that comes to decay",
        lambda: step_current().replace({"tau_syn": {"out": {"step": 2.5}}}),
        ValueError,
        r"receptor of the step current 'step'.*tau_syn = inf.*2\.5",
    ),
    ("step current to none", lambda: step_current(post="in"), ValueError, r"post.*'in'"),
    ("step current of none", lambda: step_current(0.5), ValueError, r"amplitudes.*Steps.*0\.5"),
    (
        "step current for too many",
        lambda: step_current(es.Steps([0.5], np.ones((1, 2)))),
        ValueError,
        r"amplitudes.*\(n_steps, 3\).*\(1, 2\)",
    ),
    (
        "step current at an unknown receptor",
        lambda: step_current(receptor="nmda"),
        ValueError,
        r"receptor.*'nmda'",
    ),
    (
        "spikes of a generator",
        lambda: es.simulate(poisson(), {"ext": es.Spikes([0.5], [0])}, 1.0),
        ValueError,
        r"without spikes of their own \['in'\], got 'ext'",
    ),
    (
        "more drawn spikes than fit",
        lambda: es.simulate(poisson(1e4), [{}] * 50, 2e3),
        ValueError,
        r"t_stop.*1e\+09 spikes.*'ext'.*2e\+09.*2000\.0",
    ),
    (
        "intervals that are not resolved",
        lambda: es.simulate(poisson(), {}, 1e50),
        ValueError,
        r"t_stop.*2\.86\d+e\+09.*'ext'.*1e\+50",
    ),
    ("rates of an input", lambda: poisson().replace(rates={"in": 2.0}), ValueError, r"rates.*'in'"),
    (
        "rates negative",
        lambda: poisson().replace(rates={"ext": -2.5}),
        ValueError,
        r"rates\['ext'\] must be >= 0.*-2\.5",
    ),
    ("drawn from an input", lambda: poisson().draw("in", 1.0), ValueError, r"generators.*'in'"),
    ("drawn to no time", lambda: poisson().draw("ext", INF), ValueError, r"t_stop.*inf"),
    (
        "drawn from the end",
        lambda: poisson().draw("ext", 1.0, t_start=2.5),
        ValueError,
        r"t_start.*1\.0.*2\.5",
    ),
    (
        "drawn for no sample",
        lambda: poisson().draw("ext", 1.0, sample=-3),
        ValueError,
        r"sample.*-3",
    ),
    ("constant rate zero", lambda: gradients.constant(0.0), ValueError, r"lr.*0\.0"),
    ("cosine of no step", lambda: gradients.cosine(0.1, 0), ValueError, r"n_steps.*0"),
    ("cosine that rises", lambda: gradients.cosine(0.1, 9, final=0.5), ValueError, r"0\.1.*0\.5"),
    ("warmup too long", lambda: gradients.cosine(0.1, 5, warmup=7), ValueError, r"warmup.*5.*7"),
    ("warmup negative", lambda: gradients.cosine(0.1, 5, warmup=-3), ValueError, r"warmup.*-3"),
    ("decay that grows", lambda: gradients.step_decay(0.1, 1.5, 3), ValueError, r"factor.*1\.5"),
    ("decay at no step", lambda: gradients.step_decay(0.1, 0.5, 0), ValueError, r"every.*0"),
    ("step negative", lambda: gradients.cosine(0.1, 5)(-1), ValueError, r"step.*-1"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_bad_argument_is_an_error_that_quotes_it(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    found = re.search(f"(?s).*(?:{message})", text)  # the last place
    assert found
    assert "got" not in text or found.end() > text.index("got")


def test_a_good_call_of_every_kind_is_none() -> None:
    """The table's helpers fail for the reason given, not for another."""
    net(sparse(), sparse(0.5))
    run(max_spikes=10, engine="auto")
    run(engine="layered", threads=1)
    convolved(conv(padding=0), delays=0.5)
    pool()
    regular()
    step_current().replace(rates={"ext": [1.0, 2.0]}).draw("ext", 1.0, t_start=0.5, sample=3)
    es.simulate(recurrent(), {}, 1.0, engine="scheduler")
    gradients.timing_backprop(run(), wrt=["weights", "input_times"])
    resumed(3.0, [2.25])
    part(3.0, [2.25], network=net(2.0 * np.ones((2, 3)), bias=0.5))
    streamed(stimulus=lambda *edges: {"in": es.Spikes(edges[1:], [0])})
    kept(["out"])
    crossing()
    penalty()
    update(gradients.Adam())
    trained(potential_loss())
