"""
Brunel's sparse network: four regimes of excitation and inhibition, without a grid.

Brunel, *Dynamics of sparsely connected networks of excitatory and inhibitory spiking neurons*, J.
Comput. Neurosci. 8 (2000), the four examples of Figure 8: 10 000 excitatory and 2500 inhibitory
neurons, each with 1000 excitatory and 250 inhibitory synapses from others, drawn at random.
Membrane 20 ms, threshold 20 mV, reset 10 mV, refractory for 2 ms.  A spike moves the potential by
0.1 mV, an inhibitory one by -g times that, after 1.5 ms; during the refractory period it is lost.
Each neuron has 1000 external synapses, Poisson processes with "drive" times the rate at which their
mean input is the threshold (10 Hz each):
  SR       g 3,   drive 2     synchronous, all fire regularly
  SI-fast  g 6,   drive 4     60.7 Hz irregularly, all together at 180 Hz
  AI       g 5,   drive 2     37.7 Hz, irregularly, without an oscillation to speak of
  SI-slow  g 4.5, drive 0.9   5.5 Hz irregularly, in slow waves
Published are these rates and the frequency, of simulations; of SR none is compared.

`--scale` makes smaller networks: fewer neurons, and fewer synapses onto each in proportion, which
are stronger by the square root of that, so the variance of the input remains.  A constant current
makes up for the mean that is lacking at the published rate (of SR: 327 Hz, that of a neuron under
its mean input); the drive stays as it is.  So rates are near those of the full network, but
collective activity is not: with fewer neurons the same fluctuations are shared by more of them, and
feedback by the mean is weaker.  What is to be compared with the publication is `--scale 1`.

Runs are streamed: each chunk of 50 ms leaves a file of spikes (REGIME/spikes-NUMBER.npz, "times"
and "indices", excitatory neurons first), and an interrupted run goes on after the last one.
`--beside nest` runs the same synapses in NEST, on a grid of 0.1 ms, with external spikes that NEST
draws (`make peers` installs it; EVENTSIM_NEST_PYTHON names its interpreter).

A grid sums what arrives within a step before it looks at the threshold.  That may be why SI-fast
differs, where volleys of excitation and inhibition meet: at scale 1 NEST finds 59.1 Hz, a CV of
0.82 and a synchrony of 0.90; with steps of 0.02 ms (half as long a run) 61.2 Hz, 0.88 and 0.97;
here it is 62.1 Hz, 1.10 and 1.08.

  eventsim run brunel
  eventsim run brunel --scale 1 --beside nest
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "A sparse random network of excitation and inhibition has four regimes: together or not, "
    "regularly or not, fast or slow. Which one it is depends on the strength of inhibition and of "
    "the drive alone."
)
PICTURES = {
    "activity": (
        "Who fires at the end of each run, and the rate of all neurons: vertical stripes are "
        "neurons that fire together, and a flat rate is a network without an oscillation."
    ),
    "statistics": (
        "How rates and irregularity are distributed over neurons, and the spectrum of the rate of "
        "all: a CV near 1 is irregular, and a peak in the spectrum is an oscillation."
    ),
}
