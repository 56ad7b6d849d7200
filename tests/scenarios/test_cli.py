"""The command line: what a newcomer meets first."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from scenarios import cli
from scenarios.cli import main
from scenarios.console import extras
from scenarios.console.runs import forget, new_run, read_folder
from scenarios.registry import SCENARIOS

ROOT = Path(__file__).parents[2]


def output(capsys, *arguments, code=0):
    """Run the command; return what it wrote to stdout and stderr together."""
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"], ["run", "--help"]])
def test_help_names_every_command_and_a_first_example(capsys, arguments):
    text = output(capsys, *arguments)
    for words in ("eventsim list", "eventsim run NAME", "eventsim resume FOLDER", "run yin_yang"):
        assert words in text


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
        (["xor"], ["got 'xor'", "did you mean `eventsim run xor`"]),
        (["learn"], ["command must be one of list, info, run, resume", "got 'learn'"]),
        (["list", "all"], ["takes no arguments, got 'all'"]),
        (["info", "xor", "iris"], ["usage: eventsim info NAME, got 2 arguments"]),
        (["info", "xo"], ["did you mean 'xor'"]),
        (["resume"], ["usage: eventsim resume FOLDER, got 0 arguments"]),
        (["resume", "/no/such/folder"], ["/no/such/folder is not a run folder"]),
    ],
)
def test_a_wrong_command_is_explained(capsys, arguments, words):
    text = output(capsys, *arguments, code=2)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["xor", "--runs", "0"], "runs must be >= 1, got 0"),
        (["xor", "--max-steps", "-3"], "max_steps must be >= 1, got -3"),
        (["xor", "--learning-rate", "0"], "learning_rate must be > 0, got 0.0"),
        (["xor", "--learning-rate", "nan"], "learning_rate must be > 0, got nan"),
        (["xor", "--t-stop", "1"], "t_stop must be finite and > 2.0, got 1.0"),
        (["xor", "--stpes", "3"], "--stpes"),
        (["iris", "--splits", "0"], "splits must be >= 1, got 0"),
        (["iris", "--epochs", "many"], "many"),
        (["iris", "--bump", "-1"], "bump must be finite and >= 0, got -1.0"),
        (["iris", "--batch-size", "0"], "batch_size must be >= 1, got 0"),
        (["iris", "--spikes", "few"], "few"),
        (["iris", "--schedule", "linear"], "linear"),
        (["yin_yang", "--epochs", "0"], "epochs must be >= 1, got 0"),
        (["yin_yang", "--hidden", "0"], "hidden must be >= 1, got 0"),
        (["yin_yang", "--seeds", "0"], "seeds must be >= 1, got 0"),
        (["yin_yang", "--n-train", "6000"], "got 6000"),
        (["yin_yang", "--t-stop", "inf"], "t_stop must be finite and > 0, got inf"),
        (["yin_yang", "--compare", "magic"], "magic"),
        (["yin_yang", "--recipe", "worst"], "worst"),
        (["yin_yang", "--spikes", "few"], "few"),
        (["yin_yang", "--tau-mem", "0"], "tau_mem must be > 0, got 0.0"),
        (["yin_yang", "--t-late", "-1"], "t_late must be finite and >= 0.15, got -1.0"),
        (["yin_yang", "--t-bias", "inf"], "t_bias must be finite and >= 0, got inf"),
        (["yin_yang", "--bump", "nan"], "bump must be finite and >= 0, got nan"),
        (["yin_yang", "--tau0", "0"], "tau0 must be finite and > 0, got 0.0"),
        (["yin_yang", "--gamma", "-1"], "gamma must be finite and >= 0, got -1.0"),
        (
            ["yin_yang", "--recipe", "best", "--compare", "surrogate"],
            "recipe must be 'published' with --compare surrogate, got 'best'",
        ),
    ],
)
def test_bad_values_are_refused_before_a_folder_is_made(
    capsys, tmp_path, monkeypatch, arguments, word
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        main(["run", *arguments])
    captured = capsys.readouterr()
    assert leaving.value.code == 2
    assert word in " ".join((captured.out + captured.err).replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["iris", "--gamma", "-1"], "gamma must be finite and >= 0, got -1.0"),
        (["xor", "--tau0", "0"], "tau0 must be finite and > 0, got 0.0"),
        (["yin_yang", "--data-dir", "/no/such/folder"],
         "no file /no/such/folder/train_samples.npy"),
    ],
)  # fmt: skip
def test_values_that_only_the_run_can_judge_are_refused_too(capsys, tmp_path, arguments, word):
    arguments = ["run", *arguments, "--folder", str(tmp_path / "run")]
    assert word in " ".join(output(capsys, *arguments, code=2).split())
    assert not (tmp_path / "run").exists()


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
    with new_run(xor, xor.module().Config(), tmp_path / "run") as folder:
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
    config = scenario.module().Config(epochs=3, seeds=2, compare="surrogate")
    with new_run(scenario, config, tmp_path / "run") as folder:
        assert read_folder(folder) == (scenario, config)


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
        made = (runs.enter_context(new_run(xor, xor.module().Config(), None)) for _ in range(3))
        assert len(set(made)) == 3


def interrupt(*_):
    raise KeyboardInterrupt


def test_an_interrupted_run_says_how_to_go_on(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(SCENARIOS["xor"].module(), "run", interrupt)
    folder = tmp_path / "run"
    text = output(capsys, "run", "xor", "--folder", str(folder), code=cli.INTERRUPTED)
    assert f"eventsim resume {folder}" in " ".join(text.split())
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
    with new_run(xor, xor.module().Config(), tmp_path / "run") as folder:
        text = output(capsys, "resume", str(folder), code=2)
    assert f"eventsim: error: {folder} is in use by process {os.getpid()} on " in text


@pytest.mark.slow
def test_python_m_scenarios_is_the_same_command():
    command = [sys.executable, "-m", "scenarios"]
    listed = subprocess.run([*command, "list"], cwd=ROOT, capture_output=True, check=True)
    assert b"yin_yang" in listed.stdout
    wrong = subprocess.run([*command, "quantum"], cwd=ROOT, capture_output=True, check=False)
    assert wrong.returncode == 2
    assert b"scenario must be one of" in wrong.stderr
