"""
Exact against surrogate gradients (Lee et al. 2023, Fig. 5, with what it leaves out).

The same network, initial weights, minibatches and optimizer; only the gradient differs.  Three
contests, each with several seeds:

  Yin-Yang by spikes       The publication's figure: exact gradients of the first output spikes
                           against the customary surrogates on a clock of 25 steps, whose losses are
                           of spike counts or rates, since they have no derivative of a spike time.
  Yin-Yang by potentials   The same loss for all: the cross-entropy of the potentials of output
  MNIST by potentials      neurons that never fire, at the end of the run.

Published are, for the first of these, 95.0 ± 0.83 % with exact gradients after 300 epochs, and as a
picture all losses against epochs.  Reported here are, besides loss and accuracy against epochs, the
time of training and the spikes of the hidden neurons.  The clocked networks are those of
`gradients.clocked`, the surrogates those of the publications on clocked networks and two customary
ones: "constant" (straight-through), 1 where there is a spike, fast sigmoid with steepness 25, and
arctan with steepness 2.

What comes out: by spikes, the exact gradient is far ahead (88 against 49 % after 20 epochs; in half
of the samples and more, the highest spike counts are tied, which is an error), and its hidden
neurons fire half as often over the same time (1.0 against 1.7 spikes or more), or 0.13 times if a
run ends when all outputs have fired.  By potentials it is not: on MNIST the better surrogates reach
the same accuracy, on Yin-Yang the fast sigmoid a higher one (93 against 88 %), though an epoch
takes it longer.

Both engines use all processors that they are given.  Needs the extra "torch".
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Do exact gradients train better than surrogates? The same networks learn from the same "
    "initial weights and minibatches; only the gradient differs."
)
PICTURES = {
    "compare": (
        "Test loss and test error against epochs and against seconds of training, and the spikes "
        "that an error costs: lines further down are better, and the black one is trained with "
        "exact gradients."
    ),
}
