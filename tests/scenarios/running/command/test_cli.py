"""The command line: what a newcomer meets first."""

import contextlib
import errno
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsim._engines.cuda import device
from scenarios import extras
from scenarios.running.checkpoint import write_whole
from scenarios.running.command import cli, commands
from scenarios.running.command.cli import main
from scenarios.running.command.commands import COMMANDS
from scenarios.running.command.runs import about, forget, new_run, read_folder
from scenarios.running.options import flag, options_of
from scenarios.running.records import DeadEndError, OtherRunError
from scenarios.running.registry import SCENARIOS
from scenarios.running.report import Report, Row

ROOT = Path(__file__).parents[4]


def output(capsys, *arguments, code=0):
    """Run the command; return what it wrote to stdout and stderr together."""
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def refusal(capsys, *arguments, code=2):
    """Run the command; return the one line in which it refuses, without its beginning."""
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert_one_line(captured.err)
    return captured.err.removeprefix("eventsim: error: ").removesuffix("\n")


def assert_one_line(text):
    """What an error says is one line that any terminal can show."""
    assert text.startswith("eventsim: ")
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert not re.search("Traceback|<class|NoneType|[╭│]", text)


@pytest.fixture
def idle(monkeypatch):
    """Let no command begin a run: what it would begin with is in this list."""
    begun = []
    monkeypatch.setattr(commands, "_execute", lambda *what: begun.append(what) or 0)
    return begun


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"], ["run", "--help"]])
def test_help_names_every_command_and_a_first_example(capsys, arguments):
    text = output(capsys, *arguments)
    for words in ("eventsim list", "eventsim run NAME", "eventsim resume FOLDER", "run yin_yang"):
        assert words in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys, command):
    texts = {output(capsys, *words) for words in (
        [command, "--help"], [command, "-h"], ["help", command],
    )}  # fmt: skip
    assert len(texts) == 1
    assert f"eventsim {command}" in texts.pop()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_help_of_a_scenario_names_all_its_options(capsys, name):
    text = output(capsys, "run", name, "--help")
    assert text == output(capsys, "help", name) == output(capsys, name, "--help")
    for option in [*options_of(SCENARIOS[name].options()), "folder"]:
        assert f"--{option.replace('_', '-')}" in text


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_help_of_a_scenario_says_each_default_and_never_none(capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "1000")
    text = output(capsys, "run", name, "--help")
    assert "None" not in text
    options = [*options_of(SCENARIOS[name].options()).values(), commands.FOLDER]
    for option in [*options, *commands.CREW.values()]:
        assert f"{option.help} (default: {option.default})" in text


def test_list_names_every_scenario_with_its_source(capsys):
    text = output(capsys, "list")
    for name, scenario in SCENARIOS.items():
        assert name in text
        assert scenario.source in text


