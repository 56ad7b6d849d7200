"""
Handwritten digits by multi-spike temporal coding (Yamamoto, Sakemi & Aihara, MNIST, §III).

Each of 784 pixels fires once, the brighter the earlier: at t = 1 - x/255.  (Black pixels would
fire at the very end, without effect, and are left out.)  400 hidden neurons fire any number of
times or, with `--spikes single`, at most once.  Ten output neurons never fire: the one with the
highest membrane potential at t = 1 names the digit, and the ten potentials go into a softmax
cross-entropy.  Time constants: tau_I of the synaptic current, tau_V = tau_I / 2 of the membrane;
times are in units of the length of a run.

Published, after 100 epochs, as mean ± standard error over 10 networks (Table I):
  multi-spike, leaky (best at tau_I = 0.8)    98.43 ± 0.05 %
  multi-spike, non-leaky                      98.23 ± 0.07 %
  single-spike, leaky                         97.99 ± 0.06 %
  single-spike, non-leaky                     97.96 ± 0.08 %
"Non-leaky", starred in the table, is what accuracy converges to as both time constants grow, at
their ratio of 2 (Fig. 5).  `--no-leaky` runs that limit itself: both are infinite, and an input
spike changes the slope of the potential by its weight, for good.  As the time constants grow,
the spikes per hidden neuron settle at about 1.5 in multi-spike networks, at 0.6 in single-spike
ones (Fig. 4).

The default is the recipe of this project: learning rate 0.005 falling to 0 as a cosine, weight
decay, label smoothing, jittered input times, a quarter of the hidden neurons left out of each
minibatch, tau_I = 1.6, or 6.4 where neurons fire once.  `--published` is the protocol of the paper:
learning rate 0.001, a penalty on the norm of the outputs (0.0001), tau_I = 0.8, 100 epochs.
Both penalise dead neurons (0.01) and start from weights drawn from N(0.03, 0.3).  (The paper calls
0.3 the variance; here it is the standard deviation.  `--init-std 0.55` takes it at its word.)

  eventsim run mnist                      a few epochs, one network
  eventsim run mnist --full               100 epochs, three networks
  eventsim run mnist --published --seeds 10
  eventsim run mnist --rows               the four rows of Table I
  eventsim run mnist --sweep tau          tau_I from 0.2 to 6.4, multi and single (Figs 3-5)
  eventsim run mnist --engine cuda        on an NVIDIA GPU, where weights and images stay

What was tried for the recipe (784-400-10, tau_I = 1.6, learning rate 0.005, smoothing 0.1, jitter
0.03; test accuracy after the last epoch, one seed):
  100 epochs, weight decay 0.04, no dropout     98.44 %   (0.14 spikes per neuron; 17 % never fire)
  30 epochs, weight decay 0.02, dropout 0.25    98.65 %   (0.24; none is silent for all images)

The paper finds the spikes of a neuron one by one: a loop over the spike count looks, in all neurons
and all intervals between input spikes at once, for the next crossing, up to a largest count N1; a
second loop goes on, up to N2, with the neurons that got there (Algorithm 1, §II-D).  That keeps
arrays of samples x inputs x neurons small enough for a graphics card.  The engine here has no such
array and no count to choose: it goes through the input spikes in time, carries the current and the
potential of each neuron, finds however many crossings lie between two arrivals, and stores spikes
alone.

What happens to silent neurons: a missing spike has no gradient.  The penalty on dead neurons lifts
their final potentials: with `--published` those of neurons that fire for less than a tenth of a
minibatch, by default of those that fire for none of it, which leaves sparse neurons as they are.
Without the penalty (`--dead-penalty 0`) a neuron that never fires changes by weight decay only, and
with small time constants, where all hidden neurons are silent at first, nothing would be learnt.
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Which digit is in an image? Each of its 784 pixels fires once, the brighter the earlier; "
    "hidden neurons fire any number of times or once, and the output neuron with the highest "
    "potential at the end names the digit."
)
PICTURES = {
    "training": (
        "Loss, accuracy and spikes per hidden neuron against epochs, one line for each network: "
        "test lines (solid) that stay near the training lines (dotted) mean little overfitting."
    ),
    "accuracy_against_spikes": (
        "What an accuracy costs in spikes: each line is a network's way through training, its dot "
        "the end; further up is more accurate, further left is cheaper."
    ),
    "dynamics": (
        "One test image in the trained network: input spikes, exact potentials and currents of "
        "hidden neurons, and the potentials of the output neurons, of which the highest at the end"
        " names the digit."
    ),
    "spike_counts": (
        "How often a hidden neuron fires: bars are for single images, the outline is for the mean "
        "over all test images; the bar at 0 counts neurons that are silent for an image."
    ),
    "tau": (
        "Spikes per hidden neuron (left) and test accuracy (right) against the time constant of "
        "the synaptic current: stars and dotted lines are published values."
    ),
}
