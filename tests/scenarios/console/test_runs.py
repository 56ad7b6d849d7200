"""Run folders: the same files with the same bytes, whatever stopped a run on its way."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradients import SGD
from scenarios import report, training
from scenarios.console.progress import SILENT
from scenarios.console.runs import new_run, old_run
from scenarios.registry import SCENARIOS
from scenarios.training import Settings, fit_seeds, replicate
from tests.scenarios.stopping import Disk, KilledError, files_in
from tests.scenarios.test_training import NoisyLine


@dataclass(frozen=True)
class Config:
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
    module = SimpleNamespace(Config=Config, run=run, __doc__="")
    scenario = SimpleNamespace(name="tiny", summary="-", source="-", module=lambda: module)
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(SCENARIOS, "tiny", scenario)
        patches.setattr(training, "time", SimpleNamespace(perf_counter=lambda: 0.0))
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
