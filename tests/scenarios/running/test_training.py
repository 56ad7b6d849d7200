"""The training loop: what it draws, evaluates and saves, when it stops; a kill is harmless."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from gradients import SGD, Adam, cosine
from scenarios.running.checkpoint import load_arrays, load_latest, save_arrays
from scenarios.running.training import Settings, fit, in_chunks, replicate
from tests.helpers.lines import Line, NoisyLine
from tests.helpers.resuming import assert_same_arrays, assert_same_course

ROOT = Path(__file__).parents[3]


def settings(**changes):
    return Settings(**{"epochs": 4, "batch_size": 6, "optimizer": SGD(0.5), "seed": 3, **changes})


def test_every_epoch_sees_each_sample_once_in_a_new_order():
    task = Line()
    fit(task, settings(epochs=2))
    assert [len(rows) for rows in task.rows_seen] == [6, 6, 6, 2] * 2
    first, second = np.concatenate(task.rows_seen[:4]), np.concatenate(task.rows_seen[4:])
    np.testing.assert_array_equal(np.sort(first), np.arange(20))
    np.testing.assert_array_equal(np.sort(second), np.arange(20))
    assert not np.array_equal(first, second)


def test_the_loop_lowers_the_loss_and_records_every_epoch():
    history = fit(Line(), settings(epochs=30)).history
    assert [record["epoch"] for record in history] == list(range(31))
    assert history[-1]["loss"] < 1e-3 * history[1]["loss"]
    assert history[-1]["test_accuracy"] == 1.0


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples():
    task = Line()
    still = fit(task, settings(epochs=1, optimizer=SGD(1e-300)))
    everything = task.step(still.params, np.arange(20), None).metrics["loss"]
    assert still.history[1]["loss"] == pytest.approx(everything, rel=1e-12)


def test_a_full_batch_is_not_shuffled():
    task = Line()
    fit(task, settings(epochs=1, batch_size=100))
    np.testing.assert_array_equal(task.rows_seen[0], np.arange(20))


def test_evaluation_comes_as_often_as_asked_and_at_the_end():
    history = fit(Line(), settings(epochs=5, evaluate_every=2)).history
    assert [r["epoch"] for r in history if "test_accuracy" in r] == [0, 2, 4, 5]


def test_a_run_can_stop_early():
    stop = lambda history: history[-1]["test_accuracy"] == 1.0  # noqa: E731
    state = fit(Line(), settings(epochs=100, seed=0, stop=stop))
    assert 1 < state.epoch < 100


def test_a_run_that_stops_early_by_its_training_metrics_is_evaluated_at_its_end(tmp_path):
    stop = lambda history: history[-1]["loss"] < 1e-2  # noqa: E731
    options = settings(epochs=100, seed=0, evaluate_every=50, save_every=50, stop=stop)
    state = fit(Line(), options, folder=tmp_path)
    assert 1 < state.epoch < 50
    assert "test_accuracy" in state.history[-1]
    assert fit(Line(), options, folder=tmp_path).epoch == state.epoch


def test_a_finished_run_is_not_saved_again(tmp_path):
    fit(Line(), settings(epochs=2), folder=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    fit(Line(), settings(epochs=2), folder=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    one, two, other = (fit(Line(), settings(seed=seed)).params["slope"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert one != other


OPTIMIZERS = [SGD(0.1, momentum=0.9), Adam(lr=0.1), Adam(lr=cosine(0.1, 24, warmup=3))]


@pytest.mark.parametrize("task", [Line(), NoisyLine()])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("epochs_before", [1, 2, 5])
def test_a_run_in_two_pieces_is_the_run_in_one(tmp_path, task, optimizer, epochs_before):
    whole = fit(task, settings(epochs=6, optimizer=optimizer), folder=tmp_path / "whole")
    fit(task, settings(epochs=epochs_before, optimizer=optimizer), folder=tmp_path / "pieces")
    pieces = fit(task, settings(epochs=6, optimizer=optimizer), folder=tmp_path / "pieces")
    assert len(whole.history) == 7
    assert_same_course(pieces, whole)


def test_one_generator_gives_initial_values_orders_and_draws_one_after_the_other():
    class Draws(Line):
        def step(self, params, rows, rng):
            drawn.append(rng.normal())
            return super().step(params, rows, rng)

    drawn = []
    state = fit(Draws(), settings(epochs=2, seed=5))
    rng, expected = np.random.default_rng(5), []
    rng.normal(size=1)
    for _ in range(2):
        rng.permutation(20)
        expected += [rng.normal() for _ in range(4)]
    assert drawn == expected
    assert state.rng == rng.bit_generator.state


def test_a_finished_run_is_not_run_again(tmp_path):
    state = fit(Line(), settings(), folder=tmp_path)
    task = Line()
    again = fit(task, settings(), folder=tmp_path)
    assert task.rows_seen == []
    np.testing.assert_array_equal(again.params["slope"], state.params["slope"])


def test_the_metrics_file_has_one_json_record_a_line(tmp_path):
    state = fit(Line(), settings(), folder=tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == state.history


def test_metrics_that_a_kill_left_behind_the_checkpoint_catch_up(tmp_path):
    state = fit(Line(), settings(), folder=tmp_path)
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:-1]))
    fit(Line(), settings(), folder=tmp_path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == state.history


def test_a_damaged_checkpoint_costs_one_epoch_and_no_bit(tmp_path):
    whole = fit(Line(), settings(), folder=tmp_path / "whole")
    fit(Line(), settings(epochs=3), folder=tmp_path / "other")
    newest = tmp_path / "other" / "checkpoint-000003.npz"
    newest.write_bytes(newest.read_bytes()[:-40])
    with pytest.warns(RuntimeWarning, match="checkpoint-000003.npz"):
        again = fit(Line(), settings(), folder=tmp_path / "other")
    np.testing.assert_array_equal(again.params["slope"], whole.params["slope"])


def forged(folder, **changes):
    """Change what the newest checkpoint holds, with the right digest; None: leave it out."""
    newest = sorted(folder.glob("checkpoint-*.npz"))[-1]
    arrays = load_arrays(newest)
    rest = json.loads(arrays["rest"].tobytes())
    rest |= {name: changes.pop(name) for name in list(changes) if name in rest}
    arrays["rest"] = np.frombuffer(json.dumps(rest).encode(), dtype=np.uint8)
    arrays |= {name: np.asarray(array) for name, array in changes.items() if array is not None}
    save_arrays(newest, {k: v for k, v in arrays.items() if changes.get(k, 0) is not None})


RNG = np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"params/slope": np.zeros(2)},
            r"params/slope must be float64 of shape \(1,\), got float64",
        ),
        ({"params/slope": np.zeros(1, np.float32)}, "must be float64 of .*, got float32 of shape"),
        ({"params/slope": np.array(["1"])}, r"'params/slope.npy' is no array of numbers"),
        ({"params/slope": np.array([np.nan])}, "params/slope must be finite, got nan"),
        ({"params/slope": None}, "params must hold params/slope, got nothing"),
        ({"params/more": np.zeros(1)}, "params must hold params/slope, got .*params/more"),
        ({"params/a/b": np.zeros(1)}, "params must hold .*, got .*params/a/b"),
        ({"optimiser/step": 1.5}, r"optimizer/step must be int64 of shape \(\), got float64"),
        ({"optimiser/step": -3}, "optimizer/step must be >= 0, got -3"),
        ({"optimiser/mean/slope": None}, "optimizer must hold .*optimizer/mean/slope.*, got"),
        (
            {"optimiser/mean/slope": np.array([np.inf])},
            "optimizer/mean/slope must be finite, got inf",
        ),
        ({"optimiser/mean": np.zeros(1)}, "optimizer must hold .*optimizer/mean/slope, got"),
        ({"optimiser/step/more": 1}, "step/more must be an array or a folder of arrays, got both"),
        ({"rest": np.zeros(3)}, "is not a checkpoint of a training run"),
        ({"rest": np.frombuffer(b"[" * 100_000, np.uint8)}, "nested at most 100 levels deep"),
        ({"rest": None}, "is not a checkpoint of a training run: 'rest'"),
        ({"epoch": -1}, "its epoch must be that of its name, got -1"),
        ({"epoch": 4.0}, "its epoch must be that of its name, got 4.0"),
        ({"epoch": True}, "its epoch must be that of its name, got True"),
        ({"epoch": 3}, "its epoch must be that of its name, got 3"),
        ({"history": [{"epoch": 0, "seconds": 0.0}]}, "must be a record of numbers for each epoch"),
        ({"history": 5}, "must be a record of numbers for each epoch from 0 to 4, got 5"),
        ({"history": [{"epoch": k, "seconds": "0"} for k in range(5)]}, "record of numbers"),
        ({"history": [{"epoch": 0, "seconds": 0} for _ in range(5)]}, "record of numbers"),
        ({"rng": 5}, "its rng must be the state of a generator, got 5"),
        ({"rng": {}}, "rng must be a state of numpy's PCG64, got {}"),
        ({"rng": {**RNG, "bit_generator": "MT19937"}}, "rng must be a state of numpy's PCG64"),
        ({"rng": {**RNG, "state": {"state": -1, "inc": 1}}}, "rng must be a state of numpy's"),
        ({"rng": {**RNG, "state": {"state": 1e300, "inc": 1}}}, "rng must be a state of numpy's"),
        ({"rng": {**RNG, "state": 2**200}}, "rng must be a state of numpy's"),
        ({"rng": {**RNG, "has_uint32": 2**70}}, "rng must be a state of numpy's"),
        ({"rng": {**RNG, "more": 1}}, "rng must be a state of numpy's"),
    ],
)
def test_a_forged_checkpoint_is_named_with_what_was_expected(tmp_path, changes, message):
    whole = fit(Line(), settings(), folder=tmp_path)
    forged(tmp_path, **changes)
    with pytest.warns(RuntimeWarning, match=rf"checkpoint-000004\.npz.*{message}"):
        again = fit(Line(), settings(), folder=tmp_path)
    np.testing.assert_array_equal(again.params["slope"], whole.params["slope"])


def test_checkpoints_of_a_longer_training_are_refused(tmp_path):
    fit(Line(), settings(), folder=tmp_path)
    with (
        pytest.warns(RuntimeWarning, match="epoch must be <= 2, got [34]"),
        pytest.raises(ValueError, match="no checkpoint can be used"),
    ):
        fit(Line(), settings(epochs=2), folder=tmp_path)


def told(**changes):
    """Train; return what the progress is told."""
    heard = []

    class Listener:
        def task(self, total, done=0):
            assert (total, done) == (changes["epochs"], 0)
            return nullcontext(lambda now, metrics: heard.append((now, dict(metrics))))

    fit(Line(), settings(**changes), progress=Listener())
    return heard


def test_no_metric_of_the_untrained_network_is_shown():
    heard = told(epochs=2)
    assert [metrics for now, metrics in heard if now < 1] == [{}] * 3
    assert {"loss", "test_accuracy"} <= heard[3][1].keys()


def test_an_accuracy_is_shown_until_the_next_one_is_measured():
    heard = told(epochs=4, evaluate_every=2)
    assert all("test_accuracy" in metrics for now, metrics in heard if now >= 2)
    assert not any("test_accuracy" in metrics for now, metrics in heard if now < 2)
    by_time = dict(heard)
    assert by_time[3]["test_accuracy"] == by_time[2]["test_accuracy"]
    assert by_time[3]["loss"] != by_time[2]["loss"]


def test_progress_is_told_after_each_minibatch_and_each_epoch():
    heard = [(now, metrics.get("epoch")) for now, metrics in told(epochs=2)]
    epochs = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert heard == list(zip(epochs, [None, None, None, 1, 1, 1, 1, 2], strict=True))


@pytest.mark.parametrize(("n", "size"), [(1, 1), (7, 3), (6, 3), (5, 1000)])
def test_chunks_cover_every_sample_once_in_order(n, size):
    chunks = [np.arange(n)[chunk] for chunk in in_chunks(n, size)]
    np.testing.assert_array_equal(np.concatenate(chunks), np.arange(n))
    assert all(1 <= len(chunk) <= size for chunk in chunks)


@pytest.mark.parametrize(
    ("n", "size", "message"),
    [(0, 5, "n_samples must be >= 1, got 0"), (5, 0, "size must be >= 1, got 0")],
)
def test_chunks_of_nothing_are_refused(n, size, message):
    with pytest.raises(ValueError, match=message):
        in_chunks(n, size)


def test_replicates_run_once_each_and_a_line_cut_short_is_run_again(tmp_path):
    path, ran = tmp_path / "runs.jsonl", []

    def run(seed):
        ran.append(seed)
        return {"square": seed**2}

    replicate(range(3), run, path=path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(RuntimeWarning, match=r"runs\.jsonl was altered or cut short in line 3"):
        records = replicate(range(5), run, path=path)
    assert ran == [0, 1, 2, 2, 3, 4]
    assert records == [{"seed": seed, "square": seed**2} for seed in range(5)]
    assert replicate(range(5), run, path=path) == records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"evaluate_every": 0}, "evaluate_every must be an integer >= 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer >= 1, got 2.5"),
        ({"save_every": -1}, "save_every must be an integer >= 1, got -1"),
        ({"epochs": float("nan")}, "epochs must be an integer >= 1, got nan"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)


RUN = """
import sys
from pathlib import Path
from scenarios.yin_yang import run as yin_yang
from scenarios.yin_yang.config import YinYangOptions
from scenarios.running.checkpoint import save_arrays
from scenarios.networks.feed_forward import Classification
from scenarios.datasets.encoding import jitter
from scenarios.running.training import fit


