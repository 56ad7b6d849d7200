"""The public face: `__all__`, docstrings with examples, and one direction of imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["eventsim", "gradients"]
LAYERS = ["eventsim", "gradients", "scenarios"]  # each may import those before it
MOST_PARAMETERS = 12  # of a function: what travels together is a NamedTuple


def public_objects() -> list[tuple[str, str]]:
    return [
        (package, name)
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
        if not name.startswith("__")
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_lists_what_is_there_once_and_in_order(package: str) -> None:
    names = importlib.import_module(package).__all__
    assert len(names) == len(set(names))
    for name in names:
        assert hasattr(importlib.import_module(package), name), name


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_public_is_left_out_of_all(package: str) -> None:
    module = importlib.import_module(package)
    for name, value in vars(module).items():
        if not name.startswith("_") and not inspect.ismodule(value):
            assert name in module.__all__, name


@pytest.mark.parametrize(("package", "name"), public_objects())
def test_every_public_name_has_a_docstring_with_an_example(package: str, name: str) -> None:
    value = getattr(importlib.import_module(package), name)
    doc = inspect.getdoc(value) or ""
    assert doc, f"{package}.{name} has no docstring"
    assert ">>>" in doc, f"{package}.{name} has no example"


@pytest.mark.parametrize(("package", "name"), public_objects())
def test_every_public_method_has_a_docstring(package: str, name: str) -> None:
    value = getattr(importlib.import_module(package), name)
    if inspect.isclass(value):
        for method, member in vars(value).items():
            if not method.startswith("_") and (callable(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{package}.{name}.{method}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is_for(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_what_is_for_a_device_is_not_imported_before_it_is_asked_for() -> None:
    code = "import sys, gradients; print(*[name for name in sys.modules if '.cuda' in name])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def functions_in(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


@pytest.mark.parametrize("package", LAYERS)
def test_no_function_takes_more_than_twelve_parameters(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for function in functions_in(path):
            given = function.args
            found = len([*given.posonlyargs, *given.args, *given.kwonlyargs])
            assert found <= MOST_PARAMETERS, f"{path}:{function.lineno} takes {found}"


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports: of modules, and of names that may be modules."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_one_way(package: str) -> None:
    later = set(LAYERS[LAYERS.index(package) + 1 :]) | {"tests", "benchmarks"}
    for path in (ROOT / package).rglob("*.py"):
        assert not imported_roots(path) & later, path


def test_the_oracle_shares_no_code_with_the_packages() -> None:
    assert not imported_roots(ROOT / "tests" / "helpers" / "naive.py") & set(LAYERS)


def test_no_test_module_imports_from_another() -> None:
    files = sorted((ROOT / "tests").rglob("*.py"))
    dotted = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    modules = tuple(f"{name}." for name in dotted if ".test_" in name)
    assert f"{__name__}." in modules
    for path in files:
        assert not [name for name in imported(path) if f"{name}.".startswith(modules)], path
