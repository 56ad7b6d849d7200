"""The documentation: its scripts run, its reference is complete, its links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = ["eventsim", "eventsim.csv", "eventsim.nest", "eventsim.sonata", "gradients"]
WITH_EXTRAS = {
    "eventsim.nir": "nir",
    "gradients.clocked": "torch",
    "gradients.cuda": "numba_cuda",
    "gradients.jax": "jax",
    "gradients.torch": "torch",
}
BUILT = {"_build", "generated", "gallery"}

SCRIPTS = sorted([*DOCS.glob("tutorials/*.py"), *DOCS.glob("figures/*.py")])
PAGES = [
    page
    for folder, pattern in [(ROOT, "*.md"), (ROOT / "benchmarks", "*.md"), (DOCS, "**/*.md")]
    for page in sorted(folder.glob(pattern))
    if not BUILT & set(page.relative_to(ROOT).parts)
]
PICTURES = sorted(DOCS.glob("*.png"))


def listed() -> list[str]:
    """Dotted names of the reference, in its order."""
    names, module = [], ""
    for line in (DOCS / "reference" / "index.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r"   [\w.]+", line):
            names.append(f"{module}.{line.strip()}")
    return names


def test_the_lines_of_the_readme_print_what_it_says(capsys):
    text = (ROOT / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (said,) = re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)
    assert len(program.replace("\n\n", "\n").splitlines()) == 12
    exec(program, {})
    assert capsys.readouterr().out == said


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_script_runs(script, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    if "import torch" in script.read_text():
        pytest.importorskip("torch", reason="the extra torch is not installed")
    runpy.run_path(str(script))
    drawn = plt.get_fignums()
    plt.close("all")
    assert drawn


@pytest.mark.parametrize("package", [*PACKAGES, *WITH_EXTRAS])
def test_the_reference_lists_every_public_name_once(package):
    if package in WITH_EXTRAS:
        pytest.importorskip(WITH_EXTRAS[package])
    public = {f"{package}.{name}" for name in importlib.import_module(package).__all__}
    own = [name for name in listed() if name.rpartition(".")[0] == package]
    assert sorted(own) == sorted(public)


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the headings of a page, and of what it includes, as links name them."""
    included = re.findall(r"^```\{include\} (\S+)", page.read_text(), flags=re.MULTILINE)
    text = "".join(map(without_code, [page, *(page.parent / name for name in included)]))
    headings = re.findall(r"^#+ (.+)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the files of the project to which a page links, and the places in them."""
    text = re.sub(r"`[^`]*`", "", without_code(page))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    written = [re.sub(r"gallery/(\w+)\.rst$", r"tutorials/\1.py", target) for target in targets]
    parts = [target.partition("#") for target in written]
    return [(page.parent / file if file else page, anchor) for file, _, anchor in parts]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_to_headings_in_them(page):
    missing = [str(file) for file, _ in links(page) if not file.exists()]
    nowhere = [
        f"{file}#{anchor}"
        for file, anchor in links(page)
        if anchor and file.suffix == ".md" and anchor not in anchors(file)
    ]
    assert missing + nowhere == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_page_shows_the_picture(picture):
    shown = {file.resolve() for page in PAGES for file, _ in links(page)}
    assert picture in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_on_pages_exist(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("it also has names of the past")
    text = re.sub(r"(?<![\w./])es\.", "eventsim.", page.read_text())
    found = set(re.findall(r"(?<![\w./])(eventsim|gradients)\.(\w+)", text))
    unknown = [".".join(name) for name in found if not is_name(*name)]
    assert unknown == []


def is_name(package: str, name: str) -> bool:
    """Tell whether a package has a public name, or a module, of which extras may be missing."""
    public = hasattr(importlib.import_module(package), name)
    return public or importlib.util.find_spec(f"{package}.{name}") is not None
