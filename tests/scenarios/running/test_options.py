"""Each field of a configuration says what it may hold, and one check holds for all."""

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from scenarios.running.options import (
    Checked,
    Count,
    Option,
    Options,
    Positive,
    Range,
    option,
    options_of,
)


@dataclass(frozen=True)
class Config(Options):
    """One field of each kind."""

    flag: bool = False
    maybe: bool | None = None
    count: Count = 3
    fraction: Annotated[float, Range(0, 1, "[)")] | None = None
    taus: tuple[Annotated[float, Range(1e-6, math.inf)], ...] = (1.0, math.inf)
    kind: Literal["one", "two"] | None = "one"
    name: str | None = None


def test_annotations_say_all_that_a_field_may_hold():
    assert options_of(Config) == {
        "flag": Option(bool),
        "maybe": Option(bool, optional=True),
        "count": Option(int, range=Range(1, 100_000)),
        "fraction": Option(float, range=Range(0, 1, "[)"), optional=True),
        "taus": Option(float, range=Range(1e-6, math.inf), many=True),
        "kind": Option(str, choices=("one", "two"), optional=True),
        "name": Option(str, optional=True),
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flag", 1, "flag must be True or False, got 1"),
        ("flag", None, "flag must be True or False, got None"),
        ("maybe", "yes", "maybe must be True or False, got 'yes'"),
        ("count", True, "count must be a whole number, got True"),
        ("count", 3.0, "count must be a whole number, got 3.0"),
        ("count", "3", "count must be a whole number, got '3'"),
        ("count", 0, r"count must lie in \[1, 100000\], got 0"),
        ("count", 10**400, r"count must lie in .*, got 1000+\.\.\.0+"),
        ("fraction", 1, r"fraction must lie in \[0, 1\), got 1"),
        ("fraction", math.nan, r"fraction must lie in \[0, 1\), got nan"),
        ("fraction", "0.5", "fraction must be a number, got '0.5'"),
        ("fraction", [0.5], r"fraction must be a number, got \[0.5\]"),
        ("taus", 1.0, "taus must be a list, got 1.0"),
        ("taus", (1.0, 0.0), r"taus must lie in \[1e-06, inf\], got 0.0"),
        ("taus", (1.0, None), "taus must be a number, got None"),
        ("kind", "three", "kind must be one of one, two, got 'three'"),
        ("kind", ["one"], r"kind must be text, got \['one'\]"),
        ("name", "", "name must be text without NUL, and not empty, got ''"),
        ("name", "a\0", r"name must be text without NUL, and not empty, got 'a\\x00'"),
    ],
)
def test_what_a_field_may_not_hold_is_refused(field, value, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Config(**{field: value})


def test_what_a_field_may_hold_is_kept():
    assert Config(taus=[2, 3.5]).taus == (2, 3.5)  # a list, when read from a file
    assert Config(count=np.int64(7), fraction=np.float64(0.5), maybe=True, kind=None).count == 7
    assert Config(taus=()).taus == ()


@pytest.mark.parametrize(
    ("low", "high", "ends", "inside", "outside"),
    [
        (0, 1, "[]", (0, 0.5, 1), (-1e-300, 1 + 2**-52, math.nan)),
        (0, 1, "[)", (0, 1 - 2**-53), (1, math.inf)),
        (0, 1, "(]", (5e-324, 1), (0, -0.0)),
        (0, 1, "()", (0.5,), (0, 1)),
        (1, math.inf, "[]", (1, 10**400, math.inf), (0.5, -math.inf, math.nan)),
    ],
)
def test_a_bracket_says_whether_an_end_belongs_to_a_range(low, high, ends, inside, outside):
    limits = Range(low, high, ends)
    assert all(value in limits for value in inside)
    assert not any(value in limits for value in outside)


def test_a_number_may_be_allowed_beside_a_range():
    limits = Range(1, 9, also=math.inf)
    assert [value in limits for value in (9, 10, math.inf, math.nan)] == [True, False, True, False]
    with pytest.raises(ValueError, match=r"^tau must lie in \[1, 9\] or be inf, got 10.0$"):
        Option(float, range=limits).check(10.0, "tau")


def test_a_subclass_keeps_what_its_parent_checks():
    @dataclass(frozen=True)
    class Narrow(Config):
        extra: Positive = 1.0

    with pytest.raises(ValueError, match="count must lie"):
        Narrow(count=0)
    with pytest.raises(ValueError, match="extra must lie"):
        Narrow(extra=0.0)


@dataclass(frozen=True)
class Recipes(Options):
    """Fields whose defaults depend on what is run."""

    full: bool = option("Many.", False)
    runs: Count = option("Runs.", 1, full=5)
    epochs: Count = option("Epochs.", small=2, small_full=20, large=3)
    rows: Count | None = option("Rows", 9, unset="all", large=None)
    rate: Positive = option("Rate.", small=0.5, large=0.5)
    names: tuple[str, ...] = option("Names.", ())
    length: Positive | None = option("Length.", unset="none", small=1.0)


@pytest.mark.parametrize(
    ("given", "kinds", "found"),
    [
        ({}, ("small",), (1, 2, 9, 0.5)),
        ({"full": True}, ("small",), (5, 20, 9, 0.5)),
        ({"full": True}, ("large",), (5, 3, None, 0.5)),
        ({}, ("odd", "large", "small"), (1, 3, None, 0.5)),
        ({"full": True, "runs": 7, "rows": 8}, ("large",), (7, 3, 8, 0.5)),
    ],
)
def test_a_field_left_open_takes_the_value_of_the_most_special_kind(given, kinds, found):
    config = Recipes(**given)
    chosen = config.chosen_for(*kinds)
    assert (chosen.runs, chosen.epochs, chosen.rows, chosen.rate) == found
    assert chosen.chosen_for(*kinds) == chosen
    assert Recipes.of(asdict(config)) == config  # files hold what the user said


def test_the_default_of_a_field_is_said_for_all_kinds():
    words = {name: one.default for name, one in options_of(Recipes).items()}
    assert words == {
        "full": "False",
        "runs": "1; full: 5",
        "epochs": "small: 2; small full: 20; large: 3",
        "rows": "9; large: all",
        "rate": "0.5",
        "names": "none",
        "length": "none; small: 1.0",
    }


def test_a_value_is_said_in_words():
    one = options_of(Recipes)
    assert one["rows"].words(None) == "all"
    assert one["epochs"].words(None) == "small: 2; small full: 20; large: 3"
    assert (one["names"].words(("a", "b")), one["names"].words(())) == ("a b", "none")
    assert one["full"].words(True) == "True"


@pytest.mark.parametrize("word", ["none", "None"])
def test_a_field_that_may_be_none_is_none_by_that_word(word):
    assert options_of(Recipes)["rows"].read([word], "--rows") is None


def test_a_preset_out_of_the_range_of_its_field_is_refused():
    @dataclass(frozen=True)
    class Wrong(Options):
        epochs: Count = option("Epochs.", 3, full=0)

    with pytest.raises(ValueError, match=r"^epochs must lie in \[1, 100000\], got 0$"):
        Wrong()


def test_choices_may_be_numbers():
    @dataclass(frozen=True)
    class Steps(Options):
        steps: Literal[10, 20] = option("Steps.", 10)

    assert Steps(20).steps == 20
    with pytest.raises(ValueError, match=r"^steps must be one of 10, 20, got 15$"):
        Steps(15)


@dataclass(frozen=True)
class Model(Checked):
    """Fields that are checked, and others that are nobody's business here."""

    sizes: tuple[int, ...]
    rate: Positive = 1.0
    tau: Annotated[float, Range(0, 9)] | None = None
    kind: Literal["one", "two"] = "one"
    other: object = None


@pytest.mark.parametrize(("field", "value"), [("rate", 0.0), ("tau", 10.0), ("kind", "three")])
def test_fields_beside_options_are_checked_where_their_annotation_limits_them(field, value):
    assert Model((), other=object()).tau is None
    with pytest.raises(ValueError, match=rf"^{field} must (lie in|be one of) .*, got {value!r}$"):
        Model((0, -1), **{field: value})
