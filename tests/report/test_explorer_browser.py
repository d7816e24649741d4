"""The level explorer in a real browser: search, filters, keyboard, addresses, hostile names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.progress import Silent
from cog.report.explorer import write_explorer
from cog.wordnet.taxonomy import load_taxonomy
from tests.support.browser import expect, opened, processor_seconds

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

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


def row_names(page: Page) -> Locator:
    return page.locator("#explorer-list .explorer-name")


def rows(page: Page) -> Locator:
    """The rows of the list: the first hundred at once, the others a moment later."""
    return page.locator("#explorer-list > *")


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
    expect(rows(page)).to_have_count(5000)
    assert 0 < processor_seconds(page) - before < 2
    first, last = official.table.iloc[0], official.table.iloc[-1]
    expect(rows(page).first).to_contain_text(first["name"].split(".")[0].replace("_", " "))
    expect(rows(page).last).to_contain_text(f"{last['similarity']:.4f}")


def test_searching_finds_by_name_by_other_word_and_by_wnid(go):
    page = go()
    query = page.get_by_role("searchbox")
    query.fill("guitar")
    expect(row_names(page)).to_have_text(["guitar pick", "bass guitar", "hawaiian guitar"])
    query.fill("Creamer")
    expect(row_names(page)).to_have_text(["cream pitcher"])
    query.fill(GUITAR_PICK)
    expect(row_names(page)).to_have_text(["guitar pick"])
    query.fill("no such thing")
    expect(row_names(page)).to_have_count(0)
    expect(page.locator("#explorer-status")).to_contain_text("0 in levels")


def test_boxes_count_and_filter(go, official):
    page = go()
    assert boxes(page) == dict.fromkeys(["L1", "L2", "L3", "L4", "L5", "seen"], "1,000")
    for level in ("L1", "L2", "L4", "L5"):
        page.get_by_role("checkbox", name=level).uncheck()
    expect(rows(page)).to_have_count(1000)
    assert set(page.locator("#explorer-list .explorer-badge").all_text_contents()) == {"L3"}
    page.get_by_role("searchbox").fill("bird")
    expect(rows(page)).not_to_have_count(1000)
    table = official.table
    for level in official.numbers:
        names = table["name"][table["level"] == level].str.replace("_", " ")
        assert int(boxes(page)[f"L{level}"]) >= names.str.contains("bird").sum()
    expect(rows(page)).to_have_count(int(boxes(page)["L3"]))


def test_orders(go, official):
    page = go()
    page.get_by_label("Order").select_option("images")
    expect(rows(page)).to_have_count(5000)
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
    expect(page.locator("#explorer-detail h3")).to_have_text("dog")
    expect(items(page, "dog").first).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="List them").click()
    below = page.evaluate(
        "(() => { const d = JSON.parse(document.getElementById('explorer-data').textContent);"
        " const n = d.nodes.wnid.indexOf('n02084071');"
        " return d.levels.reduce((sum, _, k) => sum + d.below[k][n], 0); })()"
    )
    assert below > 0
    expect(rows(page)).to_have_count(below)
    page = go(wnid="n00000001")
    expect(page.locator("#explorer-status")).to_contain_text("n00000001 is neither")


def test_choosing_a_row_changes_the_address_and_links_lead_on(go):
    page = go()
    page.locator("#explorer-list [role=option]").nth(2).click()
    page.wait_for_function(f"location.hash === '#{GUITAR_PICK}'")
    page.locator("#explorer-detail dd a").first.click()  # the nearest seen concept
    kind = page.locator("#explorer-detail h3 .explorer-badge")
    expect(kind).to_have_text("seen")
    page.go_back()
    expect(kind).to_have_text("L1")
    assert page.url.endswith(f"#{GUITAR_PICK}")


def test_the_list_by_keyboard(go):
    page = go()
    page.get_by_role("searchbox").press("ArrowDown")
    for key in ("ArrowDown", "ArrowDown", "PageDown", "ArrowUp"):
        page.keyboard.press(key)
    chosen = page.locator("#explorer-list [aria-selected=true] .explorer-rank")
    expect(chosen).to_have_text(["11"])
    page.keyboard.press("End")
    expect(chosen).to_have_text(["5,000"])
    active = page.locator("#explorer-list").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active} .explorer-rank")).to_have_text("5,000")


def test_the_tree_by_keyboard(go):
    page = go()
    page.get_by_role("button", name="WordNet tree").click()
    expect(items(page, "entity")).to_have_attribute("aria-expanded", "true")
    page.get_by_role("searchbox").press("ArrowDown")
    focused = page.locator("#explorer-tree [role=treeitem]:focus")
    root = focused.get_attribute("data-path")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#explorer-tree [role=treeitem]")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("data-path", re.compile(f"^{root}/"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("data-path", root)
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator("#explorer-detail h3")).not_to_be_empty()
    expect(page.locator("#explorer-tree [tabindex='0']")).to_have_count(1)


def test_a_search_opens_the_branches_and_marks_what_matches(go):
    page = go()
    page.get_by_role("button", name="WordNet tree").click()
    page.get_by_role("searchbox").fill("guitar")
    expect(items(page, "electric guitar")).to_have_count(1)
    marks = page.locator("#explorer-tree mark").all_inner_texts()
    assert len(marks) >= 6
    assert set(marks) == {"guitar"}
    expect(items(page, "guitar").first).to_have_attribute("aria-label", re.compile("below: L1"))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory, small) -> Path:
    """Levels whose names hold what HTML, JSON and JavaScript give a meaning to."""
    table = small.table.assign(name=list(HOSTILE))
    levels = Levels(table, small.seen, small.recipe, small.report)
    return write_explorer(levels, tmp_path_factory.mktemp("hostile") / "l.html", None, Silent())


def test_hostile_names_are_text(go, hostile_page):
    page = go(hostile_page)
    shown = [name.removesuffix(".n.01").replace("_", " ") for name in HOSTILE]
    expect(row_names(page)).to_have_text(shown)
    for name, row in zip(HOSTILE, page.locator("[role=option]").all(), strict=True):
        row.click()
        expect(page.locator("#explorer-detail")).to_contain_text(name)
    page.get_by_role("button", name="WordNet tree").click()
    for name in shown:
        page.get_by_role("searchbox").fill(name)
        found = page.locator("#explorer-tree .explorer-name", has_text=name)
        expect(found.first).to_have_text(name)
    assert page.locator(".explorer img").count() == 0


def test_images_are_shown(go, tmp_path, small, images):
    page = go(write_explorer(small, tmp_path / "l.html", images, Silent()))
    page.locator("[role=option]").first.click()
    images = page.locator("#explorer-detail img")
    expect(images).to_have_count(3)
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
    expect(page.locator("#explorer-detail")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#explorer-detail")).to_be_visible(visible=width == 1400)
