"""What a run leaves: its table, its files, and a page that any browser shows on any screen."""

import html
import io
import json
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import eventsim as es
from scenarios.running import report
from scenarios.running.report import About, Report, Row, percent
from tests.helpers.browser import running_browser

ABOUT = About(
    task="Which of two inputs came first?",
    pictures={"wide": "The line should fall.", "spare": "Nobody draws this."},
    settings=[
        ("--epochs", "60", "Passes over the points."),
        (
            "--a-rather-long-name",
            "that of the variable EVENTSIM_DATA; else a download",
            "Why " * 30,
        ),
    ],
    command="eventsim run xor --learning-rate 0.025 --max-steps 123456 --published --seed 1234567",
    begun="2025-01-31 12:00:00+01:00",
    versions="numpy 2.0",
    source="Smith & Jones <1999>",
)
HEADINGS = {"Results", "Pictures", "Settings", "This run", "Resume", "Use the trained network"}


def network():
    net = es.Network()
    net.add_input("in", 3)
    net.add_population("out", 1, es.LIF())
    net.connect("in", "out", weights=np.ones((3, 1)))
    return net


def figure():
    drawn = Figure(figsize=(13.0, 3.0))
    drawn.subplots().plot([3.0, 1.0])
    return drawn


def small_report(**changes):
    rows = [Row("test accuracy", "95.0 %", "96.5 %"), Row("a < b & c", "–", "1")]
    return Report(title="A title", rows=rows, notes=["a note"], **changes)


def full_report():
    """A report with all that there may be, wider than a phone."""
    rows = [Row("weights all->all receptor[32]", *[f"{k}.123456789012" for k in range(2)],
                more=["4e-10 ≤ 3e-08"] * 4)]  # fmt: skip
    return Report(
        "A title with_one_rather_long_word_that_does_not_fit_on_a_telephone",
        rows,
        notes=["a note with /a/path/that/goes/on/and/on/and/on/and/on/and/on/and/on/and/on.html"],
        headings=("published", "this run", "one", "more", "and", "more"),
        network=network(),
        t_stop=2.5,
        figures={"wide": figure()},
    )


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def lines_to_copy(folder):
    return [
        html.unescape(text) for text in re.findall(r"<pre.*?>(.*?)</pre>", page_of(folder), re.S)
    ]


def test_the_table_sets_the_published_number_beside_ours():
    screen = Console(file=io.StringIO(), force_terminal=False, width=160)
    report.show(small_report(), screen)
    for words in ("A title", "published", "this run", "95.0 %", "96.5 %", "· a note"):
        assert words in screen.file.getvalue()


def test_the_files_of_a_report_hold_its_numbers(tmp_path):
    paths = report.write(small_report(weights={"W": np.eye(2)}, numbers={"x": [1.5]}), tmp_path)
    assert {path.name for path in paths} == {"results.json", "report.html", "weights.npz"}
    assert "a &lt; b &amp; c" in page_of(tmp_path)
    assert '"x": [' in (tmp_path / "results.json").read_text()


def test_the_results_are_json_for_strict_readers_too(tmp_path):
    report.write(small_report(numbers={"x": [math.nan, {"y": -math.inf}], "z": 0.5}), tmp_path)
    found = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert (found["x"], found["z"]) == ([None, {"y": "-inf"}], 0.5)


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.5], "50.0 %"), ([0.9, 1.0], "95.0 ± 7.1 %"), ([1.0, 1.0, 1.0], "100.0 ± 0.0 %")],
)
def test_a_percentage_says_its_spread_if_it_has_one(values, text):
    assert percent(values) == text


def test_a_page_says_all_of_its_run(tmp_path):
    report.write(full_report(), tmp_path, ABOUT)
    text = html.unescape(page_of(tmp_path))
    for words in (ABOUT.task, ABOUT.pictures["wide"], ABOUT.begun, ABOUT.versions, ABOUT.source,
                  *(word for setting in ABOUT.settings for word in setting)):  # fmt: skip
        assert words in text
    assert ABOUT.pictures["spare"] not in text
    assert lines_to_copy(tmp_path)[:2] == [ABOUT.command, "eventsim resume ."]


