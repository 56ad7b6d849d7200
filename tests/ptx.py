"""Compile every CUDA kernel to PTX, without a device: ``python -m tests.ptx 9.0``.

Prints a line of JSON: of each kernel the bytes of PTX, and, where the wheel nvidia-cuda-nvcc is
installed, the registers that a thread takes and the bytes that it spills to memory.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numba import cuda, typeof
from numba.cuda import dispatcher

from eventsim import cuda as forward
from gradients import cuda as backward

F, G, H = np.empty(1), np.empty((1, 1)), np.empty((1, 1, 1))
J, K, L = np.empty(1, np.int32), np.empty(1, np.int64), np.empty((1, 1), np.int64)

TRAIN = forward.Train(K, K, F, J)
ARRIVALS = forward.Arrivals(K, F, J, K)
FACTORS = forward.Factors(G, G, G, G)
LANES = forward.Lanes(K, K, K, F, F, F)
TABLES = forward.Tables(K, K, K, F, F, K, K)
LINKS = forward.Links(L, K, K, F)
SPIKES = forward.Spikes(K, F, J, F, F)
COLUMNS = backward.Columns(K, K, K, K, K)
FIRED = backward.Fired(K, K, K, F, F, F, F)
SUMS = backward.Sums(G, G, H, G)

# Arguments of every kernel, as the host passes them.
ARGUMENTS: dict[ModuleType, dict[str, tuple[Any, ...]]] = {
    forward: {
        "list_arrivals": (TRAIN, 1, 0, 1, 0, 0, 1, 0.0, True, LINKS, 1, 1.0, True, K, ARRIVALS),
        "running_sum": (K, K, K),
        "set_zero": (F,),
        "order_arrivals": (ARRIVALS, TABLES, 1, True, 1, 1.0, FACTORS, K),
        "advance": (LANES, TABLES, F, ARRIVALS, FACTORS, 1, 1.0, SPIKES, 1, 1, 0, H, K),
        "order_spikes": (SPIKES, 1, K, SPIKES, K),
    },
    backward: {
        "count_fired": (TRAIN, 0, 1, K),
        "place_fired": (K, K, K),
        "fill_fired": (TRAIN, 0, 1, K, K, K),
        "sweep": (
            COLUMNS, LANES, TABLES, F, ARRIVALS, FACTORS, 1, 1, 1.0, FIRED, G, True, SUMS, 1, 1, 0
        ),
        "add_copies": (G, F),
        "add_lanes": (G, K, 1, F),
        "add_events": (F, 0, 1, F, F),
    },
}  # fmt: skip


def kernels(module: ModuleType) -> set[str]:
    """The names of the kernels of a module; functions for the device alone are part of them."""
    compiled = {k: v for k, v in vars(module).items() if isinstance(v, dispatcher.CUDADispatcher)}
    return {name for name, value in compiled.items() if not value.targetoptions.get("device")}


def find_ptxas() -> str | None:
    """The assembler of the wheel; that of an older toolkit would not know this PTX."""
    wheels = [p for path in sys.path for p in Path(path).glob("nvidia/*/bin/ptxas")]
    return str(wheels[0]) if wheels else None


def assembled(ptxas: str, ptx: str, capability: str) -> dict[str, int]:
    """Registers and spilled bytes of a kernel."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [ptxas, "-v", f"-arch=sm_{capability.replace('.', '')}", "-o", "/dev/null"]
        out = subprocess.run([*command, file.name], capture_output=True, text=True, check=True)
    numbers = {"registers": r"(\d+) registers", "spilled": r"(\d+) bytes spill stores"}
    found = {key: re.findall(pattern, out.stderr) for key, pattern in numbers.items()}
    return {key: max(map(int, values)) for key, values in found.items()}


def main(capability: str) -> None:
    major, minor = capability.split(".")
    stand_in = SimpleNamespace(compute_capability=(int(major), int(minor)))
    dispatcher.get_current_device = lambda: stand_in  # nested functions ask for the device
    ptxas, report = find_ptxas(), {}
    for module, arguments in ARGUMENTS.items():
        assert kernels(module) == set(arguments)
        for name, values in arguments.items():
            signature = tuple(typeof(value) for value in values)
            function = getattr(module, name).py_func
            ptx = cuda.compile_ptx(function, signature, cc=stand_in.compute_capability)[0]
            report[name] = {"bytes": len(ptx)}
            if ptxas:
                report[name] |= assembled(ptxas, ptx, capability)
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
