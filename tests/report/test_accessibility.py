"""axe-core finds nothing on the report page and the level explorer; keyboard, zoom, paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cog.levels.files import read_levels
from cog.progress import Silent
from cog.report.explorer import write_explorer
from tests.support.browser import expect, opened
from tests.support.report_pages import made_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.long  # a browser and several pages
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
PHONE, DESK = 390, 1400
FEW = "guitar"  # a search that leaves a few concepts: axe takes minutes for thousands of rows


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return made_page(tmp_path_factory.mktemp("report")).page


@pytest.fixture(scope="module")
def explorer(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("explorer") / "levels.html"
    return write_explorer(read_levels(), out, None, Silent())


@pytest.fixture(scope="module")
def shared(report) -> Iterator[Page]:
    with opened(report) as page:
        yield page


def shown(page: Page, path: Path, width: int = DESK, scheme: str = "light") -> Page:
    """The page of a file as new."""
    page.emulate_media(color_scheme=scheme, media="screen")  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("about:blank")
    page.goto(path.resolve().as_uri())
    if path.name == "report.html":
        page.wait_for_selector("body[data-ready]")
    if page.locator("#explorer-query").count():
        page.fill("#explorer-query", FEW)
        expect(page.locator("#explorer-list > *")).to_have_count(3)
    return page


def faults(page: Page) -> list[str]:
    """What axe-core says against the page as it is: a line an element and rule."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found = axe.run(page, options=options).response
    assert len(found["passes"]) > 20  # it looked
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def use_everything(page: Page) -> None:
    """Filters in use, a model that stands out but is filtered away, differences, open details."""
    page.fill("#search", "plain")
    expect(page.locator("#shown")).to_contain_text("1 of 7")
    page.check('input[name="unit"][value="difference"]')
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    expect(page.locator("#levels-numbers table")).to_be_visible()
    expect(page.locator(".chip.away").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_axe_finds_nothing_on_the_report(shared, report, width, scheme):
    page = shown(shared, report, width, scheme)
    assert faults(page) == []
    use_everything(page)
    assert faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_axe_finds_nothing_on_the_level_explorer(shared, explorer, width, scheme):
    page = shown(shared, explorer, width, scheme)
    assert faults(page) == []
    page.locator("[role=option]").first.click()
    expect(page.locator("#explorer-detail h3")).to_be_visible()
    page.get_by_role("button", name="WordNet tree").click()
    expect(page.locator("[role=treeitem]").first).to_be_visible()
    assert faults(page) == []


def test_axe_would_find_something(shared, report):
    page = shown(shared, report)
    page.evaluate(
        "const search = document.querySelector('#search');"
        " search.closest('label').replaceWith(search); search.removeAttribute('placeholder')"
    )
    assert any(fault.startswith("label:") for fault in faults(page))


def test_each_chart_has_a_name_a_role_and_a_table_of_its_numbers(shared, report):
    page = shown(shared, report)
    charts = page.locator("figure:visible")
    assert charts.count() == 7
    for chart in charts.all():
        assert chart.get_attribute("aria-labelledby")
        image = chart.locator(".chart")
        assert image.get_attribute("role") == "img"
        assert len(image.get_attribute("aria-label") or "") > 20
        chart.locator("summary").press("Enter")
        expect(chart.locator("tbody tr").first).to_be_visible()


def test_what_is_pressed_by_keyboard_keeps_the_focus(shared, report):
    page = shown(shared, report)
    page.locator("#models input").nth(1).focus()
    focused = "document.activeElement.dataset.key"
    pressed = page.evaluate(focused)
    page.keyboard.press("Space")
    assert page.evaluate(focused) == pressed
    page.locator("#legend .chip").first.focus()
    while page.locator("#legend .chip").count():
        assert page.evaluate("document.activeElement.closest('#legend') !== null")
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "legend"


def test_focus_is_visible_on_everything_that_tab_reaches(shared, report):
    page = shown(shared, report)
    page.evaluate("document.querySelector('.explorer').remove()")
    page.locator(".skip").focus()
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        tag, outline = page.evaluate(
            "(() => { const at = document.activeElement, style = getComputedStyle(at);"
            " return [at.tagName + at.id, style.outlineStyle + style.outlineWidth]; })()"
        )
        if tag.startswith("BODY"):
            break
        reached.add(tag)
        assert outline not in ("none", "none0px"), tag
        assert not outline.endswith("none"), tag
        assert float(outline.removeprefix("solid").removesuffix("px")) >= 2, tag
    assert {"INPUTsearch", "BUTTONreset", "SELECTfew-place", "BUTTONdownload"} - reached == set()


def test_nothing_moves(shared, report, explorer):
    """So there is nothing that prefers-reduced-motion would have to stop."""
    moving = (
        "[...document.querySelectorAll('*')].filter((one) => { const style = getComputedStyle(one);"
        " return parseFloat(style.transitionDuration) || style.animationName !== 'none'"
        " || style.scrollBehavior === 'smooth'; }).length"
    )
    for path in (report, explorer):
        assert shown(shared, path).evaluate(moving) == 0


@pytest.mark.parametrize("width", [320, 700])
def test_a_window_zoomed_to_400_and_200_percent_shows_everything(shared, report, explorer, width):
    """1280 and 1400 pixels at these zooms; wide tables scroll in a box of their own."""
    for path in (report, explorer):
        page = shown(shared, path, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_charts_fit_and_every_list_is_open(shared, report):
    page = shown(shared, report)
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend',"
                  " '<details class=mistakes><summary>one</summary>two</details>')")  # fmt: skip
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    widths = "all => all.map((one) => Number(one.getAttribute('width')))"
    assert max(page.eval_on_selector_all(".chart svg", widths)) < 760
    assert page.locator("details.mistakes[open]").count() == 1
    expect(page.locator("#setting")).to_contain_text("7 of 7 models; probe logreg · sgd")
    assert not page.is_visible("#controls")
    assert not page.is_visible('input[name="unit"]')
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    page.wait_for_function(
        "Number(document.querySelector('#levels-chart svg').getAttribute('width')) > 1000"
    )
    assert page.locator("details.mistakes[open]").count() == 0
