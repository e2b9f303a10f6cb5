"""Write what follows from the code: commands.md, specs.md, and the JSON Schema of each file that is stored.

    python docs/generate.py

A test fails where the pages in the tree are not what this writes.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import runpy
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from fer_bench import hookspecs, specs
from fer_bench.atomic import write_file
from fer_bench.claims.claim import Claim
from fer_bench.cli import app
from fer_bench.cli.options import annotation_of
from fer_bench.reports.board_records import BoardRecord
from fer_bench.results import canonical
from fer_bench.results.baseline_index import BaselineIndex
from fer_bench.results.outcomes import Provenance, ResultRecord
from fer_bench.results.records import Cell

HERE = Path(__file__).parent
FILES = {"cell": Cell, "result": ResultRecord, "provenance": Provenance, "baseline": BaselineIndex}
"""The name of each JSON Schema that is published, and its record."""
NOTE = "<!-- Written by docs/generate.py; change the code, then run it again. -->\n"
GROUPS = {
    "Data sets": ["Sample", "DatasetSpec", "DatasetParams"],
    "Protocols": ["ProtocolSpec"],
    "Backbones": [
        "BackboneSpec",
        "Extractor",
        "AdjustableExtractor",
        "NetworkInput",
        "ImageInput",
        "WeightsSpec",
        "BackboneParams",
    ],
    "Strategies": ["StrategySpec", "Plan", "ConvexPhase", "ReadoutPhase", "GradientPhase", "Rule", "AnswerPhase"],
    "Metrics": ["MetricSpec"],
    "Executors": ["ExecutorSpec"],
    "Parameters": ["Params", "StrategyParams"],
}


def commands() -> str:
    """Return the page of all subcommands, with every argument and option."""
    root: Any = typer.main.get_command(app)
    parts = [
        f"# Commands\n\n{NOTE}",
        "Every command has `--help` with the same text. `fer-bench --version` prints the version, "
        "`fer-bench --install-completion` teaches the shell to complete commands and options, "
        "`--show-completion` prints that script instead.\n",
        "Exit codes: 0 all done, 1 a cell, plugin or check failed (each command says what it means), 2 "
        "something to correct, 3 UNDERPOWERED (`check` and `verify`), 130 Ctrl-C, 143 SIGTERM. Names of components are "
        "`name[param=value,…]`, in quotes, since shells read brackets.\n",
    ]
    parts += [_command(path, command) for path, command in subcommands(root)]
    return "\n".join(parts)


def subcommands(command: Any, path: str = "fer-bench") -> Iterator[tuple[str, Any]]:
    """Yield (words, command) of all that do something, in the order of the help."""
    for name, sub in command.commands.items():
        if hasattr(sub, "commands"):
            yield from subcommands(sub, f"{path} {name}")
        else:
            yield f"{path} {name}", sub


def _command(path: str, command: Any) -> str:
    parameters = [p for p in command.get_params(typer.Context(command)) if p.name != "help"]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    usage = " ".join([path, *(_usage(p) for p in arguments), "[options]" if options else ""]).strip()
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    hints |= {name: annotation_of(name) for name in getattr(command, "options", ())}
    text = f"## {path}\n\n`{usage}`\n\n{inspect.cleandoc(command.help)}\n"
    if parameters:
        text += "\n| argument or option | value | default | meaning |\n| --- | --- | --- | --- |\n"
        for parameter in [*arguments, *options]:
            words, default = _line(parameter.help or ""), _default(parameter)
            if found := re.fullmatch(r"(.*?)\.?\s*\[default: (.*)\]", words):  # said in words where none is known yet
                words, default = found.groups()
            cells = (_names(parameter), _value(parameter, hints[parameter.name]), default, words)
            text += f"| {' | '.join(cells)} |\n"
    epilog = inspect.cleandoc(command.epilog.replace("\b", ""))
    first, _, rest = epilog.partition("\n\n")
    examples = inspect.cleandoc("\n" + "\n".join(first.splitlines()[1:]))
    text += f"\n<!-- tested by tests/test_help.py and tests/test_reference.py -->\n```sh\n{examples}\n```\n"
    return text + (f"\n{rest.strip()}\n" if rest.strip() else "")


def _usage(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()) + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return " / ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def _value(parameter: Any, annotation: Any) -> str:
    """Return in words what a parameter takes, from its annotation: typer's own objects change between versions."""
    kinds = [kind for kind in _flat(annotation) if kind is not type(None)]
    many = any(get_origin(kind) in (list, tuple) for kind in kinds)
    kinds = [
        kind
        for outer in kinds
        for kind in (_flat(get_args(outer)[0]) if get_origin(outer) in (list, tuple) else [outer])
    ]
    if kinds == [bool]:
        return ""
    if parameter.metavar and parameter.param_type_name == "option":
        words = f"`{parameter.metavar}`".replace("|", "`, `")
    elif get_origin(kinds[0]) is Literal:
        words = ", ".join(f"`{value}`" for value in get_args(kinds[0]))
    elif issubclass(kinds[0], Enum):
        words = ", ".join(f"`{member.value}`" for member in kinds[0])
    else:
        words = {str: "text", int: "whole number", float: "number", Path: "path"}[kinds[0]]
    return words + (", may be repeated" if many else "")


