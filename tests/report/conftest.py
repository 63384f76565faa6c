"""A browser for tests of pages. Without one they skip with a reason, or fail where GTIMM_BROWSER=required."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "build" / "axe" / "package" / "axe.min.js"  # `make browser` fetches it
QUIET = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"


def without(what: str) -> None:
    reason = f"{what}; `make browser` fetches it"
    if os.environ.get("GTIMM_BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        without("no Chromium on this machine")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=QUIET.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    if not AXE.is_file():
        without("axe-core is not here")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def visit(browser):
    """Open a file as a page that can reach nothing else; what it complains of or asks for is in `page.complaints`."""
    contexts = []

    def open_page(path, width=1440, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        address = Path(path).as_uri()

        def only_the_file(route):
            if route.request.url.split("#")[0] == address:
                route.continue_()
            else:
                page.complaints.append(f"asked for {route.request.url}")
                route.abort()

        context.route("**/*", only_the_file)
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
