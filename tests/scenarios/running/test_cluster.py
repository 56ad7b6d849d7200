"""Workers of Dask: the numbers of one alone, and one clear line for whatever goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import eventsim as es
import gradients
from scenarios.running.command.cli import main
from scenarios.running.command.runs import new_run
from scenarios.running.console.progress import SILENT
from scenarios.running.pieces import CrewError, shared_with
from scenarios.running.registry import SCENARIOS
from tests.helpers import shared

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
dask = pytest.importorskip("dask", reason="the extra cluster is not installed")
psutil = pytest.importorskip("psutil", reason="the extra cluster is not installed")

from scenarios.running.cluster import at_scheduler, on_this_machine  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
COMMAND = (
    "import sys; from tests.helpers.shared import register; register(); "
    "from scenarios.running.command.cli import main; sys.exit(main())"
)


@pytest.fixture(scope="module", autouse=True)
def scenario():
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(SCENARIOS, shared.NAME, None)
        yield shared.register()


@pytest.fixture(scope="module")
def crew():
    """Two workers that know of the scenario; nothing of them is left behind."""
    before = set(children())
    with dask.config.set(shared.PRELOADED), on_this_machine(2) as found:
        yield found
    assert not set(children()) - before


def children():
    """Processes that were started from here, but the tracker that Python keeps for itself."""
    every = psutil.Process().children(recursive=True)
    return [one for one in every if "resource_tracker" not in " ".join(one.cmdline())]


def records(folder, crew, config=None):
    config = config or shared.Config(runs=3)
    with (
        new_run(SCENARIOS[shared.NAME], config, folder) as here,
        shared_with(crew, here),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        return shared.run(config, here, SILENT).numbers["records"]


def test_two_workers_leave_the_records_of_one_process(crew, tmp_path):
    alone, both = (records(tmp_path / name, who) for name, who in (("a", None), ("b", crew)))
    assert alone == both
    kept = [(tmp_path / name / "records.jsonl").read_bytes() for name in ("a", "b")]
    assert kept[0] == kept[1]


def test_a_worker_that_is_killed_costs_its_piece_alone(crew, tmp_path):
    config = shared.Config(runs=3, kills=True)
    found = records(tmp_path / "run", crew, config)
    assert (tmp_path / "run" / "died").exists()
    assert [one["square"] for one in found] == [0, 1, 4]


def test_shards_on_two_workers_are_those_of_one_process(crew):
    rng = np.random.default_rng(5)
    net = es.Network()
    net.add_input("in", 4)
    net.add_population("out", 2, es.LIF(tau_mem=2.0, tau_syn=1.0))
    net.connect("in", "out", weights=rng.normal(1.0, 0.5, (4, 2)))
    batch = {"in": es.SpikeBatch.from_latencies(rng.random((9, 4)))}
    loss = gradients.FirstSpikeCrossEntropy("out", tau0=0.3, wake=0.1).of(rng.integers(0, 2, 9))
    alone, both = (
        gradients.value_and_grad(net, batch, loss, 2.0, shards=3, executor=who)
        for who in (None, crew.executor)
    )
    assert both[0] == alone[0]
    np.testing.assert_array_equal(both[1].weights["in", "out"], alone[1].weights["in", "out"])


@contextmanager
def scheduler():
    """The scheduler of a cluster, and the process that it is."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port),
         "--host", "127.0.0.1", "--no-dashboard"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"tcp://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def check_for(seconds, crew):
    """Look after a crew for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        crew.check()
        time.sleep(0.1)


def worker(address, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard",
         "--no-nanny", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_scheduler_that_dies_is_told_in_a_line(tmp_path):
    with scheduler() as (address, process):
        with (
            pytest.raises(CrewError, match=r"has had no worker for 0\.5 s"),
            at_scheduler(address, 0.5),
        ):
            pass
        local = ["--local-directory", str(tmp_path)]
        busy = worker(address, "--nthreads", "2", *local)
        try:
            with (
                pytest.raises(CrewError, match=r"does 2 things at once.*--nthreads 1"),
                at_scheduler(address, 60.0),
            ):
                pass
        finally:
            busy.kill()
            busy.wait()
        fit = worker(address, "--nthreads", "1", *local)
        try:
            with at_scheduler(address, 60.0) as crew:
                future = crew.executor.submit(time.sleep, 60.0)
                crew.check()
                process.kill()
                with pytest.raises(CrewError, match=r"the scheduler at tcp://.* is gone"):
                    check_for(60.0, crew)
                assert future.cancelled()
        finally:
            fit.kill()
            fit.wait()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "0"], "--workers must lie in [1, 1000], got 0"),
        (["--workers", "many"], "--workers must be a whole number, got 'many'"),
        (["--workers", "2", "--scheduler", "tcp://h:1"], "must not both be given"),
        (["--workers", "2", "--wait", "3"], "wait must be given with --scheduler alone, got 3"),
        (["--scheduler", "node7"], "an address such as tcp://10.0.0.1:8786, got 'node7'"),
        (["--scheduler", "http://h:1"], "got 'http://h:1'"),
        (["--scheduler", "tcp://h:99999"], "got 'tcp://h:99999'"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_begins(capsys, tmp_path, options, words):
    assert main(["run", "iris", "--folder", str(tmp_path / "run"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_scenario_of_one_piece_says_so(capsys):
    assert main(["run", "xor", "--workers", "2"]) == 2
    assert "xor is one piece of work that cannot be shared" in capsys.readouterr().err


@pytest.mark.parametrize("talks", [False, True], ids=["nobody", "somebody else"])
def test_an_address_at_which_no_scheduler_answers_is_an_error_within_seconds(monkeypatch, talks):
    monkeypatch.setattr("scenarios.running.cluster.ANSWER", 1.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if talks:
            other.listen()  # and says nothing
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        began = time.monotonic()
        with (
            pytest.raises(CrewError, match="no Dask scheduler answers at tcp://"),
            at_scheduler(address),
        ):
            pass
    assert time.monotonic() - began < 30.0


def test_ctrl_c_ends_all_and_leaves_what_can_be_gone_on_with(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([shared.__name__]),
    }
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", "shared", "--folder", str(folder), "--slow", "60",
         "--workers", "2"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    place = folder / "two" / "seed-3" / "metrics.jsonl"
    while not place.exists() and process.poll() is None:
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors == f"eventsim: interrupted; go on with: eventsim resume {folder}\n"
    assert process.returncode == 130
    psutil.wait_procs(workers, timeout=30)
    assert not [one for one in workers if one.is_running()]
    assert main(["resume", str(folder), "--workers", "0"]) == 2
