"""Debian's Chromium, driven by Playwright; a test that needs it skips where it is not."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """A page of the browser, and what it asks for and complains about.

    Attributes:
        page: Playwright's.
        asked: every address.
        wrong: what the console and uncaught errors say.
    """

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self._context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        self.address = address

    def open(self) -> "Tab":
        self.page.goto(self.address)
        self.page.wait_for_selector("body[data-ready]")
        return self

    def load(self, file: Any) -> None:
        """Open an image, and wait for its segmentation."""
        self.page.evaluate("document.getElementById('legend').replaceChildren()")
        self.page.set_input_files("#file", file)
        self.page.wait_for_selector("#legend li")
        self.page.wait_for_selector("#busy", state="hidden")

    def close(self) -> None:
        self._context.close()