@pytest.mark.parametrize("name", SCENARIOS)
def test_info_says_what_was_published(capsys, name):
    text = output(capsys, "info", name)
    assert "Published" in text
    assert f"eventsim run {name} --help" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "yin-yang"], ["must be one of xor, iris, yin_yang", "did you mean 'yin_yang'"]),
        (["run", "quantum"], ["must be one of", "got 'quantum'"]),
        (["run"], ["needs a scenario first"]),
        (["run", "--epochs", "3"], ["needs a scenario first"]),
        (["xro"], ["or a scenario: one of xor", "got 'xro'", "did you mean 'xor'?"]),
        (["--version", "2"], ["takes no arguments, got '2'"]),
        (["help", "learn"], ["got 'learn'"]),
        (["resume", "-x"], ["needs a folder first, got '-x'"]),
        (["resume", ""], ["folder must be text without NUL, and not empty"]),
        (["learn"], ["command must be one of list, info, run, resume", "got 'learn'"]),
        (["list", "all"], ["takes no arguments, got 'all'"]),
        (["info", "xor", "iris"], ["usage: eventsim info NAME, got 2 arguments"]),
        (["info", "xo"], ["did you mean 'xor'"]),
        (["resume"], ["usage: eventsim resume FOLDER, got 0 arguments"]),
        (["resume", "/no/such/folder"], ["/no/such/folder is not a run folder"]),
    ],
)
def test_a_wrong_command_is_explained(capsys, arguments, words):
    text = refusal(capsys, *arguments)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["xor", "--runs", "0"], "--runs must lie in [1, 100000], got 0"),
        (["xor", "--max-steps", "-3"], "--max-steps must lie in [1, 999998], got -3"),
        (["xor", "--learning-rate", "nan"], "--learning-rate must lie in (0, 1000], got nan"),
        (["xor", "--beta2", "1"], "--beta2 must lie in [0, 1), got 1.0"),
        (["xor", "--t-stop", "1"], "--t-stop must lie in (2, 1e+06], got 1.0"),
        (
            ["xor", "--max-stpes", "3"],
            "there is no option '--max-stpes'; did you mean --max-steps?",
        ),
        (["xor", "--full=yes"], "--full takes no value, got '--full=yes'"),
        (["xor", "--no-full="], "--no-full takes no value, got '--no-full='"),
        (["xor", "--full", "yes"], "there is no option 'yes'"),
        (["xor", "5"], "there is no option '5'"),
        (["iris", "--epochs", "many"], "--epochs must be a whole number, got 'many'"),
        (["iris", "--epochs", "1e3"], "--epochs must be a whole number, got '1e3'"),
        (["iris", "--epochs"], "--epochs needs a value"),
        (["iris", "--epochs", "3", "4"], "--epochs takes one value, got '3 4'"),
        (["iris", "--bump", "strong"], "--bump must be a number, got 'strong'"),
        (["iris", "--spikes", "few"], "--spikes must be one of multi, single, got 'few'"),
        (["flowers", "--flip", "maybe"], "--flip must be True or False, got 'maybe'"),
        (["mnist", "--hidden", "1" + "0" * 9], "--hidden must lie in [1, 100000], got 1000000000"),
        (["leak", "--tau-m", "9", "1e400"], "--tau-m must be a number, got '1e400'"),
        (["coherence", "--taus", "9", "x"], "--taus must be a number, got 'x'"),
        (["yin_yang", "--n-train", "6000"], "--n-train must lie in [1, 5000], got 6000"),
        (["yin_yang", "--t-late", "0"], "t_late must be >= 0.15, got 0.0"),
        (
            ["yin_yang", "--recipe", "best", "--compare", "surrogate"],
            "recipe must be 'published' with --compare surrogate, got 'best'",
        ),
        (["xor", "--folder", ""], "--folder must be text without NUL, and not empty, got ''"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert refusal(capsys, "run", *arguments) == message
    assert list(tmp_path.iterdir()) == []


OPTIONS = [(name, option, kind) for name in SCENARIOS
           for option, kind in options_of(SCENARIOS[name].options()).items()]  # fmt: skip
CHANGED = [
    ("xor", {}),
    ("xor", {"full": True, "learning_rate": 0.30000000000000004, "seed": 7}),
    ("iris", {"t_bias": None, "spikes": "multi"}),
    ("mnist", {"leaky": False, "data_dir": "my data/$HOME"}),
    ("coherence", {"taus": (5.0, 1e5, math.inf)}),
    ("leak", {"tau_m": (9.0,), "severities": (1, 8)}),
    ("flowers", {"flip": False}),
    ("brunel", {"regimes": ("AI",), "threads": 2}),
]


@pytest.mark.parametrize(("name", "changes"), CHANGED)
def test_the_command_that_a_page_names_gives_the_same_settings(name, changes, monkeypatch, idle):
    kind = SCENARIOS[name].options()
    monkeypatch.setattr(kind, "require", lambda _: None)
    config = kind(**changes)
    with tempfile.TemporaryDirectory() as folder:
        assert main(["run", name, *config.arguments, "--folder", f"{folder}/run"]) == 0
    assert idle[0][1] == config
    assert sum(word.startswith("--") for word in config.arguments) == len(changes)


NO_NUMBERS = (
    "three",
    "",
    "nan",
    "[/x]",
    "[bold]",
    "\x1b[31m",
    "\udcff",
    "\0",
    "\n",
    "1e400 ",
    "１2x",
)
BEYOND = ("-1000000000000", "1" + "0" * 300, "1" + "0" * 5000, "-1e300")


@given(
    st.sampled_from(OPTIONS),
    st.sampled_from(NO_NUMBERS + BEYOND) | st.text(st.characters(), max_size=20),
)
def test_no_value_of_any_option_ends_in_anything_but_one_line(which, value):
    name, option, kind = which
    number = kind.kind in (int, float)
    errors = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        patch.setattr(commands, "_execute", lambda *_: 0)
        run = ["run", name, "--folder", f"{folder}/run", f"--{option.replace('_', '-')}={value}"]
        code = main(run)
        assert Path(folder, "run").exists() == (code == 0)
    if code:
        assert code == 2
        assert_one_line(errors.getvalue())
    else:
        assert errors.getvalue() == ""
        assert not (number and value in NO_NUMBERS + BEYOND)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_number_among_the_options_has_a_range(name):
    kinds = options_of(SCENARIOS[name].options())
    free = {
        option
        for option, kind in kinds.items()
        if kind.kind in (int, float) and not kind.range and not kind.choices
    }
    assert free == set()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "stdbp"])
