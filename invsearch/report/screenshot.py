"""A picture of a report's page, for the README.

``python -m invsearch.report.screenshot results/rednet reports/rednet.png`` (needs the extra
``test`` for Playwright, and Chromium or Chrome).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from invsearch.errors import InputError
from invsearch.report.page import write_report

__all__ = ["main", "take"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


def take(
    run_paths: Sequence[str | Path], output: Path, *, width: int = 1280, height: int = 1640
) -> Path:
    """Write the report of runs, open it, and keep the top of what is seen.

    Args:
        run_paths: Folders of runs, or names under ``results/``.
        output: The PNG.
        width: Of the window, in pixels.
        height: Of the window, in pixels.

    Returns:
        The file.

    Raises:
        InputError: If Playwright or a browser is missing, or a run cannot be read.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("a screenshot needs Playwright: it is in the extra 'test'") from None
    if browser is None:
        raise InputError(f"a screenshot needs a browser on PATH: one of {', '.join(_BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_path = write_report(run_paths, Path(folder) / "page.html", reproduction={})
        chromium = driver.chromium.launch(executable_path=browser, args=list(_FLAGS))
        page = chromium.new_page(
            viewport={"width": width, "height": height},
            color_scheme="light",
            reduced_motion="reduce",
        )
        page.goto(page_path.resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(1500)
        output.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=output)
        chromium.close()
    _shrink(output)
    return output


def _shrink(path: Path) -> None:
    """Pack it tighter, losing nothing: a README should open fast."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").save(path, optimize=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Take a picture of a report's page.")
    parser.add_argument("run")
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    print(take([given.run], given.output))


if __name__ == "__main__":
    main()
