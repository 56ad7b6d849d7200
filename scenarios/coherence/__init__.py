"""
What leak lets through: the coherence of input and spikes (Chowdhury, Lee & Roy 2020, §2.2 and §7).

A neuron integrates white noise with a mean, with high leak, low leak or none; when its potential
reaches 1 it fires and is reset to 0.  The coherence C(f) = |S_xs|² / (S_xx S_ss) of its input s and
its spikes x says which frequencies of the input the spikes carry: 1 all of it, 0 nothing.  The
paper gives C by parabolic cylinder functions of complex order (Eq. 4), draws it (Fig. 2), and
concludes that leak filters out the high frequencies of noise.  What stays fixed when the leak
changes is the capacitance: R = tau_m, so the same current and the same noise meet every neuron.

Here the theory is held against simulations, two ways:
  white noise   Euler-Maruyama, with a test for crossings within a step; the convergence in the time
                step is part of the table
  shot noise    excitatory and inhibitory Poisson spikes, run exactly by the event engine (no time
                step); as the jump by each spike gets smaller, its diffusion limit is the theory
The coherence is estimated over independent segments; 95 % confidence bands are exact for Gaussian
signals (`scenarios.coherence.estimate`).

Published: Eq. 4 for C, the rate r_0, and Fig. 2, which shows the non-leaky neuron pass all
frequencies and leaky ones cut off the high ones.  What comes out, and what it means for the paper:
- Eq. 4 is right, its prefactor included, as are Eqs 7 and 8; r_0 is right with V_th for the
  misprinted V_rest.  `scenarios.coherence.theory` lists what to mind.
- Fig. 2 is drawn over omega in units of 1/tau_m, a different axis for every leak.  There, the less
  leak, the flatter the curve, and the non-leaky neuron seems to pass all frequencies.  In real time
  its coherence falls as well, as 2 r_0 / omega at high frequencies, the same law as with leak, and
  the frequency at which the coherence has halved hardly depends on the leak.
- What leak does take away is coherence at low frequencies: 1 without leak (all that comes in is
  given out in spikes, or still there), less with it.

Times are in steps of the clocked networks of the paper, whose tau_m are 30, 100 and infinite; the
default current lets the non-leaky neuron fire every 30 steps with a coefficient of variation of
0.45.

  eventsim run coherence
  eventsim run coherence --taus 15 30 100 inf --segments 4000
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Which frequencies of its input do the spikes of a neuron carry, with much leak, little leak "
    "or none? A formula of the publication is held against simulations with white noise and with "
    "exact spikes."
)
PICTURES = {
    "coherence": (
        "The share of the input that the spikes carry, by frequency: lines are the formula, dots "
        "the simulations (above left); the same on the axis of the publication (above right); "
        "spikes as input come near white noise as they become smaller (below left), and so does "
        "the simulation as its time step does (below right)."
    ),
}
