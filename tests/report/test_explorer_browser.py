"""The level explorer in a real browser: search, filters, keyboard, addresses, hostile names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.progress import Silent
from cog.report.explorer import write_explorer
from cog.wordnet.taxonomy import load_taxonomy
from tests.support.browser import opened, processor_seconds

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.long  # a browser and several pages
GUITAR_PICK = "n03467796"  # in L1
HOSTILE = (
    "<script>hostile()</script>.n.01",
    '"><img src=x onerror=hostile()>.n.01',
    "quote's_\"&amp;_straße.n.01",
    "жук_虫_İ.n.01",
    "__proto__.n.01",
    "a\\b`${1}`.n.01",
)

Go = Callable[..., "Page"]


@pytest.fixture(scope="module")
def official() -> Levels:
    return read_levels()


@pytest.fixture(scope="module")
def official_page(tmp_path_factory, official) -> Path:
    out = tmp_path_factory.mktemp("explorer") / "levels.html"
    return write_explorer(official, out, None, Silent())


@pytest.fixture(scope="module")
def small(levels_folder) -> Levels:
    return read_levels(levels_folder)


@pytest.fixture(scope="module")
def go(official_page) -> Iterator[Go]:
    """Opens a page afresh, by default the official levels', in one browser for all tests.

    When all are done, `opened` sees to it that there was no error and no request.
    """
    with opened(official_page) as page:

        def go(path: Path = official_page, wnid: str = "", width: int = 1400) -> Page:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto("about:blank")  # else another hash would not load it again
            page.goto(path.resolve().as_uri() + (f"#{wnid}" if wnid else ""))
            return page

        yield go


def row_names(page: Page) -> list[str]:
    return page.locator("#explorer-list .explorer-name").all_text_contents()


def boxes(page: Page) -> dict[str, str]:
    """Label of each level's box → the count beside it."""
    labels = page.locator("#explorer-kinds label").all_inner_texts()
    return dict(text.split() for text in labels)


def items(page: Page, name: str):
    """The items of the tree that are labelled with a name, or begin with it and a comma."""
    return page.locator(f'#explorer-tree [aria-label="{name}"], [aria-label^="{name},"], '
                        f'[aria-label^="{name};"]')  # fmt: skip


def test_official_levels_open_quickly_and_whole(go, official, official_page):
    """Within two seconds of processor time, which do not depend on what else the machine does."""
    assert official_page.stat().st_size < 1_500_000
    page = go()
    before = processor_seconds(page)
    page = go()
    page.wait_for_function("document.querySelectorAll('#explorer-list > *').length === 5000")
    assert 0 < processor_seconds(page) - before < 2
    first, last = official.table.iloc[0], official.table.iloc[-1]
    rows = page.locator("#explorer-list [role=option]")
    assert first["name"].split(".")[0].replace("_", " ") in rows.first.text_content()
    assert f"{last['similarity']:.4f}" in rows.last.text_content()


def test_searching_finds_by_name_by_other_word_and_by_wnid(go):
    page = go()
    query = page.get_by_role("searchbox")
    query.fill("guitar")
    assert row_names(page) == ["guitar pick", "bass guitar", "hawaiian guitar"]
    query.fill("Creamer")
    assert row_names(page) == ["cream pitcher"]
    query.fill(GUITAR_PICK)
    assert row_names(page) == ["guitar pick"]
    query.fill("no such thing")
    assert row_names(page) == []
    assert "0 in levels" in page.locator("#explorer-status").inner_text()


def test_boxes_count_and_filter(go, official):
    page = go()
    assert boxes(page) == dict.fromkeys(["L1", "L2", "L3", "L4", "L5", "seen"], "1,000")
    for level in ("L1", "L2", "L4", "L5"):
        page.get_by_role("checkbox", name=level).uncheck()
    page.wait_for_function("document.querySelectorAll('#explorer-list > *').length === 1000")
    assert set(page.locator("#explorer-list .explorer-badge").all_text_contents()) == {"L3"}
    page.get_by_role("searchbox").fill("bird")
    table = official.table
    for level in official.numbers:
        names = table["name"][table["level"] == level].str.replace("_", " ")
        assert int(boxes(page)[f"L{level}"]) >= names.str.contains("bird").sum()
    assert page.locator("#explorer-list > *").count() == int(boxes(page)["L3"])


def test_orders(go, official):
    page = go()
    page.get_by_label("Order").select_option("images")
    page.wait_for_function("document.querySelectorAll('#explorer-list > *').length === 5000")
    ranks = page.locator("#explorer-list .explorer-rank").all_text_contents()
    images = official.table.set_index("rank")["images"]
    counts = [images[int(rank.replace(",", ""))] for rank in ranks]
    assert counts == sorted(images, reverse=True)


def test_an_address_opens_a_concept(go, official):
    page = go(wnid=GUITAR_PICK)
    row = official.table.set_index("wnid").loc[GUITAR_PICK]
    detail = page.locator("#explorer-detail").inner_text()
    rank = f"L{row['level']}, rank {row['rank']} of 5,000"
    numbers = f"{row['similarity']:.4f}", f"{row['images']:,}"
    for expected in ("guitar pick", GUITAR_PICK, row["name"], rank, *numbers):
        assert expected in detail
    assert "pick" in page.locator("#explorer-detail .explorer-subsumer").first.inner_text()
    taxonomy = load_taxonomy()
    parents = len(taxonomy.parents_of(taxonomy.index(GUITAR_PICK)))
    assert page.locator("#explorer-detail .explorer-path").count() >= parents


