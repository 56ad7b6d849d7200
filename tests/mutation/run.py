"""Mutation testing: does the suite notice when a line of the mathematics is changed?

    pip install "cosmic-ray>=8.7,<9"
    python tests/mutation/run.py flow crossing queue jacobian timing_backprop

For each module named, every mutant that Cosmic Ray can make of it is written into a private copy
of the tree (never into the checkout) and the module's own tests are run on it, without compilation
and in a forked process that has the libraries imported, so that a mutant costs about a second.
Prints the share of mutants killed and each survivor as a diff. `--results FOLDER` keeps what is
known already, so that an interrupted or repeated run tests only what is new; `--retry` tests the
survivors again (after tests were added).
"""

from __future__ import annotations

import argparse
import difflib
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from queue import Queue

os.environ["NUMBA_DISABLE_JIT"] = "1"
sys.dont_write_bytecode = True  # a stale .pyc could hide a mutant

import cosmic_ray.plugins  # noqa: E402
import hypothesis  # noqa: E402
import mpmath  # noqa: E402, F401  imported once, before the forks
import networkx as nx  # noqa: E402, F401
import numba  # noqa: E402, F401
import pytest  # noqa: E402
import scipy.optimize  # noqa: E402
import scipy.sparse.linalg  # noqa: E402, F401
from cosmic_ray.ast import ast_nodes, get_ast_from_path  # noqa: E402
from cosmic_ray.mutating import mutate_code  # noqa: E402

ROOT = Path(__file__).parents[2]
KEPT = ("pyproject.toml", "eventsim", "gradients", "tests")

# Without the random networks, which take longer than all the rest.
TIMING_BACKPROP = ["tests/gradients/test_timing_backprop.py", "-knot random_networks"]

NEURON = ["tests/eventsim/model/test_neuron.py", "tests/eventsim/test_network.py"]
REFERENCES = ["tests/eventsim/engines/test_engines.py", "-kreference and scheduler"]
LOSSES = ("first_spike", "formulas", "loss", "membrane", "spike_count", "term")

# module: (file that is mutated, tests that must notice)
MODULES = {
    "flow": ("eventsim/model/flow.py", ["tests/eventsim/model/test_flow.py"]),
    "crossing": ("eventsim/model/crossing.py", ["tests/eventsim/model/test_crossing.py"]),
    "jumps": ("eventsim/model/jumps.py", REFERENCES),
    "neuron": ("eventsim/model/neuron.py", NEURON),
    "parameters": ("eventsim/model/parameters.py", NEURON),
    "queue": ("eventsim/_support/queue.py", ["tests/eventsim/support/test_queue.py"]),
    "jacobian": ("gradients/graph/jacobian.py", ["tests/gradients/graph/test_jacobian.py"]),
    "timing_backprop": ("gradients/timing_backprop.py", TIMING_BACKPROP),
    "transposed": (
        "gradients/graph/transposed.py",
        [*TIMING_BACKPROP, "tests/gradients/graph/test_forward_propagation.py"],
    ),
    "adjoint": ("gradients/_sweeps/events.py", TIMING_BACKPROP),
    **{name: (f"gradients/losses/{name}.py", ["tests/gradients/losses"]) for name in LOSSES},
}

# Operators on bits, and identity of numbers, die of a TypeError or a warning at once, and
# decorators do nothing without compilation: they would only flatter the score (or spoil it).
LEFT_OUT = re.compile(
    r"core/(RemoveDecorator"
    r"|ReplaceBinaryOperator_.*_(RShift|LShift|BitOr|BitAnd|BitXor|FloorDiv|Mod|Pow)"
    r"|ReplaceComparisonOperator_.*_(Is|IsNot)"
    r"|ReplaceUnaryOperator_.*_(Invert|Not))$"
)


def places(path: str) -> list[tuple[str, int]]:
    """(operator, occurrence) of every mutation of a file."""
    nodes = list(ast_nodes(get_ast_from_path(ROOT / path)))
    found = []
    for name in sorted(cosmic_ray.plugins.operator_names()):
        operator_class = cosmic_ray.plugins.get_operator(name)
        if not LEFT_OUT.match(name) and not operator_class.arguments():
            operator = operator_class()
            count = sum(len(list(operator.mutation_positions(node))) for node in nodes)
            found += [(name, occurrence) for occurrence in range(count)]
    return found