def test_without_a_gpu_its_engine_is_refused_before_anything_is_read(
    capsys, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    folder = tmp_path / "run"
    run = ["run", name, "--engine", "cuda", "--data-dir", "/no/such/folder"]
    assert "--engine cuda needs an NVIDIA GPU" in refusal(
        capsys, *run, "--folder", str(folder), code=1
    )
    assert not folder.exists()
    with new_run(SCENARIOS[name], SCENARIOS[name].options()(engine="cuda"), folder):
        pass
    assert "needs an NVIDIA GPU" in refusal(capsys, "resume", str(folder), code=1)


def test_data_that_only_the_run_can_judge_are_refused_too(capsys, tmp_path):
    arguments = ["run", "yin_yang", "--data-dir", "/no/such/folder"]
    text = output(capsys, *arguments, "--folder", str(tmp_path / "run"), code=2)
    assert "no file /no/such/folder/train_samples.npy" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["mnist", "leak_exact", "flowers"])
@pytest.mark.parametrize("folder", ["empty", "missing", "damaged"])
def test_missing_data_are_one_line_and_leave_no_run(capsys, tmp_path, monkeypatch, name, folder):
    if name == "flowers":
        pytest.importorskip("torch", reason="the extra torch is not installed")
        pytest.importorskip("plotly", reason="the extra plot is not installed")
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("damaged").mkdir()
    for file in ("train-images-idx3-ubyte", "images.npy.xz", "labels.npz"):
        Path("damaged", file).touch()
    assert main(["run", name, "--data-dir", folder, "--folder", "run"]) == cli.BAD_ARGUMENTS
    errors = capsys.readouterr().err
    assert_one_line(errors)
    assert folder in errors
    assert not Path("run").exists()


@pytest.mark.parametrize("kind", ["a file", "a folder in the place of config.json"])
def test_what_is_no_run_folder_is_named(capsys, tmp_path, kind):
    folder = tmp_path / "folder"
    if kind == "a file":
        folder.touch()
    else:
        (folder / "config.json").mkdir(parents=True)
    assert refusal(capsys, "resume", str(folder)) == (
        f"{folder} is not a run folder: there is no {folder}/config.json"
    )


