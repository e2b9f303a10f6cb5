"""A stranger's cell, its checksums right and its records hostile: read, shown and made again."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

from campaign.command import command
from campaign.corruption import HOSTILE, leaves
from campaign.stock import Stock
from fer_bench.results.canonical import digest

SECRET = "/etc/hostname"
"""A file of this machine that a cell may name, and nothing may open."""
CONFIGS = [
    {"backbones": [f"onnx[card={SECRET}]"]},
    {"backbones": [f"keras-mobilenetv2[file={SECRET}]"]},
    {"backbones": ["keras-mobilenetv2"]},
    {"datasets": [f"manifest[name=../..{SECRET}]"]},
    {"datasets": ["squares", "squares[split=train]"]},
    {"data_dir": "/etc", "runs_dir": "/etc", "cache_dir": "/etc"},
    {"seeds": list(range(1000))},
    {"folds": 10**9},
    {"protocol": "cross"},
    {"train_with": [f"manifest[name={SECRET}]"]},
    {"no_such": {}},
    {},
]


class Opened(list[str]):
    """Files that are opened and hosts that are looked up while it is on; Python cannot take an audit hook away."""

    on = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event == "open":
            self.append(str(arguments[0]))
        if self.on and event in ("socket.getaddrinfo", "socket.connect"):
            self.append("socket")


OPENED = Opened()
sys.addaudithook(OPENED)


def reseal(folder: Path) -> Path:
    """Make the checksums and the name of a cell's folder fit what is in it, as a forger would; return it."""
    (folder / "checksums.json").unlink()
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}
    (folder / "checksums.json").write_text(json.dumps(sums))
    try:
        name = digest(json.loads((folder / "cell.json").read_text()))[:16]
    except (TypeError, ValueError):
        return folder
    return folder.rename(folder.with_name(name))


def cells(draw: random.Random, stock: Stock) -> None:
    """Whatever a stranger's cell says, commands end in words, open nothing of this machine and connect to nobody."""
    with stock.copy("runs", "data", "cache") as place:
        folder = draw.choice(sorted((place / "runs" / "cells").iterdir()))
        record = json.loads((folder / "provenance.json").read_text())
        if draw.random() < 0.5:
            record["config"] = {**record["config"], **draw.choice(CONFIGS)}
            (folder / "provenance.json").write_text(json.dumps(record))
        else:
            file = folder / draw.choice(("provenance.json", "provenance.json", "cell.json", "result.json"))
            record = json.loads(file.read_text())
            holder, key = draw.choice(list(leaves(record)))
            holder[key] = draw.choice(HOSTILE)
            file.write_text(json.dumps(record))
        folder = reseal(folder)
        OPENED.clear()
        OPENED.on = True
        try:
            folders = ["--runs-dir", "runs", "--data-dir", "data", "--cache-dir", "cache"]
            command("replay", folder.name, *folders, "--reuse-cache").ends_in(0, 1, 2)
            for words in (["show", folder.name], ["leaderboard"], ["compare", folder.name, folder.name]):
                command(*words, "--runs-dir", "runs").ends_in(0, 2)
        finally:
            OPENED.on = False
        reached = [name for name in OPENED if name == "socket" or name.endswith("hostname")]
        assert not reached, f"it reached {reached}"
