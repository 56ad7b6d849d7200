"""The page with interactive figures, opened and used in a browser; and compared with Python."""

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")
pytest.importorskip("plotly", reason="the extra plot is not installed")

from gradients.clocked import LIFUnit  # noqa: E402
from scenarios.flowers.lif_figures import through_time  # noqa: E402
from scenarios.flowers.page import STEPS, interactive_page  # noqa: E402
from tests.helpers.browser import running_browser  # noqa: E402

ROW = np.random.default_rng(0).random(64).round(3)
UNIT = {"w_input": "unit-w-input", "w_leak": "unit-w-leak", "size": "unit-input"}
GRADIENT = {"w_input": "gradient-w-input", "w_leak": "gradient-w-leak", "step": "gradient-step"}


@pytest.fixture(scope="module")
def page():
    return interactive_page(ROW, "a row <of> an image")


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    """A browser with the page in it; all else that it might ask for does not exist."""
    path = tmp_path_factory.mktemp("page") / "interactive.html"
    path.write_text(page, encoding="utf-8")
    with running_browser(tmp_path_factory.mktemp("profile")) as running:
        running.get(path.as_uri())
        yield running


def control(browser, name):
    return browser.find_element("id", name)


def press(browser, name, key, times=1):
    """Press a key on a control, as a user does."""
    control(browser, name).send_keys(key * times)


def slide(browser, name, value):
    """Move a slider to a value; the page hears of it as if a user did it."""
    browser.execute_script(
        "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
        "slider.dispatchEvent(new Event('input'));",
        name,
        str(value),
    )
    assert float(control(browser, name).get_attribute("value")) == pytest.approx(value)


def state(browser, figure):
    return browser.execute_script(f"return window.{figure}State")


def traces(browser, figure):
    """What Plotly shows."""
    return browser.execute_script(
        "return document.getElementById(arguments[0]).data.map("
        "d => ({x: Array.from(d.x), y: Array.from(d.y), z: d.z}))",
        figure,
    )


def text(browser, name):
    return control(browser, name).text


def in_python(inputs, w_input, w_leak):
    unit = LIFUnit(w_input, w_leak).double()
    with torch.no_grad():
        unit.w_input.fill_(w_input)
        unit.w_leak.fill_(w_leak)
        spikes, potentials = unit.run(torch.tensor(inputs, dtype=torch.float64))
    return spikes.numpy(), potentials.numpy()


INPUTS = {
    "constant": np.ones(STEPS),
    "pulses": (np.arange(STEPS) % 20 < 10).astype(float),
    "sine": 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(STEPS) / 25),
    "image": np.resize(ROW, STEPS),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "size", "w_input", "w_leak"),
    [
        ("constant", 0.6, 0.5, 0.1),
        ("constant", 1.0, 0.5, 0.0),  # the potential comes to equal the threshold: no spike, reset
        ("constant", 0.2, 0.47, 0.1),  # too weak, for good
        ("pulses", 1.7, 0.33, 0.05),
        ("sine", 2.0, 2.0, 0.9),
        ("image", 1.23, 0.77, 0.31),
        ("image", 2.0, 1.5, 1.0),
    ],
)
def test_the_unit_on_the_page_does_what_the_unit_in_python_does(
    browser, shape, size, w_input, w_leak
):
    control(browser, "unit-shape").find_element("css selector", f"[value={shape}]").click()
    for name, value in (("size", size), ("w_input", w_input), ("w_leak", w_leak)):
        slide(browser, UNIT[name], value)
    found = state(browser, "unit")
    spikes, potentials = in_python(size * INPUTS[shape], w_input, w_leak)
    np.testing.assert_allclose(found["inputs"], size * INPUTS[shape], atol=1e-12)
    np.testing.assert_array_equal(found["spikes"], spikes)
    np.testing.assert_allclose(found["potentials"], potentials, rtol=1e-12, atol=1e-12)
    of_input, of_potential, of_spikes, _, dot = traces(browser, "unit")
    assert of_input["y"] == found["inputs"]
    assert of_potential["y"] == found["potentials"]
    assert of_spikes["x"] == np.flatnonzero(spikes).tolist()
    assert dot["y"] == [spikes.mean()]
    assert dot["x"] == pytest.approx([size * INPUTS[shape].mean()])
    assert f"{int(spikes.sum())} spikes in {STEPS} steps" in text(browser, "unit-rate")