def test_a_current_folder_that_is_gone_is_named(capsys, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    errors = refusal_of_a_run(capsys, ["run", "xor"])
    assert errors.endswith(": No such file or directory; it may have been moved or deleted")
    assert "output" not in errors


def test_a_run_that_fails_later_keeps_what_it_has_done(tmp_path):
    (tmp_path / "config.json").touch()
    (tmp_path / "metrics.jsonl").touch()
    forget(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_missing_library_is_named_with_the_command_that_installs_it(capsys, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "rich" else True)
    text = output(capsys, "run", "xor", code=1)
    assert "running a scenario needs rich, which is not installed" in text
    assert "pip install 'eventsim-snn[scenarios]'" in text


def test_missing_torch_is_named_with_the_command_that_installs_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else True)
    folder = str(tmp_path / "run")
    text = output(capsys, "run", "yin_yang", "--compare", "surrogate", "--folder", folder, code=1)
    assert "needs torch, which is not installed" in text
    assert "pip install 'eventsim-snn[torch]'" in text


def test_list_and_help_need_no_extra(capsys, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    assert "xor" in output(capsys, "list")
    assert "run yin_yang" in output(capsys, "--help")


def test_a_run_folder_is_not_used_twice(capsys, tmp_path):
    xor = SCENARIOS["xor"]
    with new_run(xor, xor.options()(), tmp_path / "run") as folder:
        pass
    text = output(capsys, "run", "xor", "--folder", str(folder), code=2)
    assert "holds a run already" in text
    assert f"eventsim resume {folder}" in " ".join(text.split())


def test_a_folder_with_other_files_is_left_alone(capsys, tmp_path):
    (tmp_path / "thesis.tex").touch()
    text = output(capsys, "run", "xor", "--folder", str(tmp_path), code=2)
    assert "must be new or empty" in text


def test_a_run_folder_gives_its_configuration_back(tmp_path):
    scenario = SCENARIOS["yin_yang"]
    config = scenario.options()(epochs=3, seeds=2, compare="surrogate")
    with new_run(scenario, config, tmp_path / "run") as folder:
        assert read_folder(folder) == (scenario, config)


def test_a_run_says_all_of_its_settings_with_the_values_used(tmp_path):
    iris = SCENARIOS["iris"]
    config = iris.options()(epochs=3, published=True)
    with new_run(iris, config, tmp_path / "run") as folder:
        said = about(iris, config, folder)
    values = {name: value for name, value, _ in said.settings}
    assert values.keys() == {flag(name) for name in asdict(config)}
    assert (values["--epochs"], values["--t-max"], values["--t-bias"]) == ("3", "16.0", "none")
    assert said.command == "eventsim run iris --published --epochs 3"
    assert datetime.fromisoformat(said.begun).tzinfo
    assert f"numpy {np.__version__}" in said.versions
    assert (said.task, said.pictures) == (iris.task(), iris.pictures())


def test_a_run_that_was_begun_before_dates_were_kept_has_none(tmp_path):
    iris = SCENARIOS["iris"]
    with new_run(iris, iris.options()(), tmp_path / "run") as folder:
        content = json.loads((folder / "config.json").read_text())
        del content["begun"]
        (folder / "config.json").write_text(json.dumps(content))
        assert about(iris, iris.options()(), folder).begun == "not known"


@pytest.mark.parametrize(
    "content", ["", "{}", '{"scenario": "xor", "config": {"no_such_option": 1}}', "[1]"]
)
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json cannot be used"):
        read_folder(tmp_path)


def test_run_folders_of_the_same_second_get_different_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    xor = SCENARIOS["xor"]
    with ExitStack() as runs:
        made = (runs.enter_context(new_run(xor, xor.options()(), None)) for _ in range(3))
        assert len(set(made)) == 3


def interrupt(*_):
    raise KeyboardInterrupt


def test_an_interrupted_run_says_how_to_go_on(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", interrupt)
    folder = tmp_path / "my run"
    assert main(["run", "xor", "--folder", str(folder)]) == cli.INTERRUPTED
    errors = capsys.readouterr().err
    assert errors == f"eventsim: interrupted; go on with: eventsim resume '{folder}'\n"
    assert json.loads((folder / "config.json").read_text())["scenario"] == "xor"


@pytest.mark.filterwarnings("default:the run was begun")
def test_a_run_goes_on_with_other_versions_after_a_warning(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", interrupt)
    folder = tmp_path / "run"
    output(capsys, "run", "xor", "--folder", str(folder), code=cli.INTERRUPTED)
    content = json.loads((folder / "config.json").read_text())
    content["versions"]["numpy"] = "1.0"
    (folder / "config.json").write_text(json.dumps(content))
    text = output(capsys, "resume", str(folder), code=cli.INTERRUPTED)
    assert "warning: the run was begun with numpy 1.0, and goes on with numpy" in text


def test_a_run_in_use_is_an_error_that_says_by_whom(capsys, tmp_path):
    xor = SCENARIOS["xor"]
    with new_run(xor, xor.options()(), tmp_path / "run") as folder:
        text = output(capsys, "resume", str(folder), code=2)
    assert f"eventsim: error: {folder} is in use by process {os.getpid()} on " in text
    assert "go on with" not in text


def failing(error):
    """Return a scenario's `run` that fails."""

    def run(*_):
        raise error

    return run


def refusal_of_a_run(capsys, arguments):
    assert main(arguments) == cli.FAILURE
    errors = capsys.readouterr().err
    assert_one_line(errors)
    return errors.removeprefix("eventsim: error: ").removesuffix("\n")


FULL = OSError(errno.ENOSPC, "No space left on device", "runs/x/checkpoint.npz")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FULL, "runs/x/checkpoint.npz: No space left on device; free some space"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "\x1b[31m"),
         r"\x1b[31m: No such file or directory; it may have been moved or deleted"),
        (MemoryError("Unable to allocate 9 TiB"),
         "out of memory (Unable to allocate 9 TiB); take fewer neurons, or smaller minibatches"),
        (FloatingPointError("loss is nan"), "loss is nan"),
    ],
)  # fmt: skip
def test_what_the_machine_did_to_a_run_is_one_line(capsys, tmp_path, monkeypatch, error, message):
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", failing(error))
    assert main(["run", "xor", "--folder", str(tmp_path / "run")]) == cli.FAILURE
    assert capsys.readouterr().err == f"eventsim: error: {message}\n"


