"""Files of runs, data, cache and baselines that are damaged, swapped or replaced by what is no file."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from campaign.command import command
from campaign.stock import Stock, read_predictions, run

LARGE = 1 << 34
"""Bytes of a file that nobody should read; nor do the cases."""


def _flip(draw: random.Random, file: Path) -> None:
    content = bytearray(file.read_bytes() or b"\0")
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def _cut(draw: random.Random, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content) + 1)])


def _fill(draw: random.Random, file: Path) -> None:
    file.write_bytes(draw.randbytes(draw.randrange(2000)))


def _add(draw: random.Random, file: Path) -> None:
    file.write_bytes(file.read_bytes() + draw.randbytes(20))


def _swap(draw: random.Random, file: Path) -> None:
    other = draw.choice([each for each in file.parent.parent.rglob("*") if each.is_file() and not each.is_symlink()])
    if other.stat().st_size >= LARGE:
        return
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _fifo(draw: random.Random, file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(draw: random.Random, file: Path) -> None:
    file.unlink()
    (file / "inner").mkdir(parents=True)


def _link(draw: random.Random, file: Path) -> None:
    file.unlink()
    file.symlink_to(draw.choice(("/dev/zero", file.name, "/etc/passwd", "nowhere")))


def _delete(draw: random.Random, file: Path) -> None:
    file.unlink()


def _sparse(draw: random.Random, file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(LARGE)


def _number(draw: random.Random, file: Path) -> None:
    """Change a value in a JSON file; any other file is cut."""
    try:
        value = json.loads(file.read_text())
    except ValueError:
        return _cut(draw, file)
    holder, key = draw.choice(list(leaves(value)) or [({}, "")])
    holder[key] = draw.choice(HOSTILE)
    file.write_text(json.dumps(value))
    return None


HOSTILE = [
    None,
    -1,
    0,
    2**63,
    1e308,
    "",
    "\0",
    "x" * 5000,
    "../../up",
    True,
    [],
    {},
    [[]],
    {"a": 1},
    [1] * 99,
    "/etc/passwd",
]
"""Values in the place of what a record says."""
OWN = (_flip, _cut, _fill, _add, _swap, _folder, _delete, _number)
"""What may befall the user's own folders of data and cache."""
FOREIGN = (*OWN, _sparse, _fifo, _link)
"""What may lie in a folder of runs or a baseline, which may be a stranger's."""


def leaves(value: object):
    """Yield (holder, key) of every value in plain JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from leaves(inner)


def damage(draw: random.Random, folder: Path, kinds: tuple) -> str:
    """Damage a file below a folder; return what was done, in words."""
    files = sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    file = draw.choice([each for each in files if each.stat().st_size < LARGE])
    kind = draw.choice(kinds)
    kind(draw, file)
    return f"{kind.__name__[1:]} {file.relative_to(folder.parent)}"


def runs(draw: random.Random, stock: Stock) -> None:
    """A damaged cell is left out and named, or read as it was; the next run makes it again, in the same bits."""
    with stock.copy("data", "cache", "runs") as place:
        what = damage(draw, place / "runs", FOREIGN)
        board = command("leaderboard", "--runs-dir", "runs", "--format", "json").ends_in(0, 2)
        whole = read_predictions(place / "runs")
        assert whole.items() <= stock.predictions.items(), f"{what}: other predictions are read"
        if board.code == 0 and whole:
            read = {row["cells"]["ok"] for row in json.loads(board.out)["rows"] if not row["baseline"]}
            assert read <= {len(whole)}, what
        command("show", next(iter(stock.predictions)), "--runs-dir", "runs").ends_in(0, 2)
        if run(place).ends_in(0, 2).code == 0:
            assert read_predictions(place / "runs") == stock.predictions, what


def rows(draw: random.Random, stock: Stock) -> None:
    """Every command that reads rows or a baseline ends in words, whatever lies there."""
    with stock.copy("rows", "base") as place:
        for _ in range(draw.randrange(1, 4)):
            damage(draw, place / draw.choice(("rows", "base")), FOREIGN)
        for form in draw.sample(("terminal", "md", "csv", "json", "latex", "html"), 2):
            command("leaderboard", "--runs-dir", "rows", "--format", form).ends_in(0, 2)
        command("check", "--baseline", "base", "--runs-dir", "rows", "--margin", "0.49").ends_in(0, 1, 2, 3)
        command("baseline", "freeze", "--runs-dir", "rows", "--output", "new").ends_in(0, 2)
        command("compare", "linear-probe", "fine-tune", "--runs-dir", "rows").ends_in(0, 2)


def data(draw: random.Random, stock: Stock) -> None:
    """A run on damaged data ends with a message, or with the same bits as on whole ones; `verify` finds damage."""
    with stock.copy("data", "cache") as place:
        what = damage(draw, place / "data", OWN)
        verified = command("data", "verify", "squares", "--data-dir", "data").ends_in(0, 1, 2)
        shutil.rmtree(place / "cache")
        ended = run(place, runs="new").ends_in(0, 2)
        if ended.code == 0:
            assert read_predictions(place / "new") == stock.predictions, f"{what}: other results"
        assert ended.code == 0 or verified.code, f"{what}: the run ends with 2, and verify finds nothing"


def cache(draw: random.Random, stock: Stock) -> None:
    """What is damaged in the cache is computed again."""
    with stock.copy("data", "cache") as place:
        what = [damage(draw, place / "cache", FOREIGN) for _ in range(draw.randrange(1, 3))]
        command("cache", "status", "--cache-dir", "cache").ends_in(0)
        if run(place, runs="new").ends_in(0, 2).code == 0:
            assert read_predictions(place / "new") == stock.predictions, what
        command("cache", "clear", "--all", "--cache-dir", "cache").ends_in(0, 2)
