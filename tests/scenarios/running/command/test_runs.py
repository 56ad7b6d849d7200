"""Run folders: the same files with the same bytes, whatever stopped a run on its way."""

import json
import os
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradients import SGD
from scenarios.running import report, training
from scenarios.running.command import runs
from scenarios.running.command.runs import new_run, old_run, read_folder
from scenarios.running.console.progress import SILENT
from scenarios.running.options import Options
from scenarios.running.registry import SCENARIOS
from scenarios.running.training import Settings, fit_seeds, replicate
from tests.helpers.lines import NoisyLine
from tests.helpers.stopping import Disk, KilledError, files_in


@dataclass(frozen=True)
class Config(Options):
    """Settings.

    Attributes
    ----------
    epochs
        Passes.
    rate
        Of learning.
    """

    epochs: int = 3
    rate: float = 0.5


def run(config, folder, progress):
    """A small run of all that a scenario does with a folder."""
    how = Settings(config.epochs, 9, SGD(config.rate, momentum=0.5))
    (state,) = fit_seeds(
        lambda _: NoisyLine(), lambda _: how, [0], folder=folder, progress=progress, title=""
    )
    squares = replicate(range(2), lambda seed: {"square": seed**2}, path=folder / "squares.jsonl")
    rows = [report.Row("slope", "2", f"{state.params['slope'][0]}")]
    return report.Report("tiny", rows, numbers={"squares": squares}, weights=state.params)


@pytest.fixture(scope="module")
def tiny():
    """The scenario tiny, in which no time passes."""
    module = SimpleNamespace(run=run)
    scenario = SimpleNamespace(
        name="tiny", summary="-", source="-", module=lambda: module, options=lambda: Config
    )
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(SCENARIOS, "tiny", scenario)
        patches.setattr(training, "time", SimpleNamespace(perf_counter=lambda: 0.0))
        patches.setattr(runs, "_now", lambda: "then")
        yield


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """What a run leaves that nothing stopped, and how many operations on files it takes."""
    one, two = (tmp_path_factory.mktemp("whole") / name for name in ("one", "two"))
    disk = Disk()
    go_on(one)
    go_on(two, disk)
    assert files_in(one) == files_in(two)
    return files_in(one), disk.done


def go_on(folder, disk=None):
    """Resume a run, or begin it if it has not begun."""
    with (disk or Disk()).watched():
        if (folder / "config.json").exists():
            with old_run(folder) as (_, config):
                report.write(run(config, folder, SILENT), folder)
        else:
            with new_run(SCENARIOS["tiny"], Config(), folder):
                report.write(run(Config(), folder, SILENT), folder)


def is_stopped(folder, disk):
    """Go on until an operation on files is stopped; return whether one was."""
    try:
        go_on(folder, disk)
    except (KilledError, OSError, ValueError):
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("kill", [True, False])
def test_a_run_stopped_at_any_operation_ends_with_the_same_files(whole, tmp_path, kill):
    expected, operations = whole
    assert operations > 60
    for stop in range(operations):
        folder = tmp_path / f"{stop}"
        assert is_stopped(folder, Disk(stop, kill=kill)) or not kill  # it can do without a mkdir
        go_on(folder)
        assert files_in(folder) == expected


