"""
Iris flowers by spike times (Lee, Haghighatshoar & Karbasi 2023, §5.2 and Table 2).

150 flowers, four measurements each; the larger a measurement, the earlier its input source fires.
Ten hidden and three output neurons; the output neuron that fires first names the species.  A third
of each species is held out for the test.  Times are in units of the synaptic time constant.

Published: "several networks which achieved 100% test accuracy", after a grid search; neither the
split nor the number of epochs is given.  With 51 test flowers one good split says little: this
scenario reports a documented split, chosen because it reaches 100 % (1 of 32 that were tried does),
and beside it the mean over 20 random splits that were not chosen.

With Table 2 as printed (`--published`: inputs in [0, 16], no other input) the network here stays
below 90 %, for three reasons.  (1) It has no reference in time: shift all inputs and all outputs
shift along, so it sees differences of the four times only, and on these logistic regression reaches
89 % in cross-validation, against 98 % on the times themselves.  (2) A neuron forgets an input after
about one unit of time, a sixteenth of the window.  (3) The cost of late label spikes, exp(f / tau1)
with tau1 = 1 and f up to 16, is a million times the cross-entropy.  The defaults therefore use
inputs in [0, 2], a fifth source that always fires at 1, tau1 = 2, and a learning rate that falls to
0.  Their hidden neurons fire once, which is as accurate and takes a fraction of the time.

What happens to silent neurons: a silent output neuron counts as if it fired at the end of the run,
and has no gradient; once all are silent, learning ends.  With `--bump` > 0 (the default) a sample
whose label neuron is silent pushes up the weights onto that neuron and onto the hidden neurons that
are silent in it, after Göltz et al. 2021.
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Which of three species is an iris flower? Four measurements of it become spike times, the "
    "larger the earlier, and the output neuron that fires first names the species."
)
PICTURES = {
    "first_spikes": (
        "When the output neurons first fire for the test flowers, one column for each true "
        "species: after training (below), the neuron of that species should fire before the "
        "others."
    ),
    "training": (
        "Loss and accuracy against epochs, in training and on the test flowers: the loss should "
        "fall, and both accuracies rise."
    ),
}
