"""
CUBA: a balanced network of excitation and inhibition, each with its own synaptic time constant.

Benchmark 2 of Brette et al., *Simulation of networks of spiking neurons: a review of tools and
strategies*, J. Comput. Neurosci. 23 (2007), after Vogels & Abbott, J. Neurosci. 25 (2005): 3200
excitatory and 800 inhibitory neurons, each pair connected with a probability of 2 %.  Membrane 20
ms, excitation 5 ms, inhibition 10 ms; they leak to -49 mV, fire at -50 mV, are reset to -60 mV and
refractory for 5 ms, so each would fire by itself.  A spike adds 1.62 mV (excitatory) or -9 mV
(inhibitory) to the current I of tau_mem V' = rest - V + I.  Potentials at the start are uniform
between reset and threshold, as in Brian2's example; after that nothing is random.

Two things differ from the benchmark.  Synapses have a delay of 0.1 ms, one step of the usual
grids: NEST needs it, and so does the engine "windows" (`--engine scheduler --delay 0` is Brian2's
example).  And no neuron has a synapse onto itself.  Networks of another size keep the 80 synapses
onto a neuron, and with them the rates.

Shown are rates, the irregularity of firing (the coefficient of variation CV of each neuron's
intervals; that of a Poisson train is 1), a raster, and the currents of a neuron.  `--beside` runs
the same synapses from the same potentials in other simulators, each in an interpreter of its own
(`make peers` installs them; EVENTSIM_NEST_PYTHON and EVENTSIM_BRIAN_PYTHON name the interpreters):
  nest       iaf_psc_exp_ps: spikes in continuous time, looked for at the ends of intervals
  nest-grid  iaf_psc_exp: spikes on a grid of 0.1 ms
  brian2     generated C++, spikes on a grid of 0.1 ms
In continuous time the spike trains are the same to the end, 124 000 spikes in 5 seconds to 1e-9 ms:
rounding does not grow here.  The displacement of a spike by a grid does, and trains part at once;
rates and CVs agree all the same.

Published are the parameters and rasters, no numbers: that column of the table is empty.

  eventsim run cuba
  eventsim run cuba --beside nest nest-grid brian2
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Excitation and inhibition in balance: a random network that fires irregularly for ever, "
    "without any input. Its statistics and its speed are set beside those of other simulators."
)
PICTURES = {
    "activity": (
        "The beginning of the run: which neurons fire, how many, and the potential and currents of"
        " one of them; its excitation and inhibition hold each other in balance."
    ),
    "statistics": (
        "How rates, intervals and their irregularity are distributed over neurons, one line for "
        "each simulator: lines of the same colour should lie on one another."
    ),
}
