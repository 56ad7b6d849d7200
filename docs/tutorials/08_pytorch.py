"""
A layer of PyTorch
==================

An exact network can be one layer among others.  A linear encoder of PyTorch decides when the inputs
fire.  The exact network answers with spike times.  A linear head reads them.  One optimizer trains
all three.

The task is that of :doc:`training Yin-Yang </gallery/03_yin_yang>`: in which of three regions of
the plane is a point?
"""

import copy
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import eventsim as es
from gradients.torch import SpikingNetwork
from scenarios.datasets.points import LabelledData, yin_yang

N_IN, N_HIDDEN, N_OUT, T_STOP = 16, 30, 12, 3.0


def tensors(points: LabelledData) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x, y, 1 - x and 1 - y of points, in [-2, 2], and their labels."""
    features = torch.tensor(points.features, dtype=torch.float32)
    return 4.0 * (features - 0.5), torch.tensor(points.labels)


data = yin_yang()
features, labels = tensors(data["train"])
test_features, test_labels = tensors(data["test"])

# %%
# The network is an `eventsim.Network` as always.  `~gradients.torch.SpikingNetwork` makes a module
# of it.  We say what it learns, and which number stands for a spike that never comes.


def hybrid(seed: int) -> nn.Sequential:
    """Return an encoder, an exact network and a head, with random values."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    neuron = es.LIF(tau_mem=2.0, tau_syn=1.0, refractory=np.inf)
    net = es.Network()
    net.add_input("in", N_IN)
    net.add_population("hidden", N_HIDDEN, neuron)
    net.add_population("out", N_OUT, neuron)
    net.connect("in", "hidden", weights=rng.normal(0.45, 0.6, (N_IN, N_HIDDEN)))
    net.connect("hidden", "out", weights=rng.normal(0.2, 0.2, (N_HIDDEN, N_OUT)))
    return nn.Sequential(
        nn.Linear(4, N_IN),
        nn.BatchNorm1d(N_IN),
        nn.Sigmoid(),  # when the inputs fire, in (0, 1)
        SpikingNetwork(net, learn=("weights", "tau_mem"), t_stop=T_STOP, silent=T_STOP),
        nn.BatchNorm1d(N_OUT),
        nn.Linear(N_OUT, 3),
    )


model = hybrid(seed=1)
print(model[3](torch.rand(100, N_IN)).shape)

# %%
# The gradients of the layer are exact.  ``torch.autograd.gradcheck`` compares them with finite
# differences: by the times of the inputs, the weights and the time constants of the membranes.

layer = model[3]
names, values = zip(*layer.named_parameters(), strict=True)


def outputs(latencies: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
    """Return what the layer gives with other parameters."""
    by_name = dict(zip(names, parameters, strict=True))
    return torch.func.functional_call(layer, by_name, latencies)


latencies = torch.rand(2, N_IN, dtype=torch.float64, requires_grad=True)
print(names)
print("gradcheck:", torch.autograd.gradcheck(outputs, (latencies, *values)))

# %%
# From here on it is PyTorch as always.


def accuracy(model: nn.Module) -> float:
    """Return the part of the test points that a model names right."""
    with torch.no_grad():
        answers = model.eval()(test_features).argmax(dim=1)
    return float((answers == test_labels).double().mean())


before = copy.deepcopy(model).eval()
epochs = 3
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50 * epochs)
losses = []
for epoch in range(epochs):
    model.train()
    for rows in torch.randperm(len(features)).split(100):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1}: {100 * accuracy(model):.1f} % of the test points are right")

# %%
# What has it learned?  We ask for every point of the plane.

side = torch.linspace(0.0, 1.0, 150)
y, x = torch.meshgrid(side, side, indexing="ij")
plane = 4.0 * (torch.stack([x, y, 1.0 - x, 1.0 - y], dim=-1).reshape(-1, 4) - 0.5)
with torch.no_grad():
    regions = model(plane).argmax(dim=1).reshape(150, 150)

fig, (left, right) = plt.subplots(1, 2, figsize=(9.0, 4.0), layout="constrained")
left.plot(losses)
left.set(xlabel="step", ylabel="loss of the minibatch")
right.contourf(x, y, regions, levels=[-0.5, 0.5, 1.5, 2.5], cmap="viridis", alpha=0.4)
test = data["test"].features
right.scatter(test[:, 0], test[:, 1], c=test_labels, cmap="viridis", s=8)
right.set(aspect="equal", xlabel="x", ylabel="y", title="regions, and true labels")
plt.show()

# %%
# The layer is still a network.  ``layer.network`` has the trained values, and `simulate` runs it
# without PyTorch.  We give it the spikes of one test point, before and after training.

fig, axes = plt.subplots(1, 2, figsize=(9.0, 3.5), sharey=True, layout="constrained")
for ax, trained, title in zip(axes, (before, model), ("before", "after"), strict=True):
    with torch.no_grad():
        times = trained[:3](test_features[:1])
    inputs = es.Spikes(times[0].double().numpy(), np.arange(N_IN))
    result = es.simulate(trained[3].network, {"in": inputs}, T_STOP)
    bottom = 0
    for name, n in (("in", N_IN), ("hidden", N_HIDDEN), ("out", N_OUT)):
        spikes = inputs if name == "in" else result.spikes[name]
        ax.plot(spikes.times, bottom + spikes.indices, "|", markersize=8, label=name)
        bottom += n
    ax.set(xlim=(0.0, 1.5), xlabel="time", title=title)
axes[0].set_ylabel("neuron")
axes[1].legend(loc="upper right")
plt.show()

# %%
# ``state_dict`` holds the parameters, and the network with all that is not learnt.  So the file is
# enough, and a fresh model gives the same answers, to the last bit.

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "hybrid.pt"
    torch.save(model.state_dict(), file)
    fresh = hybrid(seed=2).eval()
    print("before loading:", torch.equal(fresh(test_features), model(test_features)))
    fresh.load_state_dict(torch.load(file))
    print("after loading: ", torch.equal(fresh(test_features), model(test_features)))

# %%
# :doc:`Exact networks as layers of PyTorch </torch>` has the rest: several spikes of each neuron,
# potentials, ``torch.compile`` and ``torch.func``.