class Jittered(Classification):
    def step(self, params, rows, rng):
        spikes, labels = self.train[0][rows], self.train[1][rows]
        return self.model.step(params, jitter(spikes, 0.05, rng, t_max=2.0), labels)


config = YinYangOptions(epochs=12, hidden=10, n_train=60, batch_size=20, t_stop=1.5)
plain, folder = yin_yang.build(config), Path(sys.argv[1])
task = Jittered(plain.model, plain.normals, plain.train, plain.test)
state = fit(task, config.settings(plain.n_train, seed=0), folder=folder)
save_arrays(folder / "weights.npz", state.params)
"""


def start_training(folder):
    """Train a small Yin-Yang network, with noise on its input, in a process of its own.

    It goes on from where the folder stands.
    """
    command = [sys.executable, "-c", RUN, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=dict(os.environ))


def newest_epoch(folder):
    names = [path.stem for path in folder.glob("checkpoint-*.npz")]
    return max((int(name.split("-")[1]) for name in names), default=0)


def kill_once_it_works(process, folder, delay):
    """Kill the process ``delay`` seconds after its next checkpoint, if it still runs then."""
    start = newest_epoch(folder)
    while process.poll() is None and newest_epoch(folder) == start:
        time.sleep(0.002)  # start-up: nothing of the run is at stake yet
    time.sleep(delay)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.jit
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start_training(whole)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors.decode()

    chance = random.Random(20)
    exits = []
    while 0 not in exits:
        process = start_training(killed)
        if len(exits) < 3:
            kill_once_it_works(process, killed, chance.uniform(0.0, 0.05))
        errors = process.communicate(timeout=300)[1]
        assert process.returncode in (0, -signal.SIGKILL), errors.decode()
        exits.append(process.returncode)

    assert exits[0] == -signal.SIGKILL
    assert newest_epoch(whole) == newest_epoch(killed) == 12
    assert_same_arrays(*(load_arrays(folder / "weights.npz") for folder in (whole, killed)))
    one, two = load_latest(whole), load_latest(killed)
    assert one.rng == two.rng
    assert [r["loss"] for r in one.history[1:]] == [r["loss"] for r in two.history[1:]]
