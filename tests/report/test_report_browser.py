"""The page of `cog report` in a real browser: what a reader does with it."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from cog.csv_text import table_as_csv
from cog.levels.files import read_levels
from cog.report.build import write_page
from cog.report.page_data import read_page_data
from cog.results.differences import against
from cog.results.files import read_results
from cog.results.suites import Suites, read_suites, write_suites
from cog.results.summary import wide
from cog.results.table import tidy
from tests.support.browser import SETTLES_SECONDS, expect, opened, processor_seconds
from tests.support.report_pages import DOMAINS, MODELS, NEAR, TASKS, made_page, three_axes_rows
from tests.support.result_rows import ODD_NAMES, SEEDS, SHOTS, made_rows

pytestmark = pytest.mark.long  # a browser and several pages
CHARTS = ("levels", "distance", "ranks", "few_shot", "cost", "concepts", "surface")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_page(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def shared(made):
    """One browser for all tests; `page` has it as new."""
    with opened(made.page) as page:
        dialogs = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        yield page
        assert dialogs == []  # no name ran as a script


@pytest.fixture
def page(shared, made):
    shared.set_viewport_size({"width": 1400, "height": 900})
    shared.emulate_media(color_scheme="light")
    shared.goto(made.page.as_uri())
    shared.wait_for_selector("body[data-ready]")
    return shared


def texts_of(page, selector):
    return page.eval_on_selector_all(selector, "all => all.map(one => one.textContent)")


def names_in_table(page):
    return texts_of(page, "#models tbody th span")


def shows(page, n_models):
    """Wait until the page is drawn for so many models; one task draws everything."""
    expect(page.locator("#shown")).to_have_text(f"{n_models} of 7 models shown")


def bare(names):
    return [name.removesuffix(" *").removesuffix(" †") for name in names]


def numbers(page, name):
    """The table behind a chart: a list of rows of texts."""
    page.eval_on_selector(f"#{name}-numbers", "details => { details.open = true; }")
    page.wait_for_selector(f"#{name}-numbers table", state="attached")
    return page.eval_on_selector_all(
        f"#{name}-numbers tbody tr",
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))",
    )


def test_every_chart_is_drawn_and_says_what_it_is(page):
    for name in CHARTS:
        chart = page.locator(f"#{name}-chart")
        assert chart.locator("svg path").count() > 5, name
        assert "empty" not in (chart.get_attribute("class") or "")
        assert len(chart.get_attribute("aria-label")) > 20


def test_names_show_as_they_are(page):
    assert set(bare(names_in_table(page))) == set(MODELS)
    assert {row[0] for row in numbers(page, "levels")} == set(MODELS)
    options = page.eval_on_selector_all(
        "#baseline option", "all => all.map(one => one.textContent)"
    )
    assert set(ODD_NAMES) <= set(options)


def test_models_that_saw_more_or_lack_classes_are_marked(page):
    marks = dict(zip(bare(names_in_table(page)), names_in_table(page), strict=True))
    assert marks[MODELS[0]].endswith(" †")
    assert marks["another"].endswith(" *")
    assert marks["plain"] == "plain"
    assert page.is_visible("#more-note")


def test_the_table_shows_the_means_of_the_wide_table(page, made):
    expected = wide(made.data.results).query("shots == 'all'").set_index("model")
    cells = page.eval_on_selector_all(
        "#models tbody tr",
        "rows => rows.map(row => [...row.cells].map(cell => cell.title || cell.textContent))",
    )
    for name, *values in zip(bare(names_in_table(page)), *zip(*cells, strict=True), strict=True):
        row = expected.loc[name]
        shown = [float(value) for value in values[3:10]]
        wanted = [*(row[f"{dataset}"] for dataset in ("in1k", *levels())), row["levels"]]
        assert shown == pytest.approx(wanted, abs=1e-9)


def levels():
    return [f"cog_l{level}" for level in range(1, 6)]


def test_search_filters_the_table_and_the_charts(page):
    page.fill("#search", "PLAIN")
    shows(page, 1)
    assert bare(names_in_table(page)) == ["plain"]
    assert {row[0] for row in numbers(page, "ranks")} == {"plain"}
    page.fill("#search", "no such model")
    expect(page.locator("#levels-chart")).to_contain_class("empty")
    page.click("#reset")
    expect(page.locator("#models tbody tr")).to_have_count(7)


def test_families_and_sizes_filter(page, made):
    family = made.data.table.drop_duplicates("model").set_index("model")["family"]
    page.click("#families-details summary")
    page.uncheck('#families input[value="supervised"]')
    others = set(family[family != "supervised"].index)
    shows(page, len(others))
    assert set(bare(names_in_table(page))) == others
    page.check('#families input[value="supervised"]')
    page.fill("#least", "28")
    shows(page, 2)
    assert set(bare(names_in_table(page))) == {"plain", "another"}
    page.fill("#greatest", "28.9")
    shows(page, 1)
    assert bare(names_in_table(page)) == ["plain"]


def test_headings_sort_by_keyboard_and_say_so(page):
    heading = page.locator('#models th:has(button[data-key="sort L2"])')
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Enter")  # the heading still has the focus
    expect(heading).to_have_attribute("aria-sort", "ascending")
    values = page.eval_on_selector_all(
        "#models tbody tr", "rows => rows.map(row => Number(row.cells[5].title))"
    )
    assert values == sorted(values)
    assert page.locator('#models th[aria-sort="none"]').count() == 10


def choose_unit(page, unit):
    """The units of differences offer a baseline."""
    page.check(f'input[name="unit"][value="{unit}"]')
    expect(page.locator("#baseline-label")).to_be_visible()


@pytest.mark.parametrize("unit", ["difference", "odds"])
def test_the_baseline_is_what_lines_are_beside(page, made, unit):
    choose_unit(page, unit)
    page.select_option("#baseline", "plain")
    column = {"difference": "difference", "odds": "log_odds_ratio"}[unit]
    rows = made.data.table[made.data.table["shots"] == "all"]
    expected = against(rows, "plain").set_index(["model", "dataset"])[column]
    places = {"IN-1K": "in1k"} | {f"L{level}": f"cog_l{level}" for level in range(1, 6)}
    found = {(row[0], places[row[1]]): float(row[2]) for row in numbers(page, "levels")}
    assert found == pytest.approx(expected.to_dict(), rel=1e-4, abs=1e-9)


def test_the_chart_of_distance_has_accuracy_and_gain_by_similarity(page, made):
    places = {"IN-1K": "in1k"} | {f"L{level}": f"cog_l{level}" for level in range(1, 6)}
    rows = made.data.table[made.data.table["shots"] == "all"]
    top1 = rows.set_index(["model", "dataset"])["top1"].to_dict()
    shown = numbers(page, "distance")
    assert {places[row[1]]: float(row[2]) for row in shown} == NEAR
    found = {(row[0], places[row[1]]): float(row[3]) for row in shown}
    assert found == pytest.approx(top1, rel=1e-4)
    choose_unit(page, "difference")
    page.select_option("#baseline", "plain")
    gains = {key: value - top1["plain", key[1]] for key, value in top1.items()}
    shown = numbers(page, "distance")
    found = {(row[0], places[row[1]]): float(row[3]) for row in shown}
    assert found == pytest.approx(gains, rel=1e-4, abs=1e-9)
    names = page.eval_on_selector_all("#distance-chart text", "all => all.map(t => t.textContent)")
    assert set(places) <= set(names)
    assert page.is_visible('nav a[href="#distance"]')


def test_a_model_stands_out_where_it_is_ticked_and_no_longer_where_it_is_pressed(page):
    chips = page.locator("#legend .chip")
    expect(chips).to_have_count(4)
    row = page.locator("#models tbody tr:has(input:not(:checked))").first
    name = bare([row.locator("th span").text_content()])[0]
    row.locator("input").click()
    expect(chips).to_have_count(5)
    page.click(f'#legend .chip[data-key="{name}"]')
    expect(chips).to_have_count(4)


def test_pointing_at_a_concept_shows_its_name_and_its_nearest_seen_one(page, made):
    concept = made.levels.table.iloc[0]
    page.evaluate("document.querySelector('#concepts').scrollIntoView()")
    dot = page.locator(f'#concepts-chart path[aria-label*="{concept["wnid"]}"]').first
    dot.hover(force=True)
    tooltip = page.locator("#tooltip")
    expect(tooltip).to_be_visible()
    for column in ("name", "nearest_name", "lcs_name"):
        expect(tooltip).to_contain_text(concept[column])


def test_pointing_near_a_line_shows_its_model_and_labels_stay_inside(page):
    labels_are_inside(page)
    choose_unit(page, "difference")
    chart = page.locator("#levels-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#tooltip")).to_be_visible()
    said = texts_of(page, "#tooltip dd")
    assert said[0] in MODELS
    assert said[1] in ("IN-1K", "L1", "L2", "L3", "L4", "L5")
    labels_are_inside(page)


def labels_are_inside(page):
    """Vega cuts off what it did not make room for; it lays out new rows a moment later."""
    page.wait_for_function(
        """[...document.querySelectorAll(".chart")].every(chart => {
          const room = chart.getBoundingClientRect();
          return [...chart.querySelectorAll(".role-axis-label text")].every(label => {
            const box = label.getBoundingClientRect();
            return box.left >= room.left && box.bottom <= room.bottom && box.top >= room.top;
          });
        })""",
        timeout=1000 * SETTLES_SECONDS,
    )


def test_few_shot_curves_are_of_the_dataset_chosen(page, made):
    page.select_option("#few-place", "L1")
    table = made.data.table.query("dataset == 'cog_l1'").set_index(["model", "shots"])["top1"]
    found = {(row[0], row[1]): float(row[2]) for row in numbers(page, "few_shot")}
    expected = {(model, str(shots)): top1 for (model, shots), top1 in table.items()}
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_download_is_the_results(page, made, tmp_path):
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(
        read_results(tmp_path / "results.csv"),
        made.data.results,
        check_exact=True,
        check_dtype=False,
    )


@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_the_width(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('#levels-chart svg').clientWidth") <= width


def use_media(page, color_scheme, media="screen"):
    page.emulate_media(color_scheme=color_scheme, media=media)
    query = f"{media} and (prefers-color-scheme: {color_scheme})"
    settled = "query => matchMedia(query).matches"
    page.wait_for_function(settled, arg=query, timeout=1000 * SETTLES_SECONDS)


def test_page_and_charts_follow_the_scheme_and_paper_is_light(page):
    use_media(page, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    label = "getComputedStyle(document.querySelector('#levels-chart text')).fill"
    dark = page.evaluate(ground), page.evaluate(label)
    use_media(page, color_scheme="light")
    light = page.evaluate(ground), page.evaluate(label)
    assert light[0] == "rgb(255, 255, 255)" != dark[0]
    assert light[1] != dark[1]
    use_media(page, color_scheme="dark", media="print")
    assert (page.evaluate(ground), page.evaluate(label)) == light
    page.emulate_media(media="screen")


def test_printed_pages_are_not_blank(page):
    """Containers of queries that were cut by the end of a page made all pages of a report so."""
    assert len(page.pdf(format="A4")) > 100_000
    page.emulate_media(media="print")
    kinds = "bands => bands.map(band => getComputedStyle(band).containerType)"
    assert set(page.eval_on_selector_all(".explorer-band", kinds)) == {"normal"}
    page.emulate_media(media="screen")


def test_sixteen_thousand_rows_are_drawn_in_two_seconds_of_processor_time(tmp_path, page):
    """60 models × 6 datasets × 9 shots × 5 seeds."""
    rows = made_rows([f"model {number}" for number in range(60)], shots=SHOTS, seeds=SEEDS)
    results = tmp_path / "results.csv"
    results.write_text(table_as_csv(tidy(rows)), encoding="utf-8")
    assert len(read_results(results)) == 16_200
    levels = read_levels()
    path = write_page(read_page_data(results, levels), levels, tmp_path / "report.html")
    assert path.stat().st_size < 15e6
    before = processor_seconds(page)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    seconds = processor_seconds(page) - before
    assert page.locator("#levels-chart path").count() > 60
    assert 0 < seconds < 2


def test_chosen_models_have_a_key_even_if_they_stand_out_nowhere_else(page):
    names = texts_of(page, "#concepts-key .key")
    chips = page.locator(".chip")
    for left in reversed(range(chips.count())):
        chips.first.click()
        expect(chips).to_have_count(left)
    assert (
        names == texts_of(page, "#concepts-key .key") == [MODELS[0]]
    )  # the only one with accuracies by concept


def test_models_stand_out_even_if_none_has_every_level(tmp_path, page):
    results = tmp_path / "results.csv"
    rows = made_rows(("a", "b"), datasets=("in1k",), seeds=SEEDS)
    results.write_text(table_as_csv(tidy(rows)), encoding="utf-8")
    levels = read_levels()
    path = write_page(read_page_data(results, levels), levels, tmp_path / "report.html")
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    assert page.locator(".chip").count() == 2
    for part in ("#ranks", 'nav a[href="#ranks"]'):  # of two models
        assert not page.is_visible(part)
    assert not page.is_visible("#distance")  # nobody knows how near a dataset is
    assert not page.is_visible('nav a[href="#distance"]')


@pytest.fixture(scope="module")
def three_axes(tmp_path_factory):
    """The page of concepts, domains and tasks, and the results; a suite lacked a test set."""
    runs = tmp_path_factory.mktemp("axes")
    (runs / "results.csv").write_text(table_as_csv(tidy(three_axes_rows())), encoding="utf-8")
    write_suites(runs, Suites({"shift": ("real/sketch",)}))
    levels = read_levels()
    data = read_page_data(runs / "results.csv", levels)
    return write_page(data, levels, runs / "report.html"), data.results, read_suites(runs)


def test_datasets_are_grouped_by_axis_in_charts_and_tables(page, three_axes):
    path, results, suites = three_axes
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    assert {row[1] for row in numbers(page, "levels")} == {"IN-1K", "L1", "L2", "L3", "L4", "L5"}
    assert {row[1] for row in numbers(page, "domains")} == {f"in1k/{name}" for name in DOMAINS}
    assert {row[1] for row in numbers(page, "tasks")} == set(TASKS)
    assert set(TASKS) <= set(texts_of(page, "#tasks-chart text"))  # no name is left out
    assert {"L5", *TASKS} <= set(texts_of(page, "#ranks-chart text"))
    expected = wide(results, suites).set_index("model")
    for row in page.locator("#means tbody tr").all():
        name, *cells = row.locator("th, td").all_text_contents()
        own = expected.loc[name.removesuffix(" †")]
        for axis, cell in zip(("concepts", "domains", "tasks"), cells[::2], strict=True):
            marks = "‡" * (axis in own["partial"]) + "§" * (axis in own["mixed"])
            assert cell == f"{own[axis]:.2f} ±{own[f'{axis}_error']:.2f}{marks}"
    assert set(expected["partial"]) == {"domains", "domains tasks"}
    assert page.is_visible("#partial-note")
    assert page.is_visible("#mixed-note")
    assert "real/sketch of the suite shift were missing" in page.text_content("#axes ul")


def test_the_sets_of_an_axis_open_and_close_in_the_table(page, three_axes):
    page.goto(three_axes[0].as_uri())
    page.wait_for_selector("body[data-ready]")
    heads = "#models thead tr:last-child th"
    few = len(texts_of(page, heads))
    assert texts_of(page, "#models thead th[scope=colgroup]") == ["Concepts", "Domains", "Tasks"]
    assert "dtd" not in texts_of(page, heads)  # with so many sets, means come first
    means = texts_of(page, "#models tbody td:last-child")  # of tasks, with their marks
    assert sorted(means) == sorted(texts_of(page, "#means tbody td:nth-last-child(2)"))
    assert all("§" in text for text in means)
    button = page.locator('#groups button[data-key="group tasks"]')
    button.click()
    expect(page.locator(heads)).to_have_count(few + len(TASKS))
    assert "dtd" in texts_of(page, heads)
    assert len(texts_of(page, "#models tbody tr:first-child > *")) == few + len(TASKS)
    button.click()
    expect(page.locator(heads)).to_have_count(few)


def test_a_page_of_levels_alone_has_no_axes(page):
    assert not page.is_visible("#axes")
    assert not page.is_visible("#domains-chart")
    assert not page.is_visible("#groups")
    assert page.locator("#models thead tr").count() == 1


def test_own_datasets_alone_on_a_narrow_page(page, tmp_path):
    names = ("animals/sketch", "food", "flowers", "birds/painted", "cars")
    rows = made_rows(("dino", "moco", "swav"), names, seeds=SEEDS)
    text = table_as_csv(tidy([row | {"levels_hash": ""} for row in rows]))
    (tmp_path / "results.csv").write_text(text, encoding="utf-8")
    levels = read_levels()
    data = read_page_data(tmp_path / "results.csv", levels)
    path = write_page(data, levels, tmp_path / "report.html")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    for name in ("concepts", "cost"):
        assert page.locator(f"#{name}").is_hidden()
        assert page.locator(f'nav a[href="#{name}"]').is_hidden()
    top = page.locator("#ranks-chart svg").bounding_box()["y"]
    labels = page.locator("#ranks-chart text").filter(has_text=re.compile("|".join(names)))
    assert labels.count() == len(names)
    assert all(label.bounding_box()["y"] >= top for label in labels.all())  # none is cut
