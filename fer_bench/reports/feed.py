"""Changes between publications as an Atom feed (RFC 4287), and a row's standing as a badge (SVG)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from xml.etree import ElementTree

from markupsafe import escape

from fer_bench.about import __version__
from fer_bench.foreign import one_line
from fer_bench.reports.history import Publication, PublishedRow, compare
from fer_bench.sizes import number_of

ATOM = "http://www.w3.org/2005/Atom"
SVG = "http://www.w3.org/2000/svg"
MOST_ENTRIES = 50
"""Publications in the feed, the newest first."""
MOST_CHANGES = 200
"""Rows that an entry lists."""
HEIGHT, LETTER, WIDE = 20, 6.5, 8.5
"""Of a badge, pixels: its height, and the width of a letter and of a capital."""


def write_feed(history: Sequence[Publication], title: str, authors: str, url: str) -> bytes:
    """Return a feed with an entry for each publication.

    Args:
        history: one publication or more, the oldest first.
        title: of the site.
        authors: of the results; may be empty.
        url: address of the site, ending in ``/``, or empty: links are then relative.
    """
    feed = ElementTree.Element("feed", xmlns=ATOM)
    _add(feed, "title", title)
    _add(feed, "id", _name(history[0]))
    _add(feed, "updated", history[-1].published)
    _add(_add(feed, "author"), "name", authors or "fer-bench")
    _add(feed, "generator", "fer-bench", version=__version__)
    if url:
        _add(feed, "link", rel="self", type="application/atom+xml", href=f"{url}feed.xml")
    _add(feed, "link", rel="alternate", type="text/html", href=f"{url}index.html")
    before = [None, *history[:-1]]
    for last, publication in [*zip(before, history, strict=True)][: -MOST_ENTRIES - 1 : -1]:
        changes = compare(last.rows if last else (), publication.rows)
        entry = _add(feed, "entry")
        rows = number_of(len(changes), "row")
        _add(entry, "title", f"{rows} {'changed' if last else 'published'}")
        _add(entry, "id", _name(publication, "entry"))
        _add(entry, "updated", publication.published)
        _add(entry, "link", rel="alternate", type="text/html", href=f"{url}index.html")
        lines = [
            f'<li><a href="{escape(url)}rows/{change.row.id}.html">{escape(one_line(change.row.name))}</a>: '
            f"{escape(one_line(change.say()))}</li>"
            for change in changes[:MOST_CHANGES]
        ]
        lines += [f"<li>{len(changes) - MOST_CHANGES} more</li>"] if len(changes) > MOST_CHANGES else []
        _add(entry, "content", f"<ul>{''.join(lines)}</ul>", type="html")
    return ElementTree.tostring(feed, "us-ascii", xml_declaration=True)


def write_badge(row: PublishedRow, *, gone: bool = False) -> bytes:
    """Return a picture of one line with the score of a row, its interval and its tier; without them if it is gone."""
    texts = [one_line(row.title()), "no longer published" if gone else one_line(row.say())]
    widths = [round(sum(WIDE if sign.isupper() or sign == "%" else LETTER for sign in text)) + 12 for text in texts]
    size = {"width": str(sum(widths)), "height": str(HEIGHT), "viewBox": f"0 0 {sum(widths)} {HEIGHT}"}
    badge = ElementTree.Element("svg", {"xmlns": SVG, "role": "img", **size})
    badge.set("aria-label", f"{one_line(row.name)}: {': '.join(texts)}")
    _add(badge, "title", f"{row.name}: {': '.join(texts)}")
    font = {"font-family": "Verdana,DejaVu Sans,sans-serif", "font-size": "11", "fill": "#fff"}
    for text, width, left, colour in zip(texts, widths, (0, widths[0]), ("#444a52", "#1f5fa8"), strict=True):
        _add(badge, "rect", x=str(left), width=str(width), height=str(HEIGHT), fill=colour)
        place = {"x": str(left + 6), "y": "14", "textLength": str(width - 12)}
        _add(badge, "text", text, **place, **font)
    return ElementTree.tostring(badge, "us-ascii")


def name_badge(name: str) -> str:
    """Return the file of the badge of all rows of a name, so that it shows the newest of them."""
    return f"badges/{hashlib.sha256(name.encode()).hexdigest()[:16]}.svg"


def _add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, tag, attributes)
    child.text = one_line(text) or None
    return child


def _name(publication: Publication, kind: str = "feed") -> str:
    """Return a permanent name, made of the time and the rows of a publication."""
    rows = " ".join(row.id for row in publication.rows)
    return uuid.uuid5(uuid.NAMESPACE_URL, f"fer-bench {kind} {publication.published} {rows}").urn
