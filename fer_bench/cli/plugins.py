"""``fer-bench plugins``: what is installed, what it brings, what is broken, and whether it keeps the rules."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import console, paths
from fer_bench.cli.command import App
from fer_bench.cli.output import print_json, print_tables
from fer_bench.reports.table import Column, Table, texts
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench.testing.conformance import Finding

app = App(help="List and check plugins.", no_args_is_help=True)

LIST_EXAMPLES = """\b
Examples:
  fer-bench plugins list
  fer-bench plugins list --all
  fer-bench plugins list --json
"""
SHOWN = 16
"""Items of a plugin that the list names."""
EXAMPLES = """\b
Examples:
  fer-bench plugins check strategies
  fer-bench plugins check 'xception[input_size=71]'
"""


@app.command("list", epilog=LIST_EXAMPLES)
def list_plugins(
    everything: Annotated[bool, typer.Option("--all", help=f"Name more than {SHOWN} items of a plugin.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every installed plugin with what it brings, or why it failed. Exit code 1 if one failed.

    Remarks name side effects of loading a plugin: it took a second or more, printed, warned, started threads or
    changed settings.

    FER_BENCH_PLUGINS=a,b in the environment selects plugins by name.
    """
    from fer_bench.plugins import load_plugins

    plugins = load_plugins()
    if as_json:
        records = [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "hooks": list(plugin.hooks),
                "items": [{"kind": kind, "name": item.name} for kind, item in plugin.items],
                "status": plugin.status,
                "error": plugin.error,
                "interface": plugin.interface,
                "notes": list(plugin.notes),
            }
            for plugin in plugins
        ]
        print_json(records)
    else:
        rows = [
            (
                *(plugin.name, plugin.status),
                _few([item.name for _, item in plugin.items], everything),
                "\n".join(filter(None, (plugin.error, *plugin.notes))),
                *(plugin.distribution, plugin.version, ", ".join(plugin.hooks)),
            )
            for plugin in plugins
        ]
        optional = [Column(title, optional=True) for title in ("distribution", "version", "hooks")]
        columns = (*texts("name", "status", "brings", "remarks"), *optional)
        print_tables(Table("", columns, tuple(rows)))
    if any(plugin.status == "failed" for plugin in plugins):
        raise typer.Exit(1)


def _few(names: Sequence[str], everything: bool) -> str:
    shown = names if everything else names[:SHOWN]
    return ", ".join([*shown, *([f"{len(names) - len(shown)} more (--all)"] if len(shown) < len(names) else [])])


@app.command("check", epilog=EXAMPLES)
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plugin, or an item as in 'xception[input_size=71]'.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar=paths.DATA_VARIABLE, help="Folder of data sets.  [default: the user's own]"),
    ] = None,
) -> None:
    """Check a plugin, or one item of it, by its conformance rules. Exit code 1 if it breaks one.

    Each broken rule says what was found and expected, and how to fix it.
    """
    from fer_bench.executors.progress import TerminalReporter
    from fer_bench.testing.conformance import find_suites

    suites = find_suites(name, data_dir=data_dir)
    findings: list[Finding] = []
    with TerminalReporter(quiet=as_json) as reporter:
        for suite in suites:
            reporter.say(f"checking {suite.kind} {suite.item} …")
            findings += (case.run() for case in suite.cases())
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    rows = [
        (
            *(finding.kind, finding.item, finding.rule, finding.status),
            finding.found.strip() if finding.status == "skipped" else "",
        )
        for finding in findings
    ]
    print_tables(Table("", texts("kind", "item", "rule", "status", "why"), tuple(rows)))
    for finding in findings:
        if finding.status == "failed":
            console.echo(f"{finding}\n")
    counts = Counter(finding.status for finding in findings)
    console.echo(
        f"{number_of(counts['passed'], 'rule')} kept, {counts['failed']} broken, {counts['skipped']} had "
        "nothing to check."
    )
