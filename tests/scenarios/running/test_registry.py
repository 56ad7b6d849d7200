"""Every scenario says for strangers what its task is, and what to see in each of its pictures."""

import ast
import re
from pathlib import Path

import pytest

import scenarios
from scenarios.running.registry import SCENARIOS

ROOT = Path(scenarios.__file__).parent
DRAWN_BY = {"fashion_mnist": "mnist"}  # whose pictures are another's


def text_or_pattern(key):
    """Return a pattern for a key of a dict display, which may be an f-string."""
    parts = key.values if isinstance(key, ast.JoinedStr) else [key]
    return "".join(
        re.escape(part.value) if isinstance(part, ast.Constant) else r"\w+" for part in parts
    )


def keys_of(value):
    return [text_or_pattern(key) for key in value.keys] if isinstance(value, ast.Dict) else []


def drawn_in(tree):
    """Yield patterns for the names under which a module hands figures on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "figures":
            yield from keys_of(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name == "_figures":
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    yield from keys_of(inner.value)
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == "figures":
                yield from keys_of(node.value)
            elif isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith(
                "figures"
            ):
                yield text_or_pattern(target.slice)


def pictures_drawn(name):
    folder = ROOT / DRAWN_BY.get(name, name)
    return {
        drawn for path in folder.glob("*.py") for drawn in drawn_in(ast.parse(path.read_text()))
    }


def is_sentence(text):
    return text[:1].isupper() and text.endswith((".", "?")) and "  " not in text and len(text) > 40


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_its_task_is(name):
    task = SCENARIOS[name].task()
    assert is_sentence(task)
    assert task.endswith(".")
    assert len(task) < 300


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_picture_has_its_sentence_and_every_sentence_its_picture(name):
    said, drawn = SCENARIOS[name].pictures(), pictures_drawn(name)
    assert said
    assert all(is_sentence(sentence) and sentence.endswith(".") for sentence in said.values())
    for pattern in drawn:
        assert any(re.fullmatch(pattern, each) for each in said), pattern
    for each in said:
        assert any(re.fullmatch(pattern, each) for pattern in drawn), each
