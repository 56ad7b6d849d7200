"""
Spike-frequency adaptation, its two values found from a spike train by exact gradients.

A neuron that adapts fires more slowly the more it has fired: each of its spikes adds a negative
current that decays slowly.  That is a synapse of the neuron onto itself, without a delay, onto a
receptor with a long time constant; nothing else is needed (it is an after-spike current of GLIF3,
Teeter et al., Nature Communications 9, 2018).  So its time constant and its strength have exact
gradients as any others.

Here both are unknown.  Given are the input, some Poisson trains, and the spikes of a neuron that
has known values.  From starts that are wrong by a factor of up to three, `scipy`'s least squares
fits the spike times: the k-th spike should come when the target's does, and one that is missing
counts as if it came at the end of the run.  Its Jacobian is exact, by `gradients.jvp`: one sweep
for each of the two values.  As long as no spike appears or vanishes, the residuals are smooth, and
a few steps find the values to rounding.  Where one does, all later residuals jump, and there are
other minima.  So the first three spikes are fitted first, then four, and so on: what fits some
spikes nearly fits the next.  The table has beside it what becomes of all at once.

The scheduler alone runs this network: an engine of windows needs delays above 0.

Published is nothing to compare with, so that column of the table is empty.

  eventsim run adaptation
  eventsim run adaptation --tau 30 --strength 0.5 --starts 100
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "A neuron fires more slowly the more it has fired. How strongly and for how long is found from"
    " its spike times alone, by exact gradients, from starts that are wrong by a factor."
)
PICTURES = {
    "adaptation": (
        "Spikes, potential and slow current before and after the fit (left), the distance to the "
        "target spikes by step (above right), and the ways of the two values to the white cross, "
        "the true ones (below right); ways that end elsewhere have found another minimum."
    ),
}