@pytest.mark.slow
@pytest.mark.parametrize(("w_input", "w_leak"), [(0.5, 0.1), (1.3, 0.0), (2.0, 1.0)])
def test_the_rate_curve_on_the_page_is_that_of_the_formula(browser, w_input, w_leak):
    from gradients import firing_rate

    for name, value in (("w_input", w_input), ("w_leak", w_leak)):
        slide(browser, UNIT[name], value)
    curve = traces(browser, "unit")[3]
    expected = firing_rate(curve["x"], w_input, w_leak)
    np.testing.assert_allclose(curve["y"], expected, atol=1e-12)
    assert f"up to {w_leak / w_input:.3f} " in text(browser, "unit-threshold")


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    ("step", "w_input", "w_leak"), [(15, 0.5, 0.1), (0, 1.1, 0.3), (23, 0.31, 0.0), (9, 1.9, 1.0)]
)
def test_the_gradient_on_the_page_is_that_of_pytorch(browser, step, w_input, w_leak, silent):
    for name, value in (("step", step), ("w_input", w_input), ("w_leak", w_leak)):
        slide(browser, GRADIENT[name], value)
    box = control(browser, "gradient-silent")
    if box.is_selected() != silent:
        box.click()
    inputs = browser.execute_script("return DATA.inputs")
    kind = "silent" if silent else "constant"
    expected = through_time(np.array(inputs), w_input, w_leak, step, kind)
    found = state(browser, "gradient")
    np.testing.assert_allclose(found["reached"], expected["gradient"], rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(found["spikes"], expected["spike"])
    rows = [row["z"][0] for row in traces(browser, "gradient")]
    for row, name in zip(rows, ("gradient", "spike", "potential", "input"), strict=True):
        np.testing.assert_allclose(row, expected[name], rtol=1e-12, atol=1e-15)
    n = np.count_nonzero(expected["gradient"])
    assert f"step {step} reaches {n} input" in text(browser, "gradient-reach")


@pytest.mark.slow
def test_keys_move_the_sliders_and_the_figure_follows(browser):
    from selenium.webdriver.common.keys import Keys

    for name, value in (("size", 0.6), ("w_input", 0.5), ("w_leak", 0.1)):
        slide(browser, UNIT[name], value)
    before = state(browser, "unit")
    press(browser, "unit-w-leak", Keys.ARROW_RIGHT, times=30)
    after = state(browser, "unit")
    assert text(browser, "unit-w-leak-value") == "0.4"
    assert sum(after["spikes"]) < sum(before["spikes"])
    spikes, _ = in_python(after["inputs"], 0.5, 0.4)
    np.testing.assert_array_equal(after["spikes"], spikes)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [3, 20])
def test_a_click_on_a_column_chooses_its_time_step(browser, chosen):
    from selenium.webdriver.common.action_chains import ActionChains

    n_steps = len(browser.execute_script("return DATA.inputs"))
    # The drag layer covers the panel of the last row of cells, one column for each time step.
    panel = browser.find_element("css selector", "#gradient .nsewdrag")
    left_edge, width = -0.6, n_steps + 0.2  # of the axis, in steps
    offset = ((chosen - left_edge) / width - 0.5) * panel.size["width"]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", panel)
    ActionChains(browser).move_to_element_with_offset(panel, round(offset), 0).click().perform()
    assert state(browser, "gradient")["step"] == chosen
    assert text(browser, "gradient-step-value") == str(chosen)
    frame = browser.execute_script("return document.getElementById('gradient').layout.shapes[0]")
    assert (frame["x0"], frame["x1"]) == (chosen - 0.5, chosen + 0.5)


@pytest.mark.slow
def test_the_page_asks_for_nothing_and_complains_of_nothing(browser):
    asked = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert asked == 0
    assert browser.get_log("browser") == []
    for figure in ("unit", "gradient"):
        drawn = browser.find_element("css selector", f"#{figure} .main-svg")
        assert drawn.size["height"] > 300
    shapes = control(browser, "unit-shape").find_elements("tag name", "option")
    assert shapes[-1].text == "a row <of> an image"


def test_the_page_needs_no_other_file(page):
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page)
    data = json.loads(re.search(r"const DATA = (.*);", page)[1])
    assert data["row"] == ROW.tolist()
    assert data["steps"] == STEPS


@pytest.mark.parametrize("row", [np.zeros((2, 2)), np.zeros(1), np.array([0.5, 1.5]),
                                 np.array([0.0, np.nan])])  # fmt: skip
def test_what_is_no_row_of_pixels_is_refused(row):
    with pytest.raises(ValueError, match=r"row must be \(n_columns >= 2,\) of numbers from 0 to 1"):
        interactive_page(row, "a row")
