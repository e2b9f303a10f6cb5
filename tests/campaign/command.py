"""A command of fer-bench in this process, as the program ``fer-bench`` runs it."""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import dataclass
from unittest import mock

from fer_bench.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def ends_in(self, *codes: int) -> Ended:
        """Raise AssertionError unless the command ended in one of these exit codes."""
        assert self.code in codes, f"exit code {self.code}: {self.err[-600:]}"
        return self


def command(*words: object, encoding: str = "utf-8") -> Ended:
    """Run a command on a console of this encoding; what `main` does not turn into a message is raised."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    with (
        mock.patch.multiple(sys, argv=["fer-bench", *map(str, words)], **streams),
        mock.patch.object(warnings, "showwarning", warnings.showwarning),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())
    return Ended(code, out, err)