def test_a_run_with_something_to_go_on_with_says_how(capsys, tmp_path, monkeypatch):
    def run(config, folder, progress):
        (folder / "metrics.jsonl").touch()
        raise FULL

    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", run)
    assert main(["run", "xor", "--folder", str(tmp_path / "run")]) == cli.FAILURE
    assert f"; go on with: eventsim resume {tmp_path}/run\n" in capsys.readouterr().err


@pytest.mark.parametrize("error", [DeadEndError, OtherRunError])
def test_a_run_that_cannot_go_on_does_not_say_how(capsys, tmp_path, monkeypatch, error):
    def run(config, folder, progress):
        (folder / "metrics.jsonl").touch()
        raise error("no way")

    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", run)
    assert main(["run", "xor", "--folder", str(tmp_path / "run")]) == cli.BAD_ARGUMENTS
    assert capsys.readouterr().err == "eventsim: error: no way\n"


def test_a_full_disk_under_a_run_is_told_from_one_behind_the_output(capsys, tmp_path, monkeypatch):
    full = failing(OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", full)
    words = ["run", "xor", "--folder", str(tmp_path / "run")]
    assert refusal_of_a_run(capsys, words) == (
        f"{tmp_path}/run: No space left on device; free some space"
    )


def test_a_run_whose_folder_is_deleted_meanwhile_is_one_line(capsys, tmp_path, monkeypatch):
    def run(config, folder, progress):
        shutil.rmtree(folder)
        write_whole(folder / "x", b"")

    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", run)
    assert main(["run", "xor", "--folder", str(tmp_path / "run")]) == cli.FAILURE
    errors = capsys.readouterr().err
    assert_one_line(errors)
    assert f"{tmp_path}/run/" in errors
    assert "go on" not in errors


@pytest.mark.parametrize("folder", ["/proc/run", "/dev/null/run", "x" * 300, "dangling"])
def test_a_folder_that_cannot_be_made_is_one_line(capsys, tmp_path, monkeypatch, idle, folder):
    monkeypatch.chdir(tmp_path)
    Path("dangling").symlink_to("nowhere")
    code = main(["run", "xor", "--folder", folder])
    errors = capsys.readouterr().err
    assert code in (cli.FAILURE, cli.BAD_ARGUMENTS)
    assert_one_line(errors)
    assert folder in errors
    assert not idle


def test_a_bug_shows_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", failing(TypeError("no such thing")))
    with pytest.raises(TypeError, match="no such thing"):
        main(["run", "xor", "--folder", str(tmp_path / "run")])


def test_an_error_shows_where_it_came_from_if_asked_to(monkeypatch):
    monkeypatch.setenv("EVENTSIM_TRACEBACK", "1")
    with pytest.raises(ValueError, match="got 'learn'"):
        main(["learn"])


@pytest.mark.parametrize("folder", ["[/x]", "[bold]x", ":smile:", "\x1b[31mx", "\udcff", "\nx"])
def test_names_are_shown_as_they_are_written(capsys, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", failing(KeyboardInterrupt()))
    assert main(["run", "xor", "--folder", folder]) == cli.INTERRUPTED
    captured = capsys.readouterr()
    shown = {"\x1b[31mx": r"\x1b[31mx", "\udcff": r"\xff"}.get(folder, folder)
    assert f"run folder {shown}\n" in captured.out
    assert shown.replace("\n", r"\n") in captured.err
    assert_one_line(captured.err)


def stream(file, encoding="utf-8"):
    return io.TextIOWrapper(file, encoding=encoding, write_through=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("arguments", [["list"], ["help", "leak"], ["info", "coherence"]])
def test_any_terminal_can_show_all_that_is_printed(monkeypatch, encoding, arguments):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", stream(file, encoding))
    assert main(arguments) == 0
    assert "\\u" not in file.getvalue().decode(encoding)


def test_a_run_on_an_ascii_terminal_ends_as_any_other(monkeypatch, tmp_path):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", stream(file, "ascii"))
    table = Report("τ = 2", [Row("accuracy", "95.0 ± 0.8 %", "–")], ["β → ∞"])
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", lambda *_: table)
    assert main(["run", "xor", "--folder", str(tmp_path / "Göltz")]) == 0
    text = file.getvalue().decode("ascii")
    for words in ("tau = 2", "95.0 +- 0.8 %", "beta -> inf", "Goltz"):
        assert words in text


@pytest.mark.parametrize("columns", ["0", "1", "-5", "wide", "²", "", "9" * 12])
def test_a_width_in_which_nothing_fits_is_not_believed(capsys, monkeypatch, columns):
    usual = output(capsys, "help", "xor")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    assert output(capsys, "help", "xor") == usual


@pytest.mark.parametrize("arguments", [["list"], ["help", "xor"], ["run", "xor"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_behind_the_output_is_one_line(
    capsys, tmp_path, monkeypatch, arguments, buffered
):
    monkeypatch.chdir(tmp_path)
    with (
        contextlib.suppress(OSError),
        Path("/dev/full").open("w") as full,
        monkeypatch.context() as patch,
    ):
        full.reconfigure(write_through=not buffered)
        patch.setattr(sys, "stdout", full)
        assert main(arguments) == cli.FAILURE
    assert capsys.readouterr().err == (
        "eventsim: error: the output: No space left on device; free some space\n"
    )


@pytest.mark.parametrize("arguments", [["list"], ["help", "xor"], ["run", "xor"]])
def test_a_reader_that_has_gone_ends_the_command_quietly(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    with (
        contextlib.suppress(OSError),
        os.fdopen(writer, "w") as pipe,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stdout", pipe)
        assert main(arguments) == cli.BROKEN_PIPE
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_is_no_error(monkeypatch, closed):
    monkeypatch.setattr(sys, closed, None)
    assert main(["list"]) == 0
    assert main(["learn"]) == cli.BAD_ARGUMENTS


@pytest.mark.slow
def test_ctrl_c_is_heeded_while_modules_are_imported():
    command = [sys.executable, "-m", "scenarios", "info"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1]
    assert process.returncode == cli.INTERRUPTED
    assert errors == "eventsim: interrupted\n"


@pytest.mark.slow
def test_python_m_scenarios_is_the_same_command():
    command = [sys.executable, "-m", "scenarios"]
    listed = subprocess.run([*command, "list"], cwd=ROOT, capture_output=True, check=True)
    assert b"yin_yang" in listed.stdout
    wrong = subprocess.run([*command, "quantum"], cwd=ROOT, capture_output=True, check=False)
    assert wrong.returncode == 2
    assert b"or a scenario: one of" in wrong.stderr