def chosen(path: str, sample: int | None) -> Iterator[tuple[str, str]]:
    """Yield (name, source) of all mutants of a file, or of a random sample (the same each time)."""
    code, everything = (ROOT / path).read_text(), places(path)
    if sample is not None and sample < len(everything):
        everything = random.Random(0).sample(everything, sample)
    for name, occurrence in everything:
        mutant = mutate_code(code, cosmic_ray.plugins.get_operator(name)(), occurrence)
        yield f"{name}#{occurrence}", mutant


def copy_of_the_tree(folder: Path) -> Path:
    for name in KEPT:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "peers", ".numba_cache")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def run_tests(tree: Path, tests: list[str]) -> int:
    """Run pytest in this (forked) process and return its exit status."""
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    hypothesis.settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=40,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # no shrinking
    )
    hypothesis.settings.load_profile("mutation")
    warnings = [
        f"-Wignore:{w} encountered" for w in ("overflow", "divide by zero", "invalid value")
    ]
    options = ["-x", "-q", "--noconftest", "--assert=plain", "-pno:cacheprovider"]
    options += ["-Wignore:Module already imported", *warnings]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return int(pytest.main([*options, *tests]))


def survives(
    tree: Path, path: str, code: str, tests: list[str], limit: int = 600
) -> tuple[bool, float]:
    """Write the code into the tree; tell whether all tests pass on it, and the CPU time in s.

    A mutant that loops for ever ends at the limit of CPU time; a busy machine kills none.
    """
    (tree / path).write_text(code)
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        status = 1
        try:
            status = run_tests(tree, tests)
        finally:
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    return status == 0, usage.ru_utime + usage.ru_stime


def difference(path: str, code: str) -> str:
    before = (ROOT / path).read_text().splitlines()
    lines = list(difflib.unified_diff(before, code.splitlines(), lineterm="", n=1))
    return "\n".join(lines[2:])


def check_module(module: str, results: Path, workers: int, retry: bool, sample: int | None) -> None:
    """Test the mutants of one module and print what survived."""
    path, tests = MODULES[module]
    file = results / f"{module}.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    trees: Queue[Path] = Queue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        for k in range(workers):
            (Path(folder) / str(k)).mkdir()
            trees.put(copy_of_the_tree(Path(folder) / str(k)))
        original = (ROOT / path).read_text()
        passes, seconds = survives(trees.queue[0], path, original, tests)
        if not passes:
            raise SystemExit(f"the tests of {module} fail without a mutation: {tests}")

        def outcome(mutant: tuple[str, str]) -> tuple[str, str, bool]:
            name, code = mutant
            change = difference(path, code)
            if change in known and not (retry and known[change]):
                return name, change, known[change]
            tree = trees.get()
            try:
                return name, change, survives(tree, path, code, tests, round(3 + 3 * seconds))[0]
            finally:
                trees.put(tree)

        found = {}
        for name, change, alive in pool.map(outcome, chosen(path, sample)):
            found[change] = alive
            file.write_text(json.dumps(known | found, indent=1))
            if alive:
                say(f"--- {module}: survived {name}\n{change}")
    killed = sum(not alive for alive in found.values())
    share = 100.0 * killed / len(found)
    say(f"{module}: {killed} of {len(found)} mutants killed ({share:.1f} %)")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", choices=list(MODULES), default=list(MODULES))
    parser.add_argument("--results", type=Path, help="folder of what is known already")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--retry", action="store_true", help="test known survivors again")
    parser.add_argument("--sample", type=int, help="only so many mutants of each module, at random")
    arguments = parser.parse_args()
    results = arguments.results or Path(tempfile.mkdtemp(prefix="mutation-"))
    results.mkdir(parents=True, exist_ok=True)
    for module in arguments.modules:
        check_module(module, results, arguments.workers, arguments.retry, arguments.sample)


if __name__ == "__main__":
    main()
