"""What people type and write: manifests, options, brackets, YAML, on consoles of any encoding."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

from command_line import subcommands
from tiny_run import BASE

from campaign.command import command
from campaign.names import draw_name
from campaign.ranges import KINDS, parameters
from campaign.stock import GRID, Stock
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry

VALUES = [
    *("", " ", "-1", "0", "1", "2", "1e400", "-1e400", "nan", "inf", "0x10", "10" * 40, "1" * 5000, "1,2", ",", "true"),
    *(
        "[",
        "]",
        "x[",
        "x[a=",
        "x[a=1",
        "x[a=[1,[2]]]",
        "/",
        "..",
        "~",
        "~nobody-here",
        "/dev/null",
        "/dev/full",
        "a" * 300,
    ),
    *("a\0b", "é" * 200, "\udce9", "--", "-", "a b", "\n", "squares", "net", "probe", "json", "rows", "base", "uar"),
]
"""Hostile values of options."""
LEFT_OUT = ("weights convert", "weights verify", "plugins check", "new")
"""Commands that download, or take minutes; what they write is tried elsewhere."""
TRAINING = ("run", "plan", "inflation", "matrix")
SPOILS = [
    '"',
    ",",
    "\n",
    "\r",
    "\0",
    "\ufeff",
    ";",
    "\t",
    "../",
    "/",
    "\\",
    "'",
    "é",
    "e\u0301",
    "\u202e",
    "=1+1",
    "," * 300,
    "a" * 400,
]
WORDS = [
    "[",
    "]",
    "'",
    '"',
    ",",
    "=",
    " ",
    "!!float",
    "&a",
    "*a",
    "{",
    "}",
    "1e400",
    "9" * 400,
    "-0",
    "null",
    "yes",
    "2024-01-01",
]
YAML = """folds: 3
seeds: [0, 1]
labels: native
backbones: ['net[width=4]', net]
limit: null
leak_free: yes
face_margin: 0.1
"""


def _spoil(draw: random.Random, text: str, parts: list[str], most: int = 4) -> str:
    """Return a text with parts put in, taken out and moved."""
    for _ in range(draw.randrange(1, most + 1)):
        at, to = draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)
        match draw.randrange(4):
            case 0:
                text = text[:at] + draw.choice(parts) + text[at:]
            case 1:
                text = text[: min(at, to)] + text[max(at, to) :] if abs(at - to) < 30 else text
            case 2:
                text = text[:at] + text[to : to + 20] + text[at:]
            case _:
                text = text[:at] + chr(draw.choice((draw.randrange(128), draw.randrange(0x3000)))) + text[at + 1 :]
    return text


def manifests(draw: random.Random, stock: Stock) -> None:
    """A fuzzed ``manifest.csv`` is prepared whole or refused in words; what was prepared verifies."""
    with stock.copy("manual") as place:
        file = place / "manual" / "manifest" / "manifest.csv"
        text = _spoil(draw, file.read_text(), SPOILS)
        encoding = draw.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
        content = text.encode(encoding, "ignore")
        file.write_bytes(content if draw.random() < 0.8 else content + draw.randbytes(3))
        first = command("data", "verify", "manifest", "--data-dir", ".").ends_in(0, 1, 2)
        assert first.out or first.err
        if (place / "prepared").is_dir() and list((place / "prepared").rglob("prepared.json")):
            command("data", "verify", "manifest", "--data-dir", ".").ends_in(first.code)
        else:
            assert first.code, "nothing is prepared, and all is well"


def options(draw: random.Random, stock: Stock) -> None:
    """Hostile values of one to three options of any command end in words."""
    name, spec = draw.choice([(n, c) for n, c in subcommands().items() if not n.startswith(LEFT_OUT)])
    with stock.copy("rows", "base", "data", "cache") as place:
        words: list[str] = name.split()
        taken = [each for each in spec.params if each.name not in ("help", "version")]
        if name in TRAINING:
            words += GRID if name == "run" else BASE
        for each in taken:
            if each.param_type_name == "argument" and (each.required or draw.random() < 0.5):
                words.append(draw.choice((draw.choice(VALUES), draw_name(draw))))
        settable = [each for each in taken if each.param_type_name == "option"]
        settable += list(spec.options.values()) if hasattr(spec, "options") else []
        for each in draw.sample(settable, min(len(settable), draw.randrange(1, 4))):
            flag = each.opts[0]
            words += [flag] if each.is_flag else [f"{flag}={draw.choice(VALUES)}"]
        folders = {"--data-dir": "data", "--cache-dir": "cache", "--runs-dir": "rows"}
        known = {option for each in settable for option in each.opts}
        words += [
            f"{flag}={folders[flag]}" for flag in folders.keys() & known if not any(w.startswith(flag) for w in words)
        ]
        try:
            command(*words).ends_in(0, 1, 2, 3)
        except BaseException as error:
            error.add_note(f"fer-bench {words!r}")
            raise
        shutil.rmtree(place, ignore_errors=True)


def brackets(draw: random.Random, stock: Stock) -> None:
    """Any text in brackets makes a component that its own text makes again, or is refused in words, at once."""
    del stock
    registry = Registry.load()
    kind, name, number = draw.choice(list(parameters(registry)))
    kind = kind if draw.random() < 0.9 else draw.choice(KINDS)
    value = draw.choice((str(number.low), str(number.high), *WORDS, draw_name(draw)))
    text = _spoil(draw, f"{name}[{number.name}={value}]", WORDS, 3)
    text = text if draw.random() < 0.95 else text.replace("=", "=" + "[" * draw.choice((5, 4000)))
    start, message = time.monotonic(), ""
    try:
        component = registry.find(kind, text)
        assert registry.find(kind, f"{component.plugin.distribution}/{component}").params == component.params
    except FerBenchError as error:
        message = str(error)
    assert len(message) < 20_000
    assert time.monotonic() - start < 5, text[:200]


def yaml(draw: random.Random, stock: Stock) -> None:
    """Any YAML is settings or a message, at once and of a length that can be read."""
    with stock.copy() as place:
        file = Path(place, "run.yaml")
        file.write_bytes(
            _spoil(draw, YAML, [*WORDS, "\n", ": ", "- ", "? ", "runs:\n- ", "<<: ", "---\n"]).encode(errors="ignore")
        )
        start, message = time.monotonic(), ""
        try:
            assert RunConfig.read(file, {})
        except FerBenchError as error:
            message = str(error)
        assert len(message) < 20_000
        assert time.monotonic() - start < 5


def encodings(draw: random.Random, stock: Stock) -> None:
    """Every printing command prints on a console of any encoding, also what it cannot spell."""
    cell = next(iter(stock.predictions))[:12]
    prints: list[list[Any]] = [
        *(
            ["leaderboard", "--runs-dir", "runs", "--format", form]
            for form in ("terminal", "md", "csv", "json", "latex", "html")
        ),
        *(["leaderboard", "--runs-dir", "rows", "--columns", what] for what in ("cost", "groups", "soft")),
        *(["show", cell, "--runs-dir", "runs", *more] for more in ([], ["--json"])),
        ["compare", cell, cell, "--runs-dir", "runs"],
        ["check", "--baseline", "base", "--runs-dir", "rows", "--margin", "0.49"],
        *(["data", "status", "--data-dir", "data", *more] for more in ([], ["--json"])),
        *(["data", "list"], ["plugins", "list"], ["weights", "list"], ["cache", "status", "--json"]),
        ["show", draw_name(draw).replace("\0", "").lstrip("-") or "x", "--runs-dir", "runs"],
    ]
    words = draw.choice(prints)
    with stock.copy("runs", "rows", "base", "data"):
        done = command(
            *words, encoding=draw.choice(("ascii", "cp1252", "latin-1", "cp437", "cp932", "koi8-r", "utf-8"))
        )
        done.ends_in(*((2,) if words[0] == "show" and words[1] != cell else (0, 3)))
        if "json" in words[-1]:
            json.loads(done.out)


def ends(draw: random.Random, stock: Stock) -> None:
    """What is planned at the end of a numeric parameter's range runs, or its training is said to diverge."""
    known = [(name, number) for kind, name, number in parameters(Registry.load()) if kind == "strategy"]
    name, number = draw.choice([(name, n) for name, n in known if (name, n.name) not in EXPENSIVE])
    value = draw.choice((number.low, number.high))
    text = f"{name}[{number.name}={value!r}{'' if 'epochs' not in MODELS[name] else ',epochs=1'}]"
    with stock.copy("data", "cache"):
        words = ["run", "--dataset", "squares", "--backbone", "net", "--strategy", text, "--folds", "2"]
        folders = ["--data-dir", "data", "--cache-dir", "cache", "--runs-dir", "new"]
        planned = command("plan", "--no-probe", *words[1:], *folders).ends_in(0, 2)
        if planned.code == 0:
            ran = command(*words, *folders).ends_in(0, 1)
            assert ran.code == 0 or "diverged" in ran.err + ran.out, f"{text}: {ran.err[-500:]}"


MODELS = {name: spec.params.model_fields for name, _, spec in Registry.load().specs("strategy")}
EXPENSIVE = {(name, field) for name in MODELS for field in ("epochs", "patience")}
"""Thousands of epochs."""
