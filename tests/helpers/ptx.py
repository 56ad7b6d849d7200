"""Compile every CUDA kernel to PTX, without a device: ``python -m tests.helpers.ptx 9.0``.

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

from eventsim._engines.cuda import arrivals, device, neurons, plan, samples, scan
from gradients.cuda import loss_kernels, optimizers, part, program, sweep

Arguments = dict[ModuleType, dict[str, tuple[Any, ...]]]


def arguments(dtype: type) -> Arguments:
    """Of every kernel, as the host passes them in a run of this precision."""
    R, RR = (np.empty((1,) * n, dtype) for n in (1, 2))  # as the run's
    F, FFF = (np.empty((1,) * n) for n in (1, 3))
    I, K, KK = np.empty(1, np.int32), np.empty(1, np.int64), np.empty((1, 1), np.int64)
    time = dtype(1.0)
    train = arrivals.Train(K, K, R, I, K)
    listed = arrivals.Arrivals(K, K, R, I, K)
    factors = arrivals.Factors(RR, RR, RR, RR)
    delivery = arrivals.Delivery(train, 1, 0, 1, 0, 0, time)
    lanes = plan.Lanes(K, K, K, F, F, F)
    tables = plan.Tables(K, K, K, F, F, K, K)
    links = plan.Links(KK, K, K, F)
    places = plan.Places(K, K)
    spikes = neurons.Spikes(K, R, I, R, R, K, K)
    task = neurons.Task(lanes, tables, R, listed, factors, 1, 1, time)
    columns = sweep.Columns(K, K, K, K, K)
    fired = sweep.Fired(R, R, R, K, K, K, R)
    sums = sweep.Sums(RR, RR, FFF, RR)
    return {
        device: {"set_zero": ((R, R),)},
        scan: {"sum_chunks": (K, 1, K), "start_chunks": (K, 1, K, K)},
        plan: {"write_weights": (R, places, R)},
        arrivals: {
            "follow_train": (delivery, tables, 1, time, listed, factors, K),
            "add_places": (K, K),
            "list_arrivals": (delivery, 1, True, links, 1, time, True, K, listed),
            "order_arrivals": (listed, tables, 1, True, 1, time, factors, K, K),
        },
        samples: {
            "check_spikes": (R, I, K, K, K),
            "choose_samples": (train, K, K, K),
            "choose_jittered": (train, K, 0.1, 1.0, 1, K, R, I, K),
        },
        neurons: {
            "advance": (task, 1.0, spikes, 1, 1, RR, RR, K, K),
            "order_spikes": (spikes, 1, 1, R, I, K, K, K),
            "count_spikes": (spikes, K),
            "find_first_spikes": (spikes, R),
            "summarise": (spikes, lanes, 1, F, K),
        },
        sweep: {
            "sweep": (columns, task, fired, RR, True, sums, 1, 1, 0),
            "add_copies": (RR, F),
            "add_up": (RR, places, R),
            "pass_straight": (RR, listed, R),
            "count_events": (delivery, links, K),
            "add_lanes": (RR, listed, 1, K, R),
            "add_events": (R, 0, 1, K, R, R),
        },
        loss_kernels: {
            "find_range": (K, K),
            "membrane_loss": (RR, K, (0.1, 0.1), RR, F),
            "first_spike_loss": (RR, K, (0.1, 1.0, 1.0, 0.1, 0.1), RR, F),
            "pass_to_first": (K, K, K, R, R),
            "lift_dead": (K, RR, F, 0.1, 0.1, RR, F),
            "count_missing": (RR, K, True, K, F, K),
            "push_onto": (K, 0.1, R),
            "add_scaled": (F, 0.1, F),
        },
        optimizers: {
            "check_gradient": (R, F, K),
            "move_by_adam": (R, R, R, R, F, F, K),
            "move_by_momentum": (R, R, R, F, F, K),
        },
        part: {"take_part": (RR, K, K, 1.0, R), "give_part": (R, K, K, 1.0, RR)},
        program: {"choose_labels": (K, K, K), "summarise_step": (F, K, K, 1, F)},
    }  # fmt: skip


def kernels(module: ModuleType) -> set[str]:
    """The names of the kernels that a module defines; functions for the device are part of them."""
    compiled = {k: v for k, v in vars(module).items() if isinstance(v, dispatcher.CUDADispatcher)}
    return {
        name
        for name, value in compiled.items()
        if value.py_func.__module__ == module.__name__ and not value.targetoptions.get("device")
    }


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
    ptxas, report, found = find_ptxas(), {}, {}
    for dtype in (np.float64, np.float32):
        for module, given in arguments(dtype).items():
            assert kernels(module) == set(given)
            for name, values in given.items():
                signature = tuple(typeof(value) for value in values)
                function = getattr(module, name).py_func
                if (name, signature) not in found:  # many kernels know integers only
                    ptx = cuda.compile_ptx(function, signature, cc=stand_in.compute_capability)[0]
                    found[name, signature] = {"bytes": len(ptx)}
                    if ptxas:
                        found[name, signature] |= assembled(ptxas, ptx, capability)
                report[f"{name}, {dtype.__name__}"] = found[name, signature]
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
