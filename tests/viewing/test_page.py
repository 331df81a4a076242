"""report.html and the notebook's widget in a real browser: headless Chromium, driven by Selenium."""

import shutil
import time

import pytest

from fastlander import Config, Trainer, replay
from fastlander.compare import write_comparison
from tests.test_compare import make_run, make_seeds

webdriver = pytest.importorskip("selenium.webdriver")
ui = pytest.importorskip("selenium.webdriver.support.ui")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (BROWSER and DRIVER):
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars
""".split()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of a run with the default settings, which ends when it is solved."""
    directory = tmp_path_factory.mktemp("run") / "run"
    assert Trainer(Config(seed=3, progress=False, output_dir=directory)).run().solved
    return directory / "report.html"


@pytest.fixture
def page(driver, report):
    show(driver, 1200, "light")
    driver.get(report.as_uri())
    yield driver
    assert driver.get_log("browser") == []


def show(driver, width, scheme):
    """The size of the screen, and whether it is to be light or dark."""
    mobile = {"width": width, "height": 900, "deviceScaleFactor": 2 if width < 600 else 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", mobile)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def wait(driver, condition, seconds=10):
    return ui.WebDriverWait(driver, seconds, 0.02).until(condition)


def readout(replay):
    return replay.find_element("css selector", ".readout").text


def step(replay):
    return int(readout(replay).split()[1])


def picture(driver, replay):
    return driver.execute_script("return arguments[0].querySelector('canvas').toDataURL()", replay)


def test_it_is_there_and_asks_for_nothing_else(page, report):
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert len(find(page, ".replay canvas")) == 3
    assert len(find(page, "figure svg path, figure svg rect")) > 5
    assert report.stat().st_size < 1_000_000


def test_it_plays_to_the_ground_and_again(page):
    replay = find(page, ".replay")[0]
    first, button = picture(page, replay), replay.find_element("css selector", "button")
    ui.Select(replay.find_element("css selector", "select")).select_by_value("4")
    assert button.get_attribute("aria-label") == "Play"
    button.click()
    wait(page, lambda _: step(replay) > 30)
    assert button.get_attribute("aria-label") == "Pause"
    assert picture(page, replay) != first
    wait(page, lambda _: button.get_attribute("aria-label") == "Play", 30)
    last = int(readout(replay).split()[3])
    assert step(replay) == last
    assert readout(replay).endswith(" · landed")
    button.click()
    wait(page, lambda _: step(replay) < last)
    button.click()


def test_it_pauses_and_keeps_still(page):
    replay = find(page, ".replay")[1]
    button = replay.find_element("css selector", "button")
    still = step(replay)
    button.click()
    wait(page, lambda _: step(replay) > still)
    button.click()
    at = step(replay)
    time.sleep(0.2)
    assert step(replay) == at


def test_before_it_plays_the_whole_lander_is_in_the_picture(page):
    for k in range(3):
        top = page.execute_script(
            "const one = new Replay(document.createElement('div'), report.traces[arguments[0]]);"
            "return [one.frame, one.body(one.frame, 0).y + 17 / 30, one.body(one.frame - 1, 0).y + 17 / 30]",
            k,
        )
        assert top[0] == step(find(page, ".replay")[k]) > 0 or k == 0  # others have moved the first one
        assert top[1] < 400 / 30 <= top[2]


@pytest.mark.parametrize(("low", "high"), [(499.98, 500.02), (-0.004, 0.001), (123_456, 123_458), (0, 1_500_000)])
def test_ticks_of_a_chart_differ(page, low, high):
    labels = page.execute_script(
        "const list = ticks(arguments[0], arguments[1], 8);return list.map((x) => short(x, list[1] - list[0]))",
        low,
        high,
    )
    assert len(labels) >= 4
    assert len(set(labels)) == len(labels)


def test_scrubbing_and_the_keys_move_it_a_step_at_a_time(page):
    replay = find(page, ".replay")[2]
    slider, canvas = (replay.find_element("css selector", name) for name in ("input", "canvas"))
    page.execute_script("arguments[0].value = 17; arguments[0].oninput()", slider)
    assert step(replay) == 17
    seen = {picture(page, replay)}
    for key, expected in (("ArrowRight", 18), ("ArrowRight", 19), ("ArrowLeft", 18), ("Home", 0), ("ArrowLeft", 0)):
        page.execute_script("arguments[0].onkeydown(new KeyboardEvent('keydown', {key: arguments[1]}))", canvas, key)
        assert step(replay) == expected
        assert slider.get_attribute("value") == str(expected)
        seen.add(picture(page, replay))
    assert len(seen) == 4
    page.execute_script("arguments[0].onkeydown(new KeyboardEvent('keydown', {key: 'End'}))", canvas)
    assert readout(replay).split()[1] == readout(replay).split()[3]


def test_what_was_landed_or_crashed_is_drawn_on_the_ground(page):
    """The hull ends at most its own height and its legs' above the moon beneath it."""
    heights = page.execute_script("""
        return report.traces.map((trace) => {
          const host = document.createElement("div"), replay = new Replay(host, trace);
          const hull = replay.body(replay.last, 0), k = Math.min(Math.max(Math.floor(hull.x / 2), 0), 9);
          const ground = trace.ground[k] + (trace.ground[k + 1] - trace.ground[k]) * (hull.x / 2 - k);
          return [trace.outcome, hull.y - ground];
        });
    """)
    assert len(heights) == 3
    for outcome, height in heights:
        if outcome in ("landed", "crashed"):
            assert -0.3 < height < 1.2
    assert heights[0][0] == heights[1][0] == "landed"


def test_pointing_at_a_chart_tells_its_figures(page):
    for figure in ("#curve", "#returns"):
        svg, tip = find(page, f"{figure} svg")[0], find(page, f"{figure} .tip")[0]
        assert not tip.is_displayed()
        webdriver.ActionChains(page).move_to_element_with_offset(svg, 10, 0).perform()
        assert tip.is_displayed()
        assert tip.text.split()
    assert "episode" in tip.text


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_narrow_screens_and_both_colour_schemes(page, width, scheme):
    show(page, width, scheme)
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth") == width
    background, ink = page.execute_script("""
        const style = getComputedStyle(document.body);
        return [style.backgroundColor, style.color].map((colour) => colour.match(/[0-9]+/g).map(Number));
    """)
    assert (sum(background) > 382) == (scheme == "light")
    assert contrast(background, ink) > 7
    charts = find(page, "figure svg")
    assert all(240 <= chart.size["width"] <= width for chart in charts)


def contrast(one, other):
    """Contrast ratio of two colours (WCAG 2)."""

    def luminance(colour):
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_two_widgets_on_a_notebook_s_page_play_apart(page, report, tmp_path):
    run = report.parent
    path = tmp_path / "notebook.html"
    path.write_text("<!doctype html><p>a cell</p>".join(replay(run, seed)._repr_html_() for seed in (1, 2)))
    page.get(path.as_uri())
    first, second = find(page, "iframe")
    for frame, clicks in ((second, True), (first, False)):
        page.switch_to.frame(frame)
        (widget,) = find(page, ".replay")
        wait(page, lambda _, widget=widget: readout(widget).startswith("step "))
        still = step(widget)
        assert 0 < still < 60
        if clicks:
            widget.find_element("css selector", "button").click()
            wait(page, lambda _, widget=widget, still=still: step(widget) > still)
        assert page.execute_script("return document.documentElement.scrollHeight <= window.innerHeight")
        page.switch_to.default_content()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The page of a sweep of ten trials, and the sweep."""
    pytest.importorskip("optuna")
    from tests.sweeps.test_sweep import FakeEngine, module, plan

    directory = tmp_path_factory.mktemp("sweeps") / "swept"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_engine", lambda *_: FakeEngine())
        outcome = module.sweep(plan(directory), lambda line: None)
    return (directory / "sweep.html").as_uri(), outcome


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sweep_is_drawn_and_tells_each_trial(driver, swept, width, scheme):
    uri, outcome = swept
    show(driver, width, scheme)
    driver.get_log("browser")
    driver.get(uri)
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert driver.execute_script("return document.documentElement.scrollWidth") == width
    charts = find(driver, "figure > svg")
    assert len(charts) == 1 + len(outcome.plan.space) == 4
    completed = sum(trial.state == "COMPLETE" for trial in outcome.trials)
    for chart in charts:
        assert 240 <= chart.size["width"] <= width
        assert len(chart.find_elements("css selector", "circle")) == len(outcome.trials)
        assert len(chart.find_elements("css selector", "circle.greedy")) == completed
        # Every trial is inside the axes, also one whose value is far off.
        for dot in chart.find_elements("css selector", "circle"):
            assert 56 <= float(dot.get_attribute("cx")) <= chart.size["width"] - 16
            assert 12 <= float(dot.get_attribute("cy")) <= chart.size["height"] - 40
    for k in (0, 3):
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", charts[k])
        dot = charts[k].find_elements("css selector", "circle.greedy")[0]
        webdriver.ActionChains(driver).move_to_element(dot).perform()
        (tip,) = charts[k].find_elements("xpath", "../output")
        assert tip.is_displayed()
        assert "trial " in tip.text
        assert "learning_rate " in tip.text
        assert tip.location["x"] >= 0
        assert tip.location["x"] + tip.size["width"] <= width
    assert len(find(driver, "tr.changed")) >= 2  # a setting that changed, and the best trial
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_is_drawn_and_its_methods_can_be_hidden(driver, tmp_path, width, scheme):
    make_seeds(tmp_path / "many", [230, 240, 250], n_step=5)
    make_seeds(tmp_path / "few", [150, 240], unsolved=(0,), n_step=1)
    make_run(tmp_path / "one run with a long name and a longer one")
    write_comparison([tmp_path / name for name in ("many", "few", "one run with a long name and a longer one")],
                     tmp_path / "page.html")  # fmt: skip
    show(driver, width, scheme)
    driver.get_log("browser")
    driver.get((tmp_path / "page.html").as_uri())
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert driver.execute_script("return document.documentElement.scrollWidth") == width
    charts = find(driver, "figure > svg")
    assert len(charts) == 2
    assert all(240 <= chart.size["width"] <= width for chart in charts)
    for chart in charts:
        assert len(chart.find_elements("css selector", "path.line")) == 3
        assert len(chart.find_elements("css selector", "path.band")) == 2  # a single seed has none
    background = driver.execute_script(
        "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    for label in find(driver, "figcaption label"):
        ink = driver.execute_script("return getComputedStyle(arguments[0]).color.match(/[0-9]+/g).map(Number)", label)
        assert contrast(background, ink) > 4.5
    webdriver.ActionChains(driver).move_to_element(charts[0]).perform()
    tip = find(driver, "#curves .tip")[0]
    assert tip.is_displayed()
    assert "of 3 still training" in tip.text
    assert tip.location["x"] >= 0
    assert tip.location["x"] + tip.size["width"] <= width
    find(driver, "#returns input")[1].click()
    visible = [line.get_attribute("visibility") for line in find(driver, "figure path.line")]
    assert visible == ["visible", "hidden", "visible"] * 2
    assert not find(driver, "#curves input")[1].is_selected()
    assert driver.get_log("browser") == []
