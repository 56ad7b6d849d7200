"""
Does leak make a network robust?  The study of leak with exact gradients.

Chowdhury, Lee & Roy train clocked networks with surrogate gradients and find that those with more
leak stand noise on their input better, and fire more.  Here the same question is put to networks in
continuous time whose gradients are exact: those of the scenario `mnist` (784 pixels that fire once,
the brighter the earlier; one hidden layer, multi-spike; ten outputs read at the end of the run).
They are trained on clean spikes, with no jitter and nothing left out, for several time constants of
current and membrane (tau_I = 2 tau_V, or one of the two alone), from leaky to non-leaky ("inf"; the
length of a run is 1).
Then their input spikes are disturbed, in eight severities each:

  jitter      every spike time is shifted by a normal random time (and stays within the run)
  deletion    every spike is lost with some probability
  insertion   every pixel, black ones included, fires once more with some probability, at any time

All networks meet the same noise, so differences between them are not those of the noise.  What is
lost by noise is the mean over the eight severities of the accuracy without noise minus that with
it, in percentage points.  The table says, for each kind of noise, how much less the leakiest
networks lose than the non-leaky ones (with a 95 % interval, paired by seed, Student), and
Kendall's rank correlation between leak and loss over all networks (negative: leak protects).

Published, for clocked networks with surrogate gradients and a rate code (Fig. 3, Table 1): on
CIFAR-10 and SVHN, the more leak, the less is lost by noise, and the more spikes.

What comes out by default, with both time constants, where all networks are 94 % right without
noise:
- More leak, more spikes: 2.1 per hidden neuron at tau_I = 0.8, 1.1 without leak.
- Jitter: the more leak, the less is lost, in every step from no leak (3.4 points) to tau_I = 0.8
  (1.2 points).
- Deletion: networks with some leak (tau_I = 1.6) lose least; without leak most is lost.
- Insertion: if anything, leak does harm: at tau_I = 0.8, 17 points are lost, without leak 12, with
  an interval of the difference that includes 0.
So whether leak protects depends on what the noise does; "the leakier, the more robust" holds for
one kind of three.  Either time constant alone puts the losses by jitter in order: that of the
current saves 1.0 points (95 %: 0.6 to 1.5), that of the membrane 0.9, which three networks do not
decide (-0.5 to 2.3).  A shorter current alone also puts losses by deletion in order (16 to 18
points), a leakier membrane does not (17.6 at both ends).

  eventsim run leak_exact                  784-100-10, 20 000 training images, three networks each
  eventsim run leak_exact --full           784-400-10, all images, five networks each
  eventsim run leak_exact --vary membrane  tau_V alone, with tau_I = 1.6; or --vary current
  eventsim run leak_exact --taus 0.4 0.8 1.6 3.2 inf

With tau_I = 0.4 networks reach 89 % without noise, so are no equals of the others; with 0.2, no
hidden neuron fires at the initial weights of `mnist`, and nothing is learnt.
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Does leak make a network robust against noise? Networks that differ in their time constants "
    "learn to read digits from clean spikes, with exact gradients, and are tested with spikes that"
    " are shifted, lost or added."
)
PICTURES = {
    "noise": (
        "Test accuracy against the strength of each noise, one line for each time constant: a line"
        " that falls later is more robust."
    ),
    "training": (
        "Loss, accuracy and spikes per hidden neuron against epochs, one line for each network: "
        "test lines (solid) that stay near the training lines (dotted) mean little overfitting."
    ),
}
