"""``fer-bench plugins``: what is installed, what it brings, and what is broken."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List plugins.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep ``list`` a subcommand: Typer drops the name of a lone command."""


@app.command("list")
def list_plugins(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List every installed plugin with what it brings, or why it failed. Exit code 1 if one failed.

    FER_BENCH_PLUGINS=a,b in the environment selects plugins by name.

    Example:
      fer-bench plugins list
    """
    from fer_bench.plugins import load_plugins

    plugins = load_plugins()
    if as_json:
        import json

        records = [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "hooks": list(plugin.hooks),
                "items": [{"kind": kind, "name": item.name} for kind, item in plugin.items],
                "status": plugin.status,
                "error": plugin.error,
            }
            for plugin in plugins
        ]
        typer.echo(json.dumps(records, indent=1, ensure_ascii=False))
    else:
        from fer_bench.cli.tables import print_table

        print_table(
            ("name", "distribution", "version", "hooks", "brings", "status", "error"),
            [
                (
                    *(plugin.name, plugin.distribution, plugin.version, "\n".join(plugin.hooks)),
                    *("\n".join(item.name for _, item in plugin.items), plugin.status, plugin.error),
                )
                for plugin in plugins
            ],
        )
    if any(plugin.status == "failed" for plugin in plugins):
        raise typer.Exit(1)