def test_a_picture_without_a_sentence_is_a_bug(tmp_path):
    with pytest.raises(KeyError, match="other"):
        report.write(small_report(figures={"other": figure()}), tmp_path, ABOUT)


def test_two_lines_of_the_page_load_the_trained_network(tmp_path, monkeypatch):
    report.write(full_report(), tmp_path, ABOUT)
    monkeypatch.chdir(tmp_path)
    lines = lines_to_copy(tmp_path)[-1]
    found = {}
    exec(lines, found)
    assert found["network"].is_same(network())
    assert len(lines.splitlines()) == 2
    assert "eventsim.simulate(network, spikes, t_stop=2.5)" in page_of(tmp_path)
    assert '"in" (3 sources)' in html.unescape(page_of(tmp_path))


def test_a_page_without_a_network_says_nothing_of_one(tmp_path):
    paths = report.write(small_report(), tmp_path, ABOUT)
    assert tmp_path / "network.npz" not in paths
    assert "network" not in page_of(tmp_path)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser with the page in it."""
    folder = tmp_path_factory.mktemp("run")
    report.write(full_report(), folder, ABOUT)
    with running_browser(tmp_path_factory.mktemp("profile")) as running:
        running.get((folder / "report.html").as_uri())
        yield running


@pytest.fixture(params=["light", "dark"])
def scheme(request, browser):
    features = [{"name": "prefers-color-scheme", "value": request.param}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    return request.param


@pytest.fixture(params=[375, 1100])
def width(request, browser):
    size = {"width": request.param, "height": 800, "deviceScaleFactor": 1}
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {**size, "mobile": request.param < 500}
    )
    return request.param


@pytest.mark.slow
def test_nothing_is_wider_than_the_screen(browser, width):
    shown, whole = browser.execute_script(
        "const page = document.documentElement; return [page.clientWidth, page.scrollWidth]"
    )
    assert whole <= shown <= width
    outside = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll *') "
        "&& each.getBoundingClientRect().right > arguments[0]).map(each => each.outerHTML)",
        shown,
    )
    assert outside == []


@pytest.mark.slow
def test_wide_tables_and_long_lines_scroll_within_themselves(browser, width):
    scroll = browser.execute_script(
        "return [...document.querySelectorAll('.scroll, pre')].map("
        "each => [each.scrollWidth > each.clientWidth, getComputedStyle(each).overflowX])"
    )
    assert {how for _, how in scroll} == {"auto"}
    assert any(wide for wide, _ in scroll) or width > 500


@pytest.mark.slow
def test_all_is_there_and_nothing_is_asked_for(browser, width):
    headings = {each.text for each in browser.find_elements("tag name", "h2")}
    assert headings == HEADINGS
    assert len(browser.find_elements("tag name", "h1")) == 1
    loaded = browser.execute_script(
        "return [...document.images].map(each => each.complete && each.naturalWidth > 1000 "
        "&& each.width > 200 && each.alt)"
    )
    assert loaded == ["wide"]
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []


COLOURS = """
const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
const behind = each => {
  for (; each; each = each.parentElement) {
    const found = numbers(getComputedStyle(each).backgroundColor);
    if (found.length === 3 || found[3] > 0) return found;
  }
};
return [...document.querySelectorAll('body *')]
  .filter(each => [...each.childNodes].some(one => one.nodeType === 3 && one.data.trim()))
  .map(each => [each.tagName, numbers(getComputedStyle(each).color), behind(each)]);
"""


def luminance(colour):
    """Return the relative luminance of WCAG 2, of an opaque colour."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255.0 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.slow
def test_every_text_can_be_told_from_what_is_behind_it(browser, width, scheme):
    found = browser.execute_script(COLOURS)
    assert {"H1", "H2", "P", "TH", "TD", "LI", "PRE", "FIGCAPTION"} <= {tag for tag, *_ in found}
    for tag, text, behind in found:
        dark, light = sorted(map(luminance, (text, behind)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, tag
        assert (luminance(behind) < 0.2) == (scheme == "dark")


@pytest.mark.slow
def test_pictures_stay_on_white(browser, scheme):
    style = browser.execute_script("return getComputedStyle(document.images[0]).backgroundColor")
    assert style == "rgb(255, 255, 255)"
