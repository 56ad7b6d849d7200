"""One simulation on several ranks: it has the bits of one process, and nobody waits for ever."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventsim as es
import gradients
from eventsim import ranks
from eventsim._engines.windows import host, sample
from tests.helpers.engines import built_for, made_for
from tests.helpers.mpi_cases import CHUNK, PARTS_BEFORE
from tests.helpers.naive import Case
from tests.helpers.ranks import (
    RUNS,
    FakeCommunicator,
    Run,
    Table,
    assert_same_to_the_bit,
    between,
    cortex,
    on_ranks,
    results_of,
    silence,
)
from tests.helpers.strategies import any_networks, examples, networks

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.jit

each_run = pytest.mark.parametrize("run", RUNS)


def alone(run: Run, **options: Any) -> Any:
    return es.simulate(*run, engine="windows", threads=1, **options)


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@each_run
def test_any_number_of_ranks_gives_the_bits_of_one_process(
    run: Callable[..., Run], size: int
) -> None:
    whole = alone(run())
    assert whole.batch.record.time.size > 20
    for found in results_of(size, lambda comm: es.simulate(*run(), comm=comm)):
        assert_same_to_the_bit(found, whole)
    for found in results_of(size, lambda comm: es.simulate(*run((comm.rank, size)), comm=comm)):
        assert_same_to_the_bit(found, whole)


def drawn(part: tuple[int, int] = (0, 1), seed: int = 1) -> es.Network:
    """The network of `cortex` with further input from a generator."""
    network, _, _ = cortex(part)
    network.add_poisson("ext", 43, rate=0.5, seed=seed)
    network.connect("ext", "e", es.one_to_one(43, 43, weights=0.8))
    return network


def test_ranks_stream_and_draw_as_one_process_does() -> None:
    _, stimulus, t_stop = cortex()
    how = {"chunk": t_stop / 3.5, "record": ["e", "i"]}

    def stream(network: es.Network, comm: FakeCommunicator | None) -> list[np.ndarray]:
        parts = es.stream(network, stimulus, t_stop, engine="windows", comm=comm, **how)
        spikes = [part.spikes[name] for part in parts for name in ("e", "i")]
        return [column for s in spikes for column in (s.times, s.indices, s.slopes)]

    whole = stream(drawn(), None)
    assert sum(column.size for column in whole) > 60
    for found in results_of(3, lambda comm: stream(drawn((comm.rank, 3)), comm)):
        for ours, theirs in zip(found, whole, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_generators_must_be_the_same_on_all_ranks() -> None:
    run = lambda comm: es.simulate(drawn(seed=comm.rank), {}, 1.0, comm=comm)  # noqa: E731
    for error in on_ranks(2, run):
        assert isinstance(error, ValueError)
        assert "network must be the same on all ranks" in str(error)


@given(any_networks(), st.integers(1, 4))
@examples(0.2)
def test_random_networks_on_several_ranks(case: Case, size: int) -> None:
    built = built_for("windows", made_for("windows", case))
    whole = built.run(engine="windows", threads=1)
    for found in results_of(size, lambda comm: built.run(comm=comm)):
        assert_same_to_the_bit(found, whole)


@given(networks(), st.integers(2, 4), st.integers(1, 4), st.floats(0.0, 1.0), st.booleans())
@examples(0.2)
def test_a_run_goes_on_with_another_number_of_ranks(
    case: Case, first: int, second: int, share: float, ends_alone: bool
) -> None:
    built = built_for("windows", made_for("windows", case))
    whole, cut = built.run(engine="windows", threads=1), share * case.t_stop
    early, late = (between(built.stimulus, *part) for part in ((-1.0, cut), (cut, np.inf)))
    half, *_ = results_of(first, lambda comm: es.simulate(built.network, early, cut, comm=comm))

    def go_on(comm: FakeCommunicator | None) -> es.Result:
        return es.simulate(built.network, late, case.t_stop, resume=half, comm=comm)

    for found in [go_on(None)] if ends_alone else results_of(second, go_on):
        assert_same_to_the_bit(found, whole)


@each_run
@pytest.mark.parametrize("built_anew", [False, True])
def test_pieces_with_parts_of_the_network(run: Callable[..., Run], built_anew: bool) -> None:
    def in_pieces(comm: FakeCommunicator) -> es.Result:
        network, stimulus, t_stop = run((comm.rank, 3))
        result, begun = None, -1.0
        for end in (0.4 * t_stop, 0.4001 * t_stop, t_stop):
            if built_anew:
                network, _, _ = run((comm.rank, 3))
            given = between(stimulus, begun, end)
            result, begun = es.simulate(network, given, end, resume=result, comm=comm), end
        assert result is not None
        return result

    whole = alone(run())
    for found in results_of(3, in_pieces):
        np.testing.assert_array_equal(found.batch.record, whole.batch.record)
        np.testing.assert_array_equal(found.batch.state.neuron, whole.batch.state.neuron)


def test_samples_of_a_batch_are_run_in_turn() -> None:
    network, stimulus, t_stop = cortex()
    batch = [stimulus, {}, between(stimulus, 0.0, 5.0)]
    whole = es.simulate(network, batch, t_stop, engine="windows", threads=1)
    for found in results_of(2, lambda comm: es.simulate(network, batch, t_stop, comm=comm)):
        assert_same_to_the_bit(found, whole)


def test_ranks_of_several_threads() -> None:
    run = cortex()
    whole = alone(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "LEAST_NEURONS", 1)
        patch.setattr(host, "LEAST_WINDOWS", 0)
        for found in results_of(2, lambda comm: es.simulate(*run, threads=2, comm=comm)):
            assert_same_to_the_bit(found, whole)


@pytest.mark.parametrize("cap", [1, 64, 90])
def test_the_cap_names_the_same_spike_on_all_ranks(cap: int) -> None:
    run = cortex()
    with pytest.raises(es.ActivityError) as caught:
        alone(run, max_spikes=cap)
    alone_error = caught.value
    for error in on_ranks(3, lambda comm: es.simulate(*run, comm=comm, max_spikes=cap)):
        assert isinstance(error, es.ActivityError)
        assert str(error) == str(alone_error)
        np.testing.assert_array_equal(error.result.batch.record, alone_error.result.batch.record)


def test_runaway_activity_within_one_window_is_stopped_on_all_ranks() -> None:
    network = es.Network()
    network.add_input("in", 1)
    network.add_population("p", 30, es.LIF(tau_mem=np.inf, tau_syn=np.inf))
    network.connect("in", "p", weights=np.full((1, 30), 1e9))
    network.connect("p", "p", weights=np.ones((30, 30)), delays=1.0)
    spikes = {"in": es.Spikes([0.0], [0])}
    for error in on_ranks(
        2, lambda comm: es.simulate(network, spikes, 2.0, max_spikes=1000, comm=comm)
    ):
        assert isinstance(error, es.ActivityError)
        assert (error.neuron, error.count) == (10, 1000)


def test_a_window_costs_one_meeting_and_a_silent_one_no_spikes() -> None:
    run = silence()

    def count(comm: FakeCommunicator) -> list[int]:
        es.simulate(*run, comm=comm)
        return comm.calls

    one, other = results_of(2, count)
    n_spikes = alone(run).batch.record.time.size
    assert one == other
    assert sum(call > 32 for call in one) <= n_spikes + 10  # all else are heads: 16 bytes a rank


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "mpi.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    def count(comm: FakeCommunicator) -> int:
        names: dict[str, Any] = {"given": comm}
        exec(example.replace("world()", "given"), names)
        return len(names["result"].spikes["E"])

    numbers = results_of(2, count)
    assert numbers[0] == numbers[1] > 100
    assert capsys.readouterr().out == f"{numbers[0]} spikes\n"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("t_stop", 13.0),
        ("max_spikes", 100),
        ("stimulus", {}),
        ("network", silence()[0]),
        ("initial", {"e": es.State(0.1)}),
        ("engine", "windows"),
    ],
)
def test_arguments_that_differ_between_ranks_are_an_error_on_all(name: str, value: Any) -> None:
    def run(comm: FakeCommunicator) -> es.Result:
        network, stimulus, t_stop = cortex()
        arguments = {"network": network, "stimulus": stimulus, "t_stop": t_stop, "comm": comm}
        if name == "network" and comm.rank == 2:
            arguments["stimulus"] = {}
        return es.simulate(**(arguments | ({name: value} if comm.rank == 2 else {})))

    for error in on_ranks(3, run):
        assert isinstance(error, ValueError)
        first, second = str(error).split(" and ")
        assert first.startswith(f"{name} must be the same on all ranks, got ")
        assert second.endswith(" on rank 2")


def test_results_of_networks_that_differ_between_ranks_are_an_error_on_all() -> None:
    """Parts would go on under other parameters on one of them alone."""
    network, _, t_stop = cortex()
    heavier = network.replace(weights={("in", "e"): 1.1 * network.projections["in", "e"].weights})
    halves = [es.simulate(one, {}, 5.0, engine="windows") for one in (network, heavier)]

    def run(comm: FakeCommunicator) -> es.Result:
        half = halves[comm.rank]
        return es.simulate(network, {}, t_stop, resume=half, history=False, comm=comm)

    for error in on_ranks(2, run):
        assert str(error).startswith("resume must be the same on all ranks, got")


def test_synapses_that_each_rank_draws_for_itself_are_noticed() -> None:
    def run(comm: FakeCommunicator) -> es.Result:
        network = es.Network((comm.rank, 2))
        network.add_population("p", 20, es.LIF())
        network.connect("p", "p", es.fixed_indegree(20, 20, 3, weights=1.0, delays=1.0))
        return es.simulate(network, {}, 1.0, comm=comm)

    for error in on_ranks(2, run):
        assert str(error).startswith("network must be the same on all ranks, got")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "scheduler"}, "engine must be 'windows' with comm, got 'scheduler'"),
        ({"until_fired": "e"}, "until_fired must be None, got 'e'"),
        ({"t_stop": -1.0}, "t_stop must be"),
    ],
)
def test_what_ranks_cannot_do_is_an_error_on_all(options: dict[str, Any], message: str) -> None:
    network, stimulus, t_stop = cortex()
    arguments = {"network": network, "stimulus": stimulus, "t_stop": t_stop} | options
    for error in on_ranks(2, lambda comm: es.simulate(**arguments, comm=comm)):
        assert isinstance(error, ValueError)
        assert message in str(error)


def test_a_rank_with_a_bad_argument_does_not_let_the_others_wait() -> None:
    network, stimulus, t_stop = cortex()
    good, bad = on_ranks(
        2, lambda comm: es.simulate(network, stimulus, (t_stop, "late")[comm.rank], comm=comm)
    )
    assert isinstance(bad, ValueError)
    assert isinstance(good, es.RankError)
    assert "rank 1 of 2 failed: ValueError: t_stop must be" in str(good)


@pytest.mark.parametrize("comm", ["world", 3, object()])
def test_no_communicator(comm: Any) -> None:
    with pytest.raises(ValueError, match="comm must be a communicator of mpi4py, got"):
        es.simulate(*cortex(), comm=comm)


def test_without_mpi4py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"eventsim-snn\[mpi\]"):
        ranks.world()


# --- parts of a network ---------------------------------------------------------------------------


def test_parts_share_the_synapses_among_them() -> None:
    whole = cortex()[0]
    parts = [cortex((rank, 3))[0] for rank in range(3)]
    assert sum(part.n_synapses for part in parts) == whole.n_synapses
    assert all(part.n_synapses < 0.5 * whole.n_synapses for part in parts)
    for key, projection in whole.projections.items():
        together = sum(part.projections[key].weights for part in parts)
        weights = projection.weights
        dense = weights if isinstance(weights, np.ndarray) else weights.toarray()
        np.testing.assert_array_equal(together.toarray(), dense)
        assert {part.delay_spans[key] for part in parts} == {whole.delay_spans[key]}
    assert {part.digest for part in parts} == {whole.digest}


def test_a_part_with_a_convolution_runs_like_the_whole() -> None:
    def run(part: tuple[int, int]) -> Run:
        network = es.Network(part)
        network.add_input("in", 16)
        network.add_population("p", 18, es.LIF(tau_mem=2.0, tau_syn=1.0))
        kernel = np.random.default_rng(1).uniform(0.5, 2.0, (2, 1, 2, 2))
        convolution = es.Convolution(kernel, (4, 4))
        network.connect("in", "p", weights=convolution, delays=0.3)
        network.connect("p", "p", weights=0.1 * np.ones((18, 18)), delays=np.full((18, 18), 0.7))
        return network, {"in": es.Spikes(np.arange(16) / 8, np.arange(16))}, 5.0

    whole = alone(run((0, 1)))
    assert whole.batch.record.time.size > 10
    for found in results_of(3, lambda comm: es.simulate(*run((comm.rank, 3)), comm=comm)):
        assert_same_to_the_bit(found, whole)


def test_a_part_checks_all_that_it_is_given() -> None:
    network = es.Network((0, 2))
    network.add_population("p", 2, es.LIF())
    with pytest.raises(ValueError, match="got nan"):
        network.connect("p", "p", weights=[[0.0, np.nan], [0.0, 0.0]], delays=1.0)


@pytest.mark.parametrize("part", [(2, 2), (-1, 2), (0, 0), 3, (0.5, 2), (0, 1, 2), None])
def test_no_part(part: Any) -> None:
    with pytest.raises(ValueError, match="part must be"):
        es.Network(part)


def test_what_needs_all_synapses_refuses_a_part() -> None:
    run = cortex((0, 2))
    needs = r"needs all synapses of a network, got one that keeps those of part \(0, 2\) alone"
    for engine in ("auto", "scheduler", "windows", "layered"):
        with pytest.raises(ValueError, match=needs):
            es.simulate(*run, engine=engine)
    result, _ = results_of(2, lambda comm: es.simulate(*cortex((comm.rank, 2)), comm=comm))
    first = np.eye(1, len(result.spikes["e"]))[0]
    for question in (
        result.causality,
        lambda: result.potential("e", at=1.0),
        lambda: gradients.timing_backprop(result, spike_times={"e": first}),
        lambda: result.network.replace(delays={("i", "e"): 1.0}),
        lambda: gradients.jvp(result, weights={}),
    ):
        with pytest.raises(ValueError, match=needs):
            question()


def test_a_part_belongs_to_its_rank() -> None:
    for error in on_ranks(2, lambda comm: es.simulate(*cortex((0, 3)), comm=comm)):
        assert "part of the network must be" in str(error)


def test_new_weights_of_a_part_are_those_of_its_synapses() -> None:
    def doubled(network: es.Network) -> es.Network:
        weights = {key: 2.0 * p.weights for key, p in network.projections.items()}
        return network.replace(weights=weights)

    network, stimulus, t_stop = cortex()
    whole = alone((doubled(network), stimulus, t_stop))

    def run(comm: FakeCommunicator) -> es.Result:
        return es.simulate(doubled(cortex((comm.rank, 2))[0]), stimulus, t_stop, comm=comm)

    for found in results_of(2, run):
        assert_same_to_the_bit(found, whole)


# --- failures -------------------------------------------------------------------------------------


@contextmanager
def failing(rank: int, call: int, error: BaseException) -> Iterator[None]:
    """Let a rank (a thread by the name of ``rank``) fail at a call of the loop."""
    inner, calls = sample.advance_windows, [0]

    def fail_once(*arguments: Any) -> int:
        if threading.current_thread().name == str(rank):
            calls[0] += 1
            if calls[0] == call:
                raise error
        return int(inner(*arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "advance_windows", fail_once)
        yield


@pytest.mark.parametrize("call", [1, 2, 9])
@pytest.mark.parametrize("error", [MemoryError("no room"), KeyboardInterrupt(), SystemExit(3)])
def test_a_rank_that_fails_ends_the_run_on_all(error: BaseException, call: int) -> None:
    run = cortex()

    def named(comm: FakeCommunicator) -> tuple[Any, es.Result]:
        threading.current_thread().name = str(comm.rank)
        try:
            outcome: Any = es.simulate(*run, comm=comm)
        except BaseException as raised:
            outcome = raised
        return outcome, es.simulate(*run, comm=comm)  # the communicator is as good as new

    with failing(1, call, error):
        outcomes = results_of(3, named)
    whole = alone(run)
    for rank, (outcome, again) in enumerate(outcomes):
        assert_same_to_the_bit(again, whole)
        if rank == 1:
            assert outcome is error
        else:
            assert isinstance(outcome, es.RankError)
            assert str(outcome) == f"rank 1 of 3 failed: {type(error).__name__}: {error}"


def test_a_rank_that_fails_at_the_very_end_is_heard_of() -> None:
    def run(comm: FakeCommunicator) -> int:
        def work(own: ranks.Ranks) -> int:
            own.gather(np.arange(3))
            if comm.rank == 0:
                raise OSError("disk full")
            return 1

        return ranks.together(comm, work)

    first, second = on_ranks(2, run)
    assert isinstance(first, OSError)
    assert str(second) == "rank 0 of 2 failed: OSError: disk full"


def test_ranks_that_make_different_calls_end_with_an_error() -> None:
    def work(comm: FakeCommunicator) -> float:
        if comm.rank == 0:
            return ranks.together(comm, lambda own: own.smallest(1.0))
        return ranks.together(comm, lambda own: float(own.gather(np.zeros(2)).sum()))

    for error in on_ranks(2, work):
        assert isinstance(error, es.RankError)
        assert "must make the same calls" in str(error)


class Interrupted(FakeCommunicator):
    """A communicator during whose n-th header Ctrl-C is pressed."""

    def __init__(self, at: int) -> None:
        super().__init__(0, Table(1))
        self.at, self.heads = at, []

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        self.heads.append(sendbuf[0])
        if len(self.heads) == self.at:
            signal.raise_signal(signal.SIGINT)
        super().Allgather(sendbuf, recvbuf)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts come, also where the tests run in the background, which ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("at", [1, 2, 5])
def test_an_interrupt_waits_until_a_meeting_is_over(at: int) -> None:
    """Else the others would wait in the midst of it."""
    comm, before = Interrupted(at), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        es.simulate(*cortex(), comm=comm)
    assert len(comm.heads) == at + 1
    assert comm.heads[-1] == ranks.FAILED
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_between_meetings_comes_at_once() -> None:
    comm = Interrupted(0)

    def work(own: ranks.Ranks) -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not interrupted")

    with pytest.raises(KeyboardInterrupt):
        ranks.together(comm, work)
    assert comm.heads == [ranks.FAILED]


# --- MPI ------------------------------------------------------------------------------------------


def on_mpi(*words: str) -> subprocess.CompletedProcess[str]:
    """What three processes say that are asked `tests.helpers.mpi_cases`."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    mpiexec = Path(sys.executable).parent / "mpiexec"
    if not mpiexec.exists():
        pytest.skip("mpiexec (of the package mpich) is not installed")
    ask = [sys.executable, "-m", "mpi4py", "-m", "tests.helpers.mpi_cases", *words]
    command = [str(mpiexec), "-n", "3", *ask]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.slow
def test_ranks_of_mpi() -> None:
    """Three processes, then two of them beside the third."""
    run = on_mpi()
    assert run.returncode == 0, run.stdout + run.stderr
    done = sorted(re.findall(r"rank (\d) of (\d) is done", run.stdout))
    assert done == [(f"{rank}", f"{size}") for rank in range(3) for size in range(rank + 1, 4)]


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_all_and_leaves_what_was_streamed(tmp_path: Path) -> None:
    """It cannot tell the others, which wait for it in the midst of a window."""
    run = on_mpi(str(tmp_path))
    assert run.returncode != 0
    assert "signal 9" in run.stdout + run.stderr
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert len(pids) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    network, stimulus, t_stop = cortex()
    whole = es.stream(network, stimulus, t_stop, chunk=CHUNK, engine="windows")
    for number, part in zip(range(PARTS_BEFORE), whole, strict=False):
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), part.spikes["e"].times)
    assert len(list(tmp_path.glob("*.npy"))) == PARTS_BEFORE
