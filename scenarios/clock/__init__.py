"""
What a clock does to spikes, and a surrogate to gradients, measured against the exact ones.

Most training of spiking networks goes in time steps, and replaces the derivative of a spike, which
is zero almost everywhere, by something else.  Here the same networks are run both ways: exactly,
and on a grid of times (`gradients.clocked`), with steps that become smaller and smaller.

Spikes.  Random networks of three layers: by how much the spikes of a clocked network differ from
the exact ones, and how many are missed or invented.  The error of a spike time is proportional to
the step, and grows from layer to layer: a neuron is seen to fire at the end of a step, its
potential is reset late, and its spike arrives late.  With the soft reset ("subtract"), which keeps
what the potential was above the threshold, the second of these causes is gone.

Gradients.  Two networks that are read out by potentials, MNIST 784-400-10 and Yin-Yang 5-150-3,
before and after some training with exact gradients: the cosine of the angle between the exact
gradient of a minibatch and the surrogate ones, against the number of steps and against the
steepness of the surrogate.  The weights onto the output neurons show what the clock alone does, as
no spike is differentiated by them; those onto the hidden neurons what the surrogate does.  The
first angle vanishes with the step, the second does not: a surrogate gradient is another direction,
not an approximation of the exact one (`scenarios/clock/gradients.py` says why).  And
weights that were trained exactly make another network on a coarse clock: the table has its loss.

Published is nothing that could stand beside these numbers, so that column of the table is empty.
Needs the extra "torch".  MNIST is downloaded unless there is a copy.
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "What does a clock do to spikes, and a surrogate to gradients? The same networks are run "
    "exactly and on grids of times that become finer and finer."
)
PICTURES = {
    "clock": (
        "Errors of spike times, and spikes that are missed or invented (left); how near surrogate "
        "gradients point to the exact ones, by the number of steps (middle) and the steepness of "
        "the surrogate (right): errors vanish with the step, but the cosines do not come to 1."
    ),
}
