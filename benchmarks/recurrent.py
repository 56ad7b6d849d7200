"""R1 and R2: a recurrent network, one thread, against NEST and Brian2.

``python benchmarks/recurrent.py`` runs N = 1000; ``--sizes 1000 10000 100000 --delays constant zero
uniform`` all of it. The peers live in their own environments, whose interpreters are given by
``--nest-python`` and ``--brian-python`` (or ``EVENTSIM_NEST_PYTHON``, ``EVENTSIM_BRIAN_PYTHON``);
a peer without one is skipped. All read the same synapses and input spikes. Each simulator runs in
its own process on one thread (eventsim on two as well), in turn, so a busy machine slows all alike;
the first run of each (compilation, page faults) is apart.

An event is the arrival of a spike at a neuron: recurrent (100 per spike) or external. The number
of events is asserted, the time never. Where NEST is exact too, the spikes of the first 50 ms are
asserted to be the same to 1e-9 ms (later a chaotic network may amplify the rounding).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import common
import numpy as np
import recurrent_network as rn

EXACT = "NEST lossless"
PEERS = {
    "NEST lossless": ("nest", "iaf_psc_exp_ps_lossless", "exact"),
    "NEST precise": ("nest", "iaf_psc_exp_ps", "off the grid, may miss spikes"),
    "NEST grid": ("nest", "iaf_psc_exp", "grid 0.1 ms"),
    "Brian2 C++": ("brian", None, "grid 0.1 ms"),
}
# From seed 1: what eventsim counts for (size, delays).
EVENTS = {
    (1000, "constant"): 1_517_383,
    (10_000, "constant"): 15_312_256,
    (100_000, "constant"): 155_444_467,
    (1000, "zero"): 1_526_783,
    (1000, "uniform"): 1_534_712,
}
TRANSIENT = 50.0  # ms


def runners(arguments: argparse.Namespace, size: int, delays: str, network: Path) -> dict:
    """A function per simulator that starts it."""
    spikes = network.parent
    starts = {
        name: lambda name=name, n=n: common.Runner(
            sys.executable, "eventsim_recurrent.py", network, spikes / f"{name}.npz", n
        )
        for name, n in (("eventsim", 1), ("eventsim, two threads", 2))
    }
    for name in arguments.peers:
        starts[name] = lambda name=name: _start(arguments, size, delays, network, name)
    return starts


def _start(
    arguments: argparse.Namespace, size: int, delays: str, network: Path, name: str
) -> common.Runner:
    kind, model, _ = PEERS[name]
    python = getattr(arguments, f"{kind}_python")
    if not python:
        raise common.Skipped(f"no --{kind}-python given")
    if size > arguments.peer_limit:
        raise common.Skipped(f"more than --peer-limit {arguments.peer_limit} neurons")
    if kind == "nest" and delays == "zero":
        raise common.Skipped("needs delays of at least one step")
    models = [] if model is None else [model]
    path = network.parent / f"{name}.npz"
    return common.Runner(python, f"{kind}_recurrent.py", network, *models, path)


def compare(starts: dict, runs: int) -> tuple[dict[str, dict], dict[str, str]]:
    """Run every simulator ``runs`` + 1 times in turn; return medians and the reasons of skips."""
    rows, skipped = common.in_turn(starts, runs)
    return {name: common.medians(r) for name, r in rows.items()}, skipped


def agreement(folder: Path, other: str) -> dict[str, float]:
    """Compare the spikes of eventsim and another exact simulator.

    Returns
    -------
    dict
        ``spikes`` and ``largest_ms`` over the first 50 ms; ``same_until_ms`` up to which the
        two trains agree to 1e-9 ms.
    """
    ours, theirs = (_ordered(folder / f"{name}.npz") for name in ("eventsim", other))
    n = min(len(ours[0]), len(theirs[0]))
    same = (np.abs(ours[0][:n] - theirs[0][:n]) <= 1e-9) & (ours[1][:n] == theirs[1][:n])
    first = n if same.all() else int(np.argmin(same))
    early = int((ours[0] < TRANSIENT).sum())
    return {
        "spikes": early,
        "largest_ms": float(np.abs(ours[0][:early] - theirs[0][:early]).max()),
        "same_until_ms": float(ours[0][min(first, len(ours[0]) - 1)]),
        "same_spikes": first,
    }


def _ordered(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        times, indices = file["times"], file["indices"]
    order = np.lexsort((indices, times))
    return times[order], indices[order]


def check(size: int, delays: str, measured: dict[str, dict], folder: Path) -> dict | None:
    """Assert the number of events and, where NEST ran, its first 50 ms."""
    ours = measured["eventsim"]
    expected = EVENTS.get((size, delays))
    assert expected in (None, ours["events"]), f"{ours['events']} events, expected {expected}"
    if EXACT not in measured or delays != "constant":
        return None
    found = agreement(folder, EXACT)
    assert found["largest_ms"] <= 1e-9, found
    return found


def report(title: str, measured: dict[str, dict], skipped: dict[str, str]) -> None:
    """Print one table."""
    ours = measured["eventsim"]
    rate = ours["events"] / ours["cpu_s"]
    rows = []
    for name, m in measured.items():
        own = m["events"] / m["cpu_s"]
        rows.append(
            [name, m["spikes"], m["events"], m["wall_s"], m["cpu_s"], own / 1e6, rate / own]
        )
    columns = ["", "spikes", "events", "wall s", "CPU s", "M events/s", "ours is x times as fast"]
    common.show(title, columns, rows)
    for name, reason in skipped.items():
        print(f"  {name}: skipped, {reason}")


def workload(arguments: argparse.Namespace, size: int, delays: str) -> dict:
    """Measure one network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        rn.save(rn.draw(size, delays), path)
        starts = runners(arguments, size, delays, path)
        measured, skipped = compare(starts, arguments.runs)
        found = check(size, delays, measured, Path(folder))
    report(f"N = {size:,}, delays {delays}, 1 s of biological time", measured, skipped)
    if found:
        print(f"  agreement with {EXACT}: {found}")
    return {
        "size": size, "delays": delays, "measured": measured, "skipped": skipped, "agreement": found
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000])
    parser.add_argument("--delays", nargs="+", choices=rn.DELAY_KINDS, default=["constant"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--peer-limit", type=int, default=10_000, help="largest N of the peers")
    for kind in ("nest", "brian"):
        default = os.environ.get(f"EVENTSIM_{kind.upper()}_PYTHON")
        parser.add_argument(f"--{kind}-python", default=default)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rows = [workload(options, n, kind) for kind in options.delays for n in options.sizes]
    common.write_json("recurrent", {"rows": rows})


if __name__ == "__main__":
    main()
