"""Text from elsewhere, such as names of data, groups and plugins, made harmless before it is shown.

`visible` serves every text format; the writers in `fer_bench.reports.formats` escape what their format reads as markup.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_JOINERS = "\u200c\u200d"
"""Zero-width characters that scripts and emoji need."""

_COMMAND = re.compile(r"^([^\S\n]*)(?=::)|#(?=#(?:\[|vso\[|teamcity\[))", re.MULTILINE)
"""Where a CI system would read a workflow command: ``::`` first in a line, ``##[`` and its like anywhere."""

_FORMULA = tuple("=+-@＝＋－＠")
"""What a spreadsheet takes for the beginning of a formula."""

_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([tnr\\]))")
"""What the codec unicode_escape writes; it reads more, such as octal numbers, and warns of what it cannot read."""


def visible(text: str) -> str:
    r"""Return ``text`` with each character that steers a terminal or hides in a text written out; line feeds stay.

    That is: control characters, marks of direction and other formatting, surrogates, line and paragraph separators.

    Example:
        >>> visible("a\x1b[2J\u202eb")
        'a\\x1b[2J\\u202eb'
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def one_line(text: str) -> str:
    """Return ``text`` as `visible`, in one line: white space becomes single spaces."""
    return visible(" ".join(text.split()))


def defuse(text: str) -> str:
    r"""Return lines of a log with a backslash in what GitHub, Azure or TeamCity would read as a workflow command.

    Example:
        >>> defuse("::error::no")
        '\\::error::no'
    """
    return _COMMAND.sub(r"\g<0>\\", text)


def pack_field(text: str) -> str:
    r"""Return a field of CSV in one line that no spreadsheet takes for a formula; `unpack_field` gives it back.

    What would be a formula, holds characters that `visible` writes out, or begins with an apostrophe, is an apostrophe
    and the text with escapes.

    Example:
        >>> pack_field("=1+1"), pack_field("a\r\nb"), pack_field("José")
        ("'=1+1", "'a\\r\\nb", 'José')
    """
    if text.isprintable() and not text.startswith(("'", *_FORMULA)):
        return text
    return "'" + text.encode("unicode_escape").decode()


def unpack_field(text: str) -> str:
    r"""Return what `pack_field` was given. A backslash that it would not have written stays.

    Example:
        >>> unpack_field("'a\\r\\nb"), unpack_field("'C:\\#")
        ('a\r\nb', 'C:\\#')
    """
    return _ESCAPE.sub(_unescaped, text[1:]) if text.startswith("'") else text


def _unescaped(escape: re.Match[str]) -> str:
    number = escape[1] or escape[2] or escape[3]
    if number is None:
        return {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}[escape[4]]
    return chr(int(number, 16)) if int(number, 16) <= sys.maxunicode else escape[0]


@cache
def _visible(sign: str) -> str:
    harmless = sign.isprintable() or sign == "\n" or sign in _JOINERS
    if harmless or (unicodedata.category(sign) in ("Zs", "Cn", "Co") and ord(sign) & 0xFFFE != 0xFFFE):
        return sign
    return sign.encode("unicode_escape").decode()
