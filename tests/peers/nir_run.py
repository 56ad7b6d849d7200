"""Run a graph in snnTorch or Norse: ``python nir_run.py GRAPH.nir TOOL INPUT.npy SPIKES.npy``.

Runs in an environment that has them, so it imports nothing of this project.  The tools import the
graph themselves; the step is the one that snnTorch assumes for all graphs.
"""

import contextlib
import io
import sys

import numpy as np

STEP = 1e-4


def main() -> None:
    import nir  # late: pytest looks for doctests in this file where they may be missing
    import torch

    torch.set_num_threads(1)
    graph, tool = nir.read(sys.argv[1]), sys.argv[2]
    with contextlib.redirect_stdout(io.StringIO()):  # snnTorch talks
        if tool == "snntorch":
            from snntorch.import_nir import import_from_nir

            module = import_from_nir(graph)
        else:
            import norse.torch

            module = norse.torch.from_nir(graph, dt=STEP)
    data = torch.from_numpy(np.load(sys.argv[3]).astype(np.float32))
    state, made = None, []
    with torch.no_grad():
        for row in data:
            out = module(row[None], state) if state is not None else module(row[None])
            spikes, state = out if isinstance(out, tuple) else (out, None)
            made.append(spikes[0].numpy() > 0.0)
    np.save(sys.argv[4], np.array(made))


if __name__ == "__main__":
    main()
