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
    "light": ({"width": 1280, "height": 740}, "light", ""),
    "row": ({"width": 1100, "height": 900}, "dark", "open"),
    "beside": ({"width": 1280, "height": 900}, "light", "compare"),
    "phone": ({"width": 390, "height": 760}, "light", "table"),
    "zoom": ({"width": 640, "height": 450}, "light", "table"),
    "print": ({"width": 1032, "height": 704}, "light", "print"),
}
"""Name -> window, colours, and what is done first; ``zoom`` is a window of 1280 pixels at 200 %."""


def main(runs: str) -> None:
    """Write ``docs/screenshots/*.png`` of the runs folder."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(folder) / "leaderboard.html"
        command = ["leaderboard", "--runs-dir", runs, "--format", "html", "--output", str(page_file)]
        subprocess.run([sys.executable, "-c", "from fer_bench.cli import main; main()", *command], check=True)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (window, colours, action) in SHOTS.items():
            density = 2 if name == "zoom" else 1
            context = browser.new_context(viewport=window, color_scheme=colours, device_scale_factor=density)
            page = context.new_page()
            page.goto(page_file.as_uri())
            match action:
                case "open":
                    page.locator("button.open").first.click()
                    page.evaluate("document.querySelector('tr.row').scrollIntoView()")
                case "compare":
                    for place in (0, 1):
                        page.locator(".pick").nth(place).check()
                    page.locator(".see").first.click()
                case "table":
                    page.evaluate("document.querySelector('table.board').scrollIntoView()")
                case "print":
                    page.emulate_media(media="print")
                case _:
                    pass
            target = HERE / f"{name}.png"
            page.screenshot(path=str(target))
            # 64 colours do for text and bars, and a third of the bytes.
            Image.open(target).convert("RGB").quantize(64).save(target, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
