"""
The cortical microcircuit of Potjans & Diesmann, in continuous time.

T. C. Potjans & M. Diesmann, *The cell-type specific cortical microcircuit: relating structure and
activity in a full-scale spiking network model*, Cerebral Cortex 24 (2014): what lies below a square
millimetre of cortex, 77 169 neurons in four layers, an excitatory (E) and an inhibitory (I)
population each, and 3e8 synapses.  All neurons are alike: membrane 10 ms, synapses 0.5 ms, rest and
reset -65 mV, threshold -50 mV, refractory for 2 ms.  So are the synapses, but for their sign: 0.15
mV, or four times as much and inhibitory, 10 % standard deviation, delays of 1.5 ± 0.75 ms or 0.75 ±
0.375 ms.  Each neuron has 1500 to 2900 synapses from outside, which fire at 8 Hz.  What differs is
who is connected to whom, and with it the rates.

Parameters are those of the reference implementation (INM-6/microcircuit-PD14-model), and so is what
`--scale` does: that fraction of the neurons, each with that fraction of its synapses, which weigh
1 / sqrt(scale) times as much; a direct current stands for the mean input that is then lacking, at
the rates of the full network.  Mean and variance of the input stay, but neurons share more of it
and its jumps are larger: rates fall, most where they are low (L23E at 0.1: from 0.9 to 0.5 Hz).

Every published run of it is on a grid, here there is none.  Two things differ for that reason: a
delay below 0.1 ms is drawn again, any above is kept as drawn; and so is a potential at the start at
or above the threshold (with a grid such a neuron fires in the first step).  The outside is one
Poisson process for each neuron, the sum of its sources; with `--drive dc` it is their mean.

Shown are, for each population, rates, the irregularity of firing (the coefficient of variation CV
of each neuron's intervals), the synchrony (variance of the number of spikes in 3 ms over its mean,
of up to 1000 neurons; of independent Poisson trains it is 1) and the mean correlation of two
neurons (spikes in 2 ms, up to 200 neurons).  `--beside nest` runs the same synapses from the same
potentials in NEST, with iaf_psc_exp on a grid of 0.1 ms, to which it rounds the delays (`make
peers` installs it; EVENTSIM_NEST_PYTHON names its interpreter).  Its Poisson spikes are others, and
the network is chaotic: rates and CVs are to agree, not spikes.  On its way to NEST the network lies
in temporary files, some 30 bytes a synapse; at scale 1 NEST takes 15 GB.

Spikes are on disk chunk by chunk, in files `spikes-*.npz` of the run folder; a run that was stopped
goes on from its last chunk.

Published are, in that column, the mean rates of the full network, as the reference implementation
has them.

  eventsim run microcircuit
  eventsim run microcircuit --beside nest
  eventsim run microcircuit --scale 1 --duration 1000 --beside nest
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "What lies below a square millimetre of cortex: eight populations in four layers, wired as "
    "measured. Which populations fire, how fast and how irregularly, follows from who is connected"
    " to whom."
)
PICTURES = {
    "raster": (
        "Who fires, layer by layer, and the rates of excitatory and inhibitory neurons: activity "
        "should be irregular, and differ from layer to layer."
    ),
    "statistics": (
        "Rates, irregularity and correlations of each population, as boxes over its neurons: white"
        " means should lie near the black diamonds, the published rates of the full network."
    ),
}
