"""A page in a real browser: chromium, driven by playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OPEN_ALL = """() => {
  document.querySelectorAll("details").forEach((item) => { item.open = true; });
  document.querySelectorAll("button.open[aria-expanded=false]").forEach((button) => { button.click(); });
}"""
CONTRAST = """(selector) => {
  const cell = document.querySelector(selector);
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const paint = (...colours) => {
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = [];
  for (let part = cell; part; part = part.parentElement) behind.unshift(getComputedStyle(part).backgroundColor);
  const [low, high] = [paint(...behind, getComputedStyle(cell).color), paint(...behind)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""
"""The contrast of a text with what lies behind it, as WCAG 2.2 (1.4.3) defines it."""


@contextlib.contextmanager
def start_browser() -> Iterator[Any]:
    """Start a browser; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: tox run -e page")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@contextlib.contextmanager
def open_page(browser: Any, file: Path, scheme: str) -> Iterator[Any]:
    """Open a file at 375 px; it must load without a complaint or a request.

    Args:
        browser: of `start_browser`.
        file: the page.
        scheme: of colours, ``light`` or ``dark``.
    """
    context = browser.new_context(viewport={"width": 375, "height": 800}, color_scheme=scheme)
    page, faults, requests = context.new_page(), [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    yield page
    assert faults == []
    assert requests == [file.as_uri()]
    context.close()
