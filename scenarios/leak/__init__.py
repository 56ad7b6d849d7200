"""
Deep spiking networks with and without a leak, under noise (Chowdhury, Lee & Roy 2020).

Deep networks of clocked neurons that integrate with a leak (time constants tau_m of 30 and 100
steps) or without one, all else being equal: convolutions, average pools and all-to-all layers,
Poisson spikes of the pixels as input, a readout that never fires, U[T] / T as prediction, sum of
squared errors as loss (Eq. 5), backpropagation through time with 1 / threshold as the derivative of
a spike (Algorithm 2).  Trained on clean images, tested with noise.

Published (CIFAR-10, VGG9 with 100 steps and 150 epochs; Table 1): with tau_m 30, 100 and no leak,
accuracy 89.65, 90.19 and 90.3 %; spikes 9.45, 5.26 and 4.94 %; 1.59e9, 7.92e8 and 7.18e8 synaptic
operations; critical frequency of the target output 0.255, 0.317 and 0.345.  So more leak: more
robust against noise, more spikes, lower frequencies.  Each of these claims is tested here on the
networks that were trained, seed by seed, and stands in the table with its effect and a verdict.

  eventsim run leak                       three networks of each leak that two cores train
  eventsim run leak --size medium         meant for one GPU
  eventsim run leak --size paper          the published networks and their protocol
  eventsim run leak --data svhn --data-dir FOLDER

The default run (nine small networks, 44 to 47 % of CIFAR-10 after 15 000 images): spikes and
weighted sums rise with leak and errors fall, as published; that synaptic operations rise, too, is
not decided.  Leaky networks recognise more images without noise (3.4 ± 2.5 points), and as many
more with it; that they lose less is not decided, and 200 images and three networks could only have
shown a robustness that differs by a tenth.  The critical frequency of the output does not fall with
leak: without noise nothing is decided, with noise it rises, from 0.37 to 0.39.

Where the publication leaves something open, this is what is done.  Input: a pixel x in [-1, 1]
gives a spike of its sign with probability |x|, at each step.  Noise: Gaussian or impulse, anew at
each step, on the pixels (scenario 1) or on the spikes (scenario 2); its eight severities are in
`scenarios/leak/noise.py`.  Output signal (Fig. 5): the weighted sum of spikes that reaches
the target output at each step, without its mean; white noise has a critical frequency of 0.35
cycles per step, near the published value without leak.  The potential of the output, a running
sum, is at a tenth of that whatever the leak.  The leak correction of Eq. 5 is not added: the way
back goes through the decay of the potential itself.

The run folder holds no `network.npz`: these networks are modules of PyTorch on a clock, whose input
spikes have signs and whose pools pass on averages, so they are no network of eventsim.
`weights.npz` has the weights of the first one.  `leak_exact` has networks that are, and leaves one.
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Does leak make a deep network robust against noise? Clocked networks with much leak, little "
    "leak or none learn to classify clean images with surrogate gradients, and are tested with "
    "noisy ones."
)
PICTURES = {
    "accuracy": (
        "Test accuracy against the severity of the noise, one line for each leak and one panel for"
        " each kind of noise: a line that falls later is more robust."
    ),
    "input_spectra": (
        "Which frequencies the input spikes hold, clean and noisy: noise on the pixels or spikes "
        "changes the blue curves into the orange ones."
    ),
    "target_spectra": (
        "Which frequencies the right output neuron passes on, one panel for each leak and their "
        "mean spectra on the right: more leak should move the critical frequency to the left."
    ),
    "layers": (
        "Size of the weighted sums, activity and synaptic operations of each layer, one bar for "
        "each leak: more leak should cost more spikes and operations."
    ),
    "training": (
        "Errors and accuracies against epochs, in training (dotted) and on test images (solid), "
        "and the one error against the other (right): lines further down on the right generalise "
        "better."
    ),
}
