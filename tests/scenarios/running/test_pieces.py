"""Pieces done by others: the same files and numbers as alone, whoever did what, when and twice."""

import json
import os
import pickle
import warnings
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._support.sources import OtherCodeError, code
from scenarios.running import pieces
from scenarios.running.command.runs import new_run, old_run
from scenarios.running.console.progress import SILENT
from scenarios.running.lock import LOCK
from scenarios.running.pieces import PACKAGES, Crew, CrewError, Piece, do_piece, shared_with
from scenarios.running.records import CONFIG
from scenarios.running.registry import SCENARIOS
from tests.helpers import shared
from tests.helpers.stopping import files_in
from tests.helpers.strategies import examples


@pytest.fixture(scope="module", autouse=True)
def scenario():
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(SCENARIOS, shared.NAME, None)
        yield shared.register()


@pytest.fixture(scope="module")
def slopes(tmp_path_factory):
    """What two networks learn in a run that nobody shares."""
    run = begin(tmp_path_factory.mktemp("slopes") / "run", None, shared.Config(runs=2))
    return [record["slope"] for record in run.numbers["records"]]


def begin(folder, executor, config=None):
    """Run the scenario in a new folder, alone without an executor; return its report."""
    scenario = SCENARIOS[shared.NAME]
    config = config or shared.Config()
    with new_run(scenario, config, folder) as here:
        return _run(config, here, executor)


def go_on(folder, executor, config=None):
    with old_run(folder) as (_, found):
        config = config or found
        assert found == config
        return _run(config, folder, executor)


def _run(config, folder, executor):
    crew = None if executor is None else Crew(executor)
    with shared_with(crew, folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return shared.run(config, folder, SILENT)


def numbers_in(folder):
    """All that a folder holds, but for measured times."""
    found = {}
    for name, content in files_in(folder).items():
        if name.endswith("metrics.jsonl"):
            content = [{**json.loads(line), "seconds": 0} for line in content.splitlines()]
        if name == CONFIG:
            content = {**json.loads(content), "begun": ""}
        if not name.endswith(".npz"):  # their histories have times
            found[name] = content
    return found


class AtOnce(Executor):
    """Does all it is given when it is given, twice, on copies."""

    def submit(self, function, /, *arguments):
        future = Future()
        try:
            for _ in range(2):
                again, copies = pickle.loads(pickle.dumps((function, arguments)))
                result = again(*copies)
            future.set_result(pickle.loads(pickle.dumps(result)))
        except Exception as error:
            future.set_exception(error)
        return future


def test_a_shared_run_is_that_of_one_alone(tmp_path):
    alone = begin(tmp_path / "alone", None)
    expected = numbers_in(tmp_path / "alone")
    for workers in (1, 2, 3):
        with ThreadPoolExecutor(workers) as executor:
            report = begin(tmp_path / str(workers), executor)
        assert report.numbers == alone.numbers
        assert numbers_in(tmp_path / str(workers)) == expected
    report = begin(tmp_path / "twice", AtOnce())
    assert report.numbers == alone.numbers
    assert numbers_in(tmp_path / "twice") == expected


@examples(0.05)
@given(stops=st.lists(st.integers(0, 5), max_size=3), data=st.data())
def test_a_run_goes_on_with_others_whatever_stopped_it(tmp_path_factory, slopes, stops, data):
    folder = tmp_path_factory.mktemp("run") / "pieces"
    config = shared.Config(runs=2)
    expected = [{"seed": k, "slope": slope, "square": k**2} for k, slope in enumerate(slopes)]

    class Dying(AtOnce):
        def __init__(self, left):
            self.left = left

        def submit(self, *call):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().submit(*call)

    run = begin
    for stop in stops:
        try:
            run(folder, Dying(stop), config)
        except KeyboardInterrupt:
            run = go_on
    executor = data.draw(st.sampled_from([None, AtOnce()]))
    if run is begin and folder.exists():
        run = go_on
    assert run(folder, executor, config).numbers["records"] == expected


def test_what_workers_warn_of_is_said_here_and_once(tmp_path):
    with (
        new_run(SCENARIOS[shared.NAME], shared.Config(), tmp_path / "run") as folder,
        shared_with(Crew(AtOnce()), folder),
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always")
        shared.run(shared.Config(), folder, SILENT)
    assert [str(each.message) for each in said] == ["all are told this once"]
    assert said[0].filename == shared.__file__


def test_an_error_of_a_piece_is_that_of_the_run_which_can_go_on(tmp_path):
    config = shared.Config(fails=True)
    with ThreadPoolExecutor(2) as executor, pytest.raises(ValueError, match="not be 2, got 2"):
        begin(tmp_path / "run", executor, config)
    kept = (tmp_path / "run" / "one" / "seed-3" / "metrics.jsonl").read_text()
    assert len(kept.splitlines()) == 4
    with pytest.raises(ValueError, match="not be 2, got 2"):
        go_on(tmp_path / "run", None)
    assert '"square": 1' in (tmp_path / "run" / "records.jsonl").read_text()


def test_paths_in_the_settings_are_those_of_the_one_who_runs(tmp_path, monkeypatch):
    (tmp_path / "number.txt").write_text("3")
    monkeypatch.chdir(tmp_path)
    config = shared.Config(runs=1, data="number.txt")
    alone = begin(tmp_path / "alone", None, config)

    class Away(AtOnce):
        def submit(self, *call):
            with ExitStack() as there:
                there.callback(os.chdir, tmp_path)
                os.chdir("/")
                return super().submit(*call)

    assert begin(tmp_path / "shared", Away(), config).numbers == alone.numbers


@pytest.fixture
def piece(tmp_path):
    """A piece of a run in a folder that nobody holds."""
    (tmp_path / CONFIG).write_text("{}")
    run = {"scenario": shared.NAME, "config": json.loads(json.dumps(vars(shared.Config(runs=1))))}
    here = code(*PACKAGES)
    return Piece(run, str(tmp_path), str(tmp_path), "one/seed-0", "", here, 1)


def test_a_process_with_other_code_is_refused_by_name(piece):
    other = replace(piece, code={**piece.code, "scenarios": "0" * 12, "numpy": "1.0"})
    with pytest.raises(OtherCodeError, match=r"worker .*, process \d+, has scenarios .*numpy 1\.0"):
        do_piece(other)


@pytest.mark.parametrize("name", ["folder", "place"])
def test_a_process_without_the_folders_is_refused_by_name(piece, name):
    with pytest.raises(CrewError, match=r"worker .*, process \d+, does not see .*/elsewhere"):
        do_piece(replace(piece, **{name: piece.folder + "/elsewhere"}))


def test_work_ends_once_its_run_is_in_other_hands(piece, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "SECONDS", 0.0)
    do_piece(piece)
    (tmp_path / LOCK).write_text("process 7 on another host")
    with pytest.raises(CrewError, match="is no longer held by"):
        do_piece(replace(piece, name="two/seed-0"))


def test_a_process_that_does_not_see_what_others_did_says_so(piece, tmp_path):
    do_piece(piece)
    assert (tmp_path / "one" / "seed-0" / "metrics.jsonl").exists()
    with pytest.raises(CrewError, match=r"records\.jsonl lacks the records of \[0\]"):
        do_piece(replace(piece, name="later.jsonl/0"))


def test_cancelled_pieces_are_one_clear_error(tmp_path):
    class Gone(Executor):
        def submit(self, *_):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(CrewError, match=r"the piece \w+/seed-\d was cancelled: its workers"):
        begin(tmp_path / "run", Gone())
