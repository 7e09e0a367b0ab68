"""A page that was opened by file://, and what it said and asked for meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SIZE: Any = {"width": 1280, "height": 900}


class Opened:
    """A page that was opened by file://, and what it said and asked for meanwhile."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.noise: list[str] = []
        self.requests: list[str] = []
        self._options = {"viewport": _SIZE, "color_scheme": "light", **options}
        self.page = browser.new_page(**self._options)
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", lambda dialog: self.noise.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")

    def reset(self) -> None:
        """Undo by the page's own means what a test may have done, and go back to its top."""
        self.page.emulate_media(color_scheme=self._options["color_scheme"])
        self.page.set_viewport_size(self._options["viewport"])
        self.page.keyboard.press("Escape")
        for button in self.page.locator('.legend button[aria-pressed="false"]').all():
            button.click()
        for run in range(self.page.locator("form.filters").count()):
            self.page.locator("form.filters .clear").nth(run).click()
            first = self.page.locator(f"#run{run}-table th").first
            while first.get_attribute("aria-sort") != "ascending":
                first.locator("button").click()
        self.page.evaluate(
            "for (const one of document.querySelectorAll('form.layers')) one.reset()"
        )
        self.page.evaluate("scrollTo(0, 0)")

    def numbers(self) -> list[int]:
        """Return the trials that the first run's table shows, in order."""
        cells = self.page.locator("#run0-table tbody tr:not([hidden]) td:first-child")
        return [int(text) for text in cells.all_inner_texts()]

    def wait_until(self, condition: str) -> None:
        """Wait for a JavaScript condition; the page's policy forbids Playwright's own way."""
        for _ in range(100):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not true within five seconds: {condition}")

    def draw_all(self) -> None:
        """Scroll through the page, so that every lazy figure is drawn."""
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator(".main-svg").first.wait_for()
