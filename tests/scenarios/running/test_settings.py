"""Settings from a file: what is not of a field's type is refused by its name."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.running.options import options_of
from scenarios.running.registry import SCENARIOS

CONFIGS = {name: scenario.options() for name, scenario in SCENARIOS.items()}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def as_json(config):
    return json.loads(json.dumps(asdict(config)))


def is_wanted(value, option):
    """Tell whether an option takes a value, as far as its type says."""
    if value is None:
        return option.optional
    return type(value) is option.kind and not option.many and not option.choices


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_come_back_from_json_as_they_were(name):
    assert CONFIGS[name].of(as_json(CONFIGS[name]())) == CONFIGS[name]()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_field_says_what_it_is_for(name):
    assert all(option.help for option in options_of(CONFIGS[name]).values())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_field_says_what_stands_where_the_user_says_nothing(name):
    for option in options_of(CONFIGS[name]).values():
        assert option.default
        assert "None" not in option.default
        assert option.unset or option.cases or not option.optional


@pytest.mark.parametrize("name", CONFIGS)
def test_every_setting_of_a_run_can_be_said_in_words(name):
    chosen = CONFIGS[name]().chosen
    for field, option in options_of(CONFIGS[name]).items():
        assert option.words(getattr(chosen, field)) not in ("", "None")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_field_refuses_what_is_of_another_type_by_its_name(name):
    for field, option in options_of(CONFIGS[name]).items():
        for value in (True, None, "none of these", {"a": 1}, 2.5):
            if not is_wanted(value, option):
                with pytest.raises(ValueError, match=rf"^{field} must (be|lie in) .*, got "):
                    CONFIGS[name].of({**as_json(CONFIGS[name]()), field: value})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("iris", {"full": "false"}, "full must be True or False, got 'false'"),
        ("iris", {"full": 1}, "full must be True or False, got 1"),
        ("iris", {"epochs": True}, "epochs must be a whole number, got True"),
        ("iris", {"epochs": 20.0}, "epochs must be a whole number, got 20.0"),
        ("iris", {"t_bias": "1"}, "t_bias must be a number, got '1'"),
        ("iris", {"gamma": 10**400}, "gamma must lie in .*, got 1000"),
        ("iris", {"spikes": "few"}, "spikes must be one of multi, single, got 'few'"),
        ("coherence", {"taus": [30.0, "inf"]}, "taus must be a number, got 'inf'"),
        ("coherence", {"taus": 30.0}, "taus must be a list, got 30.0"),
        ("leak", {"severities": [1, True]}, "severities must be a whole number, got True"),
        ("xor", {"no_such": 3}, "settings must be published, .* got 'no_such'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(name, change, message):
    with pytest.raises(ValueError, match=message):
        CONFIGS[name].of({**as_json(CONFIGS[name]()), **change})


def test_a_missing_setting_is_named():
    values = as_json(CONFIGS["xor"]())
    del values["gamma"]
    with pytest.raises(ValueError, match=r"settings must be published, .* got no gamma"):
        CONFIGS["xor"].of(values)


def test_a_whole_number_is_a_number_too():
    config = CONFIGS["iris"].of({**as_json(CONFIGS["iris"]()), "t_stop": 3, "t_bias": 1})
    assert (config.t_stop, config.t_bias) == (3, 1)


@given(st.sampled_from(sorted(CONFIGS)), st.data())
def test_whatever_json_holds_is_taken_or_refused_in_one_way(name, data):
    values = as_json(CONFIGS[name]())
    field = data.draw(st.sampled_from(sorted(values)))
    values[field] = data.draw(json_values)
    try:
        config = CONFIGS[name].of(values)
    except ValueError:
        return
    except ArithmeticError:  # a number of the right type that a formula cannot take
        return
    assert as_json(config) == values or values[field] != values[field]
