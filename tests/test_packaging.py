"""What is shipped is what was tested: the archives, versions and their bounds, the workflows."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {"eventsim", "gradients", "scenarios"}
WORKFLOWS = ROOT / ".github" / "workflows"
# A user's file, and what mypy is to say of it.
OF_A_USER = """\
import eventsim as es
import gradients
from scenarios.xor.config import XorOptions
net = es.Network()
net.add_input("in", "four")
reveal_type(es.simulate(net, {}, t_stop=1.0))
reveal_type(gradients.timing_backprop)
reveal_type(XorOptions())
"""
OF_MYPY = [
    'error: Argument 2 to "add_input" of "Network" has incompatible type "str"; expected "int"',
    'note: Revealed type is "eventsim.result.Result"',
    'note: Revealed type is "def (',
    'note: Revealed type is "scenarios.xor.config.XorOptions"',
]


def requirements() -> list[Requirement]:
    """Every requirement of the project, except of one extra on another."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(line) for lines in lists for line in lines]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def pinned(file: str) -> dict[str, str]:
    """The exact versions in a constraints file, by canonical name."""
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    pairs = [line.split("==") for line in lines if line]
    return {canonicalize_name(name): version for name, version in pairs}


def bounds(requirement: Requirement) -> set[str]:
    return {specifier.operator for specifier in requirement.specifier}


def listed_by_git(*options: str) -> set[str]:
    command = ["git", "ls-files", *options]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(listed.stdout.splitlines())


def workflow(name: str) -> dict:
    return yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())


def steps() -> list[dict]:
    """Every step of every workflow."""
    jobs = [job for path in WORKFLOWS.glob("*.yml") for job in workflow(path.stem)["jobs"].values()]
    return [step for job in jobs for step in job["steps"]]


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])
    return path


@pytest.fixture(scope="module")
def wheel(wheel_file):
    with zipfile.ZipFile(wheel_file) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_wheel_says_that_its_packages_are_typed(wheel, package):
    assert f"{package}/py.typed" in wheel


@pytest.mark.slow
def test_mypy_reads_the_types_of_an_installed_wheel(wheel_file, tmp_path):
    pytest.importorskip("mypy")
    environment, folder = tmp_path / "venv", tmp_path / "empty"
    venv.create(environment)
    (site,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel_file) as archive:
        archive.extractall(site)
    folder.mkdir()
    (folder / "script.py").write_text(OF_A_USER)
    python = ["--python-executable", str(environment / "bin" / "python")]
    command = [sys.executable, "-m", "mypy", "script.py", *python]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = [line.partition(": ")[2] for line in run.stdout.splitlines()[:-1]]
    assert [line[: len(start)] for line, start in zip(said, OF_MYPY, strict=True)] == OF_MYPY


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    kept = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept <= set(wheel)


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="no git checkout"
)
def test_the_source_archive_holds_every_file_of_the_checkout(tmp_path):
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = listed_by_git()
    assert tracked <= held
    assert held <= tracked | listed_by_git("--others", "--exclude-standard") | {"", "PKG-INFO"}


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_core_dependencies_are_bounded_on_both_sides(line):
    assert bounds(Requirement(line)) == {">=", "<"}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-lowest.txt"])
def test_the_tested_versions_lie_within_the_bounds(file):
    versions = pinned(file)
    outside = {
        str(requirement): versions[canonicalize_name(requirement.name)]
        for requirement in requirements()
        if canonicalize_name(requirement.name) in versions
        and not requirement.specifier.contains(versions[canonicalize_name(requirement.name)])
    }
    assert outside == {}


def test_what_users_install_is_tested_at_its_lower_bounds():
    lowest, extras = pinned("constraints-lowest.txt"), PROJECT["optional-dependencies"]
    chosen = [lines for name, lines in extras.items() if name not in ("dev", "docs", "test")]
    claimed = {
        canonicalize_name(requirement.name): specifier.version
        for requirement in map(Requirement, sum(chosen, PROJECT["dependencies"]))
        for specifier in requirement.specifier
        if specifier.operator == ">=" and requirement.name != PROJECT["name"]
    }
    assert {"numpy", "jax", "torch", "mpi4py"} < set(claimed)
    above = {n: lowest[n] for n, bound in claimed.items() if not lowest[n].startswith(bound)}
    assert above == {}


def test_every_extra_of_users_is_tried_alone():
    script = (ROOT / ".ci" / "extras").read_text()
    names = set(PROJECT["optional-dependencies"]) - {"dev", "docs", "test"}
    assert set(re.findall(r"^    \[(\w+)\]=", script, re.MULTILINE)) == names | {"none"}


def test_what_the_checks_install_is_pinned():
    extras = PROJECT["optional-dependencies"]
    chosen = [extras[name] for name in ("dev", "docs", "test", "scenarios")]
    lines = sum(chosen, PROJECT["dependencies"])
    names = {canonicalize_name(Requirement(line).name) for line in lines} - {PROJECT["name"]}
    assert names <= set(pinned("constraints.txt"))


def test_the_workflow_tests_the_versions_of_python_that_the_package_names():
    prefix = "Programming Language :: Python :: 3."
    named = [line.split()[-1] for line in PROJECT["classifiers"] if line.startswith(prefix)]
    assert workflow("tests")["jobs"]["tests"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_what_the_workflows_make_is_in_the_makefile():
    commands = [step["run"] for step in steps() if step.get("run", "").startswith("make ")]
    targets = {word for line in commands for word in line.split()[1:] if word.isalpha()}
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"lint", "unit", "docs", "dist", "tagged"} <= targets <= rules


def test_actions_of_others_are_pinned_to_a_version():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert [name for name in used if not re.search(r"@(v\d+|release/v\d+)$", name)] == []


def test_workflows_may_only_read_unless_a_job_says_what_it_writes():
    files = [path.stem for path in WORKFLOWS.glob("*.yml")]
    assert {str(workflow(name)["permissions"]) for name in files} == {"{'contents': 'read'}"}


@pytest.mark.parametrize(("tag", "status"), [(f"v{PROJECT['version']}", 0), ("v99.0", 2), ("", 2)])
def test_a_tag_is_the_version_of_the_package(tag, status):
    if shutil.which("make") is None:
        pytest.skip("no make")
    command = ["make", "tagged", f"TAG={tag}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stderr


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]


def test_the_extra_docs_brings_what_the_pages_import():
    modules = {*ROOT.glob("gradients/*/__init__.py"), ROOT / "gradients/clocked/_torch.py"}
    text = "\n".join(module.read_text() for module in modules)
    needed = set(re.findall(r'^with extra\("(\w+)"', text, flags=re.MULTILINE))
    own = [Requirement(line) for line in PROJECT["optional-dependencies"]["docs"]]
    (extras,) = [found.extras for found in own if found.name == PROJECT["name"]]
    assert {"jax", "torch"} <= needed <= extras
