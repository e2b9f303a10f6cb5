r"""Draw the pictures of the leaderboard's page that docs/leaderboard.md shows; its rows are of drawn faces.

    python docs/screenshots.py RUNS

RUNS is the runs folder of

    fer-bench run --backbone 'xception[input_size=149]' --backbone mini-xception \
        --strategy linear-probe --strategy knn --seeds 0,1

Needs playwright and the system's chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
SHOTS = {
    "light": ({"width": 1280, "height": 620}, "light", False),
    "row": ({"width": 1100, "height": 900}, "dark", True),
    "phone": ({"width": 390, "height": 760}, "light", False),
}
"""Name -> window, colours, and whether the first row is open."""


def main(runs: str) -> None:
    """Write ``docs/screenshots/*.png`` of the runs folder."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(folder) / "leaderboard.html"
        command = ["leaderboard", "--runs-dir", runs, "--format", "html", "--output", str(page_file)]
        subprocess.run([sys.executable, "-c", "from fer_bench.cli import main; main()", *command], check=True)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (window, colours, opened) in SHOTS.items():
            page = browser.new_context(viewport=window, color_scheme=colours).new_page()
            page.goto(page_file.as_uri())
            if opened:
                row = page.locator("details").first
                row.locator("summary").first.click()
                row.scroll_into_view_if_needed()
                page.evaluate("document.querySelector('details').scrollIntoView()")
            target = HERE / f"{name}.png"
            page.screenshot(path=str(target))
            # 64 colours do for text and bars, and a third of the bytes.
            Image.open(target).convert("RGB").quantize(64).save(target, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
