"""What each extra opens: it works with the extra alone, and without it the error names the extra.

EVENTSIM_EXTRAS names the extras that are installed, default: all.  `make extras` runs this in an
environment for each of them, after the tests of what the extra opens.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import eventsim as es
from eventsim import ranks

INSTALLED = os.environ.get("EVENTSIM_EXTRAS", "cluster io jax mpi plot scenarios torch").split()


def network() -> es.Network:
    net = es.Network()
    net.add_input("in", 1)
    net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.connect("in", "out", weights=[[4.0, 0.1]])
    return net


def result() -> es.Result:
    return es.simulate(network(), {"in": es.Spikes([0.5], [0])}, t_stop=4.0)


def a_worker_of_dask(_: Path) -> None:
    from scenarios.running.cluster import on_this_machine

    with on_this_machine(1) as crew:
        assert crew.executor.submit(abs, -3).result() == 3


def a_graph_of_nir(folder: Path) -> None:
    from eventsim import nir

    nir.save(folder / "network.nir", network())
    assert list(nir.load(folder / "network.nir")[0].populations) == ["out"]


def a_table(_: Path) -> None:
    table = result().to_dataframe()
    np.testing.assert_array_equal(table["time"], result().spikes["out"].times)


def a_segment_of_neo(_: Path) -> None:
    assert len(result().to_neo(unit="ms").spiketrains) == 2


def a_file_of_sonata(folder: Path) -> None:
    from eventsim import sonata

    sonata.write_spikes(folder / "spikes.h5", result().spikes, unit="ms")
    found = sonata.read_spikes(folder / "spikes.h5", unit="ms")
    np.testing.assert_array_equal(found["out"].times, result().spikes["out"].times)


def a_function_of_jax(_: Path) -> None:
    from gradients.jax import bind, binding

    with binding.jax.enable_x64(True):
        apply = bind(network(), t_stop=4.0)
        times = apply(apply.params, np.array([0.5]))
    np.testing.assert_array_equal(times, result().first_spikes("out"))


def a_rank_of_mpi(_: Path) -> None:
    assert ranks.world().Get_size() == 1


def a_picture(folder: Path) -> None:
    result().plot_raster().figure.savefig(folder / "raster.png")
    assert (folder / "raster.png").stat().st_size > 0


def a_scenario(folder: Path) -> None:
    line = [sys.executable, "-m", "scenarios", "run", "xor", "--runs", "2", "--folder"]
    done = subprocess.run([*line, str(folder / "run")], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    assert (folder / "run" / "report.html").exists()


def a_layer_of_torch(_: Path) -> None:
    from gradients.torch import SpikingNetwork, functions

    times = SpikingNetwork(network(), t_stop=4.0)(functions.torch.tensor([0.5]))
    np.testing.assert_allclose(times.detach(), result().first_spikes("out"), rtol=1e-6)


DOORS: list[tuple[str, Callable[[Path], None]]] = [
    ("cluster", a_worker_of_dask),
    ("io", a_graph_of_nir),
    ("io", a_table),
    ("io", a_segment_of_neo),
    ("io", a_file_of_sonata),
    ("jax", a_function_of_jax),
    ("mpi", a_rank_of_mpi),
    ("plot", a_picture),
    ("scenarios", a_scenario),
    ("torch", a_layer_of_torch),
]


@pytest.mark.slow
@pytest.mark.parametrize(("extra", "door"), DOORS)
def test_a_door_opens_with_its_extra_and_without_it_names_it(
    extra: str, door: Callable[[Path], None], tmp_path: Path
) -> None:
    if extra in INSTALLED:
        door(tmp_path)
    else:
        command = re.escape(f"pip install 'eventsim-snn[{extra}]'")
        with pytest.raises((ImportError, RuntimeError), match=command) as caught:
            door(tmp_path)
        assert "Traceback" not in str(caught.value)


def test_without_an_implementation_of_mpi_the_error_asks_for_one() -> None:
    pytest.importorskip("mpi4py", reason="the extra mpi is not installed")
    environment = os.environ | {"MPI4PY_LIBMPI": "/no/libmpi.so"}
    line = [sys.executable, "-c", "from eventsim.ranks import world; world()"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert "needs an implementation of MPI, and mpi4py finds none" in done.stderr
