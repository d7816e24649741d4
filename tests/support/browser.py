"""A page in a real browser, for tests: it must stay silent and must not ask the network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.runs import HANGS_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, LocatorAssertions, Page

LOCAL = ("file:", "data:", "blob:")
SETTLES_SECONDS = 60  # a page answers in milliseconds; a busy machine takes longer


@contextmanager
def opened(path: Path, width: int = 1400, dark: bool = False) -> Iterator[Page]:
    """The page of a file, opened from file://; skips where there is no browser to open it with.

    At the end: no error on the console, none thrown, and no request to anywhere but the page
    itself and what it holds.
    """
    api = pytest.importorskip("playwright.sync_api", reason="pip install 'imagenet-cog[test]'")
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        pytest.skip("needs a browser: chromium is not on the PATH")
    complaints: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        try:
            page = browser.new_page(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if dark else "light",
            )
            page.set_default_timeout(1000 * HANGS_SECONDS)
            page.on("console", lambda message: _keep_errors(complaints, message))
            page.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
            page.on("request", lambda request: _keep_remote(complaints, request.url))
            page.goto(path.resolve().as_uri())
            yield page
        except Exception as error:  # what the page said often tells why
            error.add_note(f"the page said: {complaints}")
            raise
        finally:
            browser.close()
    assert complaints == []


def expect(part: Locator) -> LocatorAssertions:
    """Playwright's assertions on a part of the page, which wait until they hold.

    What follows an action uses them: a page answers some actions later (links and Back by
    `hashchange`, long lists and tooltips by timers and frames), and a read at once may come first.
    """
    from playwright.sync_api import expect as expect_of_playwright

    expect_of_playwright.set_options(timeout=1000 * SETTLES_SECONDS)
    return expect_of_playwright(part)


def processor_seconds(page: Page) -> float:
    """The processor time that the process of a page has taken so far."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "ProcessTime"))


def _keep_errors(complaints: list[str], message: object) -> None:
    if message.type == "error":  # type: ignore[attr-defined]
        complaints.append(f"console: {message.text}")  # type: ignore[attr-defined]


def _keep_remote(complaints: list[str], url: str) -> None:
    if not url.startswith(LOCAL):
        complaints.append(f"request: {url[:200]}")
