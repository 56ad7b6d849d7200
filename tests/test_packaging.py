"""What is shipped is what was tested: what the archives hold, and the bounds of the versions."""

import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {"eventsim", "gradients", "scenarios"}


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_wheel_says_that_its_packages_are_typed(wheel, package):
    assert f"{package}/py.typed" in wheel


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
