"""
Learning delays
===============

A delay is a parameter like a weight.  Its gradient is exact, and a delay may be any number: it does
not have to fit a grid.

A neuron sees five spikes at different times.  Each alone is too weak.  We leave the weights as they
are, and learn delays that bring the spikes together.
"""

import matplotlib.pyplot as plt
import numpy as np

import eventsim as es
import gradients

times = np.array([1.0, 4.0, 6.0, 9.0, 11.0])  # ms
stimulus = {"in": es.Spikes(times, np.arange(5))}
net = es.Network()
net.add_input("in", 5)
net.add_population("out", 1, es.LIF(tau_mem=5.0, tau_syn=2.0, threshold=np.inf))
key = net.connect("in", "out", weights=np.full((5, 1), 0.3), delays=np.full((5, 1), 2.0))

# %%
# An infinite threshold makes the neuron a readout: we see its potential, and it never fires.  We
# ask for the highest potential at 18 ms.  So the loss is minus that potential, and its derivative
# by the potential is -1.


def loss(result: es.Result) -> gradients.Loss:
    """Return the loss: minus the potential at the end."""
    return gradients.Loss(-result.potential("out")[0], potentials={"out": [-1.0]})


before = net
adam = gradients.Adam(lr=0.1)
params = net.parameters(("delays",))
state = adam.init(params)
losses = []
for _ in range(150):
    value, gradient, _ = gradients.value_and_grad(net, stimulus, loss, 18.0, wrt=("delays",))
    params, state = adam.update(params, gradient, state)
    params["delays"][key] = np.maximum(params["delays"][key], 0.0)
    net = net.replace(params)
    losses.append(value)

arrivals = times + net.parameters(("delays",))["delays"][key].ravel()
print("arrivals before (ms):", times + 2.0)
print("arrivals after (ms): ", arrivals.round(3))

# %%
# All spikes now arrive at the same time.  It is the time from which one spike has its largest
# effect at 18 ms.  For an exponential current that time is known:
# :math:`\ln(\tau_m / \tau_s)\, \tau_m \tau_s / (\tau_m - \tau_s)` before.

best = 18.0 - np.log(5.0 / 2.0) * 5.0 * 2.0 / (5.0 - 2.0)
print(f"by the formula (ms):   {best:.3f}")

grid = np.linspace(0.0, 25.0, 501)
fig, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.5), layout="constrained")
for network, label in ((before, "before"), (net, "after")):
    run = es.simulate(network, stimulus, t_stop=25.0)
    left.plot(grid, [run.potential("out", at=time)[0] for time in grid], label=label)
left.axvline(18.0, color="gray", linestyle="--")
left.set(xlabel="time (ms)", ylabel="potential")
left.legend()
right.plot(losses)
right.set(xlabel="step", ylabel="loss")
plt.show()

# %%
# A neuron with a finite threshold works the same way, with ``first_spikes`` or ``spike_times`` in
# the place of ``potentials``.  So do hidden layers and loops.