def test_addresses_of_branches_and_of_nothing(go):
    page = go(wnid="n02084071")
    assert page.locator("#explorer-detail h3").inner_text() == "dog"
    assert items(page, "dog").first.get_attribute("aria-selected") == "true"
    page.get_by_role("button", name="List them").click()
    below = page.evaluate(
        "(() => { const d = JSON.parse(document.getElementById('explorer-data').textContent);"
        " const n = d.nodes.wnid.indexOf('n02084071');"
        " return d.levels.reduce((sum, _, k) => sum + d.below[k][n], 0); })()"
    )
    assert page.locator("#explorer-list > *").count() == below > 0
    page = go(wnid="n00000001")
    assert "n00000001 is neither" in page.locator("#explorer-status").inner_text()


def test_choosing_a_row_changes_the_address_and_links_lead_on(go):
    page = go()
    page.locator("#explorer-list [role=option]").nth(2).click()
    page.wait_for_function(f"location.hash === '#{GUITAR_PICK}'")
    page.locator("#explorer-detail dd a").first.click()  # the nearest seen concept
    assert page.locator("#explorer-detail h3 .explorer-badge").inner_text() == "seen"
    page.go_back()
    page.wait_for_function(f"location.hash === '#{GUITAR_PICK}'")
    assert page.locator("#explorer-detail h3 .explorer-badge").inner_text() == "L1"


def test_the_list_by_keyboard(go):
    page = go()
    page.get_by_role("searchbox").press("ArrowDown")
    for key in ("ArrowDown", "ArrowDown", "PageDown", "ArrowUp"):
        page.keyboard.press(key)
    chosen = page.locator("#explorer-list [aria-selected=true] .explorer-rank")
    assert chosen.all_inner_texts() == ["11"]
    page.keyboard.press("End")
    assert chosen.all_inner_texts() == ["5,000"]
    active = page.locator("#explorer-list").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active} .explorer-rank").inner_text() == "5,000"


def test_the_tree_by_keyboard(go):
    page = go()
    page.get_by_role("button", name="WordNet tree").click()
    assert items(page, "entity").get_attribute("aria-expanded") == "true"
    page.get_by_role("searchbox").press("ArrowDown")
    focused = lambda: page.evaluate("document.activeElement.dataset.path")  # noqa: E731
    root = focused()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#explorer-tree [role=treeitem]").count() == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused().startswith(f"{root}/")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert focused() == root
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.locator("#explorer-detail h3").inner_text() != ""
    assert page.locator("#explorer-tree [tabindex='0']").count() == 1


def test_a_search_opens_the_branches_and_marks_what_matches(go):
    page = go()
    page.get_by_role("button", name="WordNet tree").click()
    page.get_by_role("searchbox").fill("guitar")
    marks = page.locator("#explorer-tree mark").all_inner_texts()
    assert len(marks) >= 6
    assert set(marks) == {"guitar"}
    assert items(page, "electric guitar").count() == 1
    assert "below: L1" in items(page, "guitar").first.get_attribute("aria-label")


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory, small) -> Path:
    """Levels whose names hold what HTML, JSON and JavaScript give a meaning to."""
    table = small.table.assign(name=list(HOSTILE))
    levels = Levels(table, small.seen, small.recipe, small.report)
    return write_explorer(levels, tmp_path_factory.mktemp("hostile") / "l.html", None, Silent())


def test_hostile_names_are_text(go, hostile_page):
    page = go(hostile_page)
    shown = [name.removesuffix(".n.01").replace("_", " ") for name in HOSTILE]
    assert row_names(page) == shown
    for name, row in zip(HOSTILE, page.locator("[role=option]").all(), strict=True):
        row.click()
        assert name in page.locator("#explorer-detail").text_content()
    page.get_by_role("button", name="WordNet tree").click()
    for name in shown:
        page.get_by_role("searchbox").fill(name)
        assert name in page.locator("#explorer-tree .explorer-name").all_text_contents()
    assert page.locator(".explorer img").count() == 0


def test_images_are_shown(go, tmp_path, small, images):
    page = go(write_explorer(small, tmp_path / "l.html", images, Silent()))
    page.locator("[role=option]").first.click()
    images = page.locator("#explorer-detail img")
    assert images.count() == 3
    page.wait_for_function(
        "[...document.querySelectorAll('#explorer-detail img')]"
        ".every((image) => image.naturalWidth === 96)"
    )
    assert "sample 1 of 3" in images.first.get_attribute("alt")


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(go, width):
    page = go(wnid=GUITAR_PICK, width=width)
    for view in ("Ranked list", "WordNet tree"):
        page.get_by_role("button", name=view).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#explorer-detail").is_visible()
    page.get_by_role("button", name="Close").click()
    assert page.locator("#explorer-detail").is_visible() == (width == 1400)