def _flat(annotation: Any) -> list[Any]:
    """Return the parts of a union, without what is annotated on them."""
    if get_origin(annotation) is Annotated:
        return _flat(get_args(annotation)[0])
    return (
        [flat for part in get_args(annotation) for flat in _flat(part)]
        if get_origin(annotation) in (Union, UnionType)
        else [annotation]
    )


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = getattr(parameter, "show_default", None)
    value = shown if isinstance(shown, str) else parameter.default
    if value is None or callable(value) or value == "" or value is False:
        return ""
    return f"`{getattr(value, 'value', value)}`" if not isinstance(shown, str) else str(value)


def specifications() -> str:
    """Return the page of everything that plugins return, field by field."""
    named = {name for names in GROUPS.values() for name in names}
    own = {name for name in specs.__all__ if inspect.isclass(getattr(specs, name))}
    if named != own:
        raise SystemExit(f"GROUPS in {__file__} and the classes of fer_bench.specs differ: {sorted(named ^ own)}")
    intro = (
        "What plugins return, and what a data set's builder yields. All are keyword-only; the dataclasses are frozen. "
        "Heavy code is named by a reference, `package.module:attribute`, which the host imports when somebody "
        f"uses it. Import them from `fer_bench.specs`; this is version {specs.INTERFACE_VERSION} of the interface "
        "(`FER_BENCH_INTERFACE`, see [Hooks](hooks.md)).\n"
    )
    parts = [f"# Specs\n\n{NOTE}", intro]
    for title, names in GROUPS.items():
        parts += [f"## {title}\n", *(_spec(getattr(specs, name)) for name in names)]
    return "\n".join(parts)


def _spec(cls: Any) -> str:
    text, _, attributes = inspect.cleandoc(cls.__doc__).partition("\nAttributes:\n")
    described = {
        name: " ".join(words.split())
        for name, words in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", attributes, re.MULTILINE)
    }
    out = f"### {cls.__name__}\n\n{_markdown(text.strip())}\n"
    rows = []
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            rows.append((field.name, field.type, _field_default(field), described.get(field.name, "")))
    elif getattr(cls, "_is_protocol", False):  # typing.is_protocol is there from Python 3.13 on
        rows = [(name, kind, "", described.get(name, "")) for name, kind in inspect.get_annotations(cls).items()]
    else:
        for name, field in cls.__dict__.get("model_fields", cls.model_fields).items():
            if name in cls.__annotations__:
                rows.append((name, cls.__annotations__[name], repr(field.default), field.description or ""))
    if rows:
        out += "\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n"
    for name, kind, default, words in rows:
        kind = str(kind).replace("|", "\\|")
        out += f"| `{name}` | `{kind}` | {f'`{default}`' if default else 'required'} | {_line(_markdown(words))} |\n"
    return out


def _field_default(field: Any) -> str:
    if field.default is not dataclasses.MISSING:
        return getattr(field.default, "__name__", None) or repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else ""


def hook_signatures() -> dict[str, str]:
    """Return hook -> its definition as it stands in the source, from ``def`` to the return type."""
    tree = ast.parse(Path(hookspecs.__file__).read_bytes())
    return {
        node.name: f"def {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns or ast.Constant(None))}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith(hookspecs.PROJECT)
    }


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def expectations() -> str:
    """Return the page of what runs cost."""
    return str(runpy.run_path(str(HERE / "expect.py"))["page"]())


def schemas() -> dict[str, str]:
    """Return file below docs -> JSON Schema of a record."""
    kinds = {f"schemas/{name}.schema.json": kind for name, kind in FILES.items()}
    kinds["leaderboard.schema.json"] = BoardRecord
    written = {name: canonical.json_schema(kind) for name, kind in kinds.items()}
    written["schemas/claim.schema.json"] = Claim.model_json_schema()
    return {name: json.dumps(schema, indent=1, sort_keys=True) + "\n" for name, schema in written.items()}


if __name__ == "__main__":
    pages = {"commands.md": commands(), "specs.md": specifications(), "expect.md": expectations()}
    for name, page in {**pages, **schemas()}.items():
        write_file(HERE / name, page, "a page")