@settings(max_examples=settings.default.max_examples // 5)
@given(stops=st.lists(st.tuples(st.integers(0, 80), st.booleans()), min_size=2, max_size=5))
def test_a_run_stopped_again_and_again_ends_with_the_same_files(whole, tmp_path_factory, stops):
    folder = tmp_path_factory.mktemp("often") / "run"
    for stop, kill in stops:
        is_stopped(folder, Disk(stop, kill=kill))
    go_on(folder)
    assert files_in(folder) == whole[0]


def set_value(folder, **changes):
    """Edit the settings in a run folder by hand."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["config"] |= changes
    path.write_text(json.dumps(content))


def begun(folder, stop=40):
    """Return the folder of a run that was killed."""
    assert is_stopped(folder, Disk(stop))
    return folder


@pytest.mark.parametrize("left", ["everything", "seed-0", "squares.jsonl"])
def test_a_setting_that_was_edited_is_refused_by_its_name_before_anything_is_done(
    tiny, tmp_path, left
):
    folder = tmp_path / "run"
    go_on(folder)
    set_value(folder, rate=0.25)
    if left == "seed-0":
        (folder / "squares.jsonl").unlink()
    if left == "squares.jsonl":
        shutil.rmtree(folder / "seed-0")
    before = files_in(folder)
    expected = r"made with rate = 0\.5, but config\.json says rate = 0\.25.*`eventsim run tiny`"
    with pytest.raises(ValueError, match=expected), old_run(folder):
        pytest.fail("nothing may be done")
    assert files_in(folder) == before


def test_a_setting_may_be_put_back(whole, tmp_path):
    folder = begun(tmp_path / "run")
    set_value(folder, epochs=7)
    with pytest.raises(ValueError, match="made with epochs = 3"):
        go_on(folder)
    set_value(folder, epochs=3)
    go_on(folder)
    del (left := files_in(folder))["config.json"]
    assert left == {name: content for name, content in whole[0].items() if name != "config.json"}


def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path):
    folder, other = begun(tmp_path / "run"), begun(tmp_path / "other")
    set_value(other, rate=0.25)
    for path in (other / "seed-0").iterdir():
        path.unlink()
    go_on(other)
    for path in (other / "seed-0").iterdir():
        shutil.copy(path, folder / "seed-0")
    with pytest.raises(
        ValueError, match=r"made with rate = 0\.25, but config\.json says rate = 0\.5"
    ):
        go_on(folder)


def test_a_run_in_use_is_refused(tiny, tmp_path):
    folder = tmp_path / "run"
    with (
        new_run(SCENARIOS["tiny"], Config(), folder),
        pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "),
    ):
        go_on(folder)


def test_other_versions_are_named_in_one_warning(tiny, tmp_path):
    folder = begun(tmp_path / "run")
    path = folder / "config.json"
    content = json.loads(path.read_text())
    numpy_here = content["versions"]["numpy"]
    content["versions"] |= {"numpy": "1.0", "torch": "0.1"}
    path.write_text(json.dumps(content))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        go_on(folder)
    (text,) = (str(one.message) for one in caught)
    assert "begun with numpy 1.0, torch 0.1, and goes on with" in text
    assert f"numpy {numpy_here}" in text


def test_runs_begun_at_once_get_folders_of_their_own(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    together = threading.Barrier(8)

    def begin(_):
        together.wait()
        with new_run(SCENARIOS["tiny"], Config(), None) as folder:
            together.wait()
            return folder

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(begin, range(8)))) == 8


def test_left_overs_of_killed_processes_go_and_no_other_file_does(tiny, tmp_path):
    folder = begun(tmp_path / "run")
    (folder / "seed-0" / ".metrics.jsonl.1-0a0a0a0a.partial").touch()
    (folder / "notes.txt").touch()
    go_on(folder)
    assert not list(folder.rglob("*.partial"))
    assert (folder / "notes.txt").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Expecting value"),
        ("[1]", r"it must be an object, got \[1\]"),
        ("[" * 100_000, "nested at most 100 levels deep"),
        ("{}", "scenario must be a text, got None"),
        ('{"scenario": 5}', "scenario must be a text, got 5"),
        ('{"scenario": "tiny", "config": []}', r"config must be an object, got \[\]"),
        ('{"scenario": "tiny", "config": {}}', "versions must be an object, got None"),
        ('{"scenario": "tin", "config": {}, "versions": {}}', "must be one of .*, got 'tin'"),
        ('{"scenario": "tiny", "config": {}, "versions": {}}', "got no epochs"),
        (
            '{"scenario": "tiny", "config": {"epochs": true, "rate": 1}, "versions": {}}',
            "epochs must be a whole number, got True",
        ),
        (
            '{"scenario": "tiny", "config": {"epochs": 3, "rate": [[]]}, "versions": {}}',
            "rate must be a number, got",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_error(tiny, tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=rf"config\.json cannot be used: .*{message}"):
        go_on(tmp_path)


@given(st.data())
def test_a_configuration_with_a_byte_changed_is_the_same_or_refused(whole, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed")
    content = bytearray(whole[0]["config.json"])
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "config.json").write_bytes(content)
    with suppress(ValueError):
        _, config = read_folder(folder)
        assert type(config.epochs) is int
        assert type(config.rate) in (int, float)


def test_a_folder_that_never_began_is_begun_not_resumed(tiny, tmp_path):
    folder = begun(tmp_path / "run", stop=6)
    assert files_in(folder).keys() >= {".lock"}
    assert "config.json" not in files_in(folder)
    with pytest.raises(ValueError, match="is not a run folder"), old_run(folder):
        pass
    go_on(folder)
