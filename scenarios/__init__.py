"""The experiments that users come to reproduce, each run with ``eventsim run NAME``.

Each scenario is a folder (`xor`, `iris`, ...) that says what it shows, with its options, its
networks, what is run and what is drawn.  They share, from the outside in, `networks` (what
several of them train), `running` (the command, options, the one training loop, reports), `datasets`
(what is learned, and how it becomes spikes) and `extras` (libraries that only some users have).
"""
