"""The experiments that users come to reproduce, each run with ``eventsim run NAME``.

From the outside in: `cli` reads the command line; `registry` lists the scenarios; each scenario is
one file (`xor`, `iris`, `yin_yang`, ...) with a frozen configuration and a `run` function; they
share `data`, `images` (read by `idx`, found or downloaded by `sources`) and `encoding` (what goes
in), `classifier` (a network that decides by first spikes, and its exact gradient), `training` (the
one training loop), `checkpoint` and `runs` (what is on disk), `progress` and `report` (what the
user sees) and `figures` (what is drawn).  `mnist` and `fashion_mnist` share `readout` (a network
that decides by potentials), `readout_config`, `readout_runs` and `readout_figures`.  `leak_exact`
disturbs their input by `spike_noise`.  `coherence` compares `coherence_theory` with
`coherence_simulation` by `coherence_estimate`.  `clocked_task` trains the network of another task
on a clock, with surrogate gradients; `contest` sets the two beside each other, for `compare` and
`yin_yang`; `clock` measures how far apart they are, with `clock_spikes` and `clock_gradients`.
"""
