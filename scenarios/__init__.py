"""The experiments that users come to reproduce, each run with ``eventsim run NAME``.

From the outside in: `cli` meets the shell; `registry` lists the scenarios; each scenario is one
file (`xor`, `iris`, `yin_yang`, ...) with a frozen configuration, whose ranges are written with
`options`, and a `run` function, and the larger ones have their parts in `studies`.  They share
`data` and `datasets` (what is learned),
`encoding` (what goes in), `classifier` and `copies` (networks that decide by first spikes),
`training` (the one training loop) and `learning` (what it works with), `report` and `figures` (what
comes out) and `console` (what the user sees meanwhile).
"""
