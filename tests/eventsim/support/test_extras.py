"""What an extra installs, and the error where it is missing."""

import sys

import pytest

from eventsim._support.extras import extra


def test_what_is_installed_is_imported():
    with extra("io", "a table needs"):
        import json
    assert json is sys.modules["json"]


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "absent", None)
    message = "a table needs absent, which is not installed; .*pip install 'eventsim-snn\\[io\\]'"
    with pytest.raises(ImportError, match=message), extra("io", "a table needs"):
        import absent  # noqa: F401


def test_other_errors_are_those_of_the_library():
    with pytest.raises(ImportError, match=r"^broken$"), extra("io", "a table needs"):
        raise ImportError("broken")
