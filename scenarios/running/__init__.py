"""How scenarios are run: options, training, checkpoints, reports, console and command line."""
