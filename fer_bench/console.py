"""The only way to stdout and stderr: no name steers the terminal, and no encoding or full disk ends in a traceback."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import textwrap
from typing import IO, TextIO

from fer_bench.foreign import defuse, visible

FALLBACK = "fer-bench-fallback"
"""Name of the error handler that writes in ASCII what an encoding lacks."""

COMMENT = "   # "
"""Stands between a command and what it is for."""

_ASCII = {
    **dict.fromkeys("‐‑‒–—―−─━", "-"),
    **{"±": "+-", "×": "x", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "│": "|", "•": "*"},
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("“”„", '"'),
}


def prepare() -> None:
    """Let stdout and stderr of any encoding take every text; what goes to a closed one is dropped."""
    # A file that is opened later must not become file descriptor 1, to which others write.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors=FALLBACK, closefd=False))  # noqa: SIM115
        else:
            stream.reconfigure(errors=FALLBACK)


def echo(text: str = "") -> None:
    """Print lines of text on stdout; what is foreign in them may steer nothing. A terminal gets lines that fit it."""
    write(fold(sys.stdout, defuse(visible(text))) + "\n")


def warn(text: str) -> None:
    """Print lines of text on stderr, likewise; where that cannot be written, nothing is said."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, fold(sys.stderr, defuse(visible(text))) + "\n")


def write(text: str) -> None:
    """Write what a writer of a format made on stdout, as it is."""
    _write(sys.stdout, text)


def encoding() -> str:
    """Return the encoding of stdout."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def encodable(text: str, encoding: str) -> str:
    """Return ``text`` with what an encoding lacks in ASCII, as stdout would print it."""
    return text.encode(encoding, FALLBACK).decode(encoding)


def is_writable() -> bool:
    """Return whether stdout takes another line; if not, forget it, so that Python does not complain on leaving."""
    try:
        write("\n")
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return False
    return True


def fold(stream: IO[str], text: str) -> str:
    """Return lines that a terminal need not break within a word; those that are commands stay whole, for copying."""
    if not stream.isatty():
        return text
    width = os.get_terminal_size(stream.fileno()).columns or 80
    return "\n".join(
        line if len(line) <= width else _lift(line) if line.lstrip().startswith("fer-bench ") else _wrap(line, width)
        for line in text.split("\n")
    )


def _lift(command: str) -> str:
    """Return a line with a command; its comment, if it has one, stands in a line above it."""
    line, mark, comment = command.rpartition(COMMENT)
    indent = " " * (len(line) - len(line.lstrip()))
    return f"{indent}{COMMENT.lstrip()}{comment}\n{line}" if mark else command


def _wrap(line: str, width: int) -> str:
    """Return a line as several, which are indented as its text is."""
    indent = " " * (len(line) - len(line.lstrip(" -")))
    return textwrap.fill(
        line,
        max(width, 20),
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def _fall_back(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_ASCII.get(sign) or sign.encode("unicode_escape").decode() for sign in signs), error.end


codecs.register_error(FALLBACK, _fall_back)
