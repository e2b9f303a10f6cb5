"""The command line: one module a subcommand; heavy modules are imported inside functions."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TextIO

import typer

from fer_bench import console
from fer_bench.atomic import lacking
from fer_bench.cli import (
    baseline,
    cache,
    card,
    check,
    cite,
    compare,
    curve,
    damage,
    data,
    export,
    fit,
    groups,
    inflation,
    labels,
    leaderboard,
    matrix,
    merge,
    new,
    pack,
    plan,
    plugins,
    power,
    predict,
    publish,
    replay,
    rm,
    run,
    show,
    verify,
    weights,
)
from fer_bench.cli.command import App
from fer_bench.cli.huge_pages import restart_with_them
from fer_bench.cli.options import command_for
from fer_bench.errors import FerBenchError, PluginWarning

EXAMPLES = """\b
Examples:
  fer-bench run
  fer-bench leaderboard
  fer-bench data status

Environment: FER_BENCH_DATA_DIR and FER_BENCH_CACHE_DIR name the folders of data and cache.
"""

app = App(
    help="Honest benchmarks of facial-expression recognition: which backbone works best, and how should it be trained?",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would swallow the brackets of name[param=value]
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", epilog=run.EXAMPLES, cls=command_for())(run.run)
app.command("new", epilog=new.EXAMPLES)(new.new)
app.command("plan", epilog=plan.EXAMPLES, cls=command_for(without=("cache_limit", "executor", "keep")))(plan.plan)
app.command("fit", epilog=fit.EXAMPLES, cls=command_for(without=("executor", "keep", "corrupt")))(fit.fit)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("leaderboard", epilog=leaderboard.EXAMPLES)(leaderboard.leaderboard)
app.command("inflation", epilog=inflation.EXAMPLES, cls=command_for(*inflation.SETTINGS))(inflation.inflation)
app.command("matrix", epilog=matrix.EXAMPLES, cls=command_for(*matrix.SETTINGS))(matrix.matrix)
app.command("curve", epilog=curve.EXAMPLES)(curve.curve)
app.command("damage", epilog=damage.EXAMPLES)(damage.damage)
app.command("groups", epilog=groups.EXAMPLES)(groups.groups)
app.command("labels", epilog=labels.EXAMPLES)(labels.labels)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("verify", epilog=verify.EXAMPLES, cls=command_for("data_dir", "cache_dir"))(verify.verify)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("power", epilog=power.EXAMPLES)(power.power)
app.command("replay", epilog=replay.EXAMPLES, cls=command_for("data_dir", "cache_dir"))(replay.replay)
app.command("publish", epilog=publish.EXAMPLES)(publish.publish)
app.command("rm", epilog=rm.EXAMPLES)(rm.rm)
app.command("cite", epilog=cite.EXAMPLES)(cite.cite)
app.command("show", epilog=show.EXAMPLES)(show.show)
app.command("merge", epilog=merge.EXAMPLES)(merge.merge)
app.command("pack", epilog=pack.PACK_EXAMPLES)(pack.pack)
app.command("unpack", epilog=pack.UNPACK_EXAMPLES)(pack.unpack)
app.add_typer(baseline.app, name="baseline")
app.add_typer(cache.app, name="cache")
app.add_typer(card.app, name="card")
app.add_typer(data.app, name="data")
app.add_typer(plugins.app, name="plugins")
app.add_typer(weights.app, name="weights")


def _version(value: bool) -> None:
    if value:
        from fer_bench.about import __version__

        console.echo(f"fer-bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    del version


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print our own warnings as one line, all others as Python does."""
    del file
    if issubclass(category, PluginWarning):
        text = f"fer-bench: warning: {message}"
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
    console.warn(text)


def main() -> None:
    """Run the command line; exit 2 with one message for what a user can correct."""
    console.prepare()
    warnings.showwarning = _show_warning
    restart_with_them()
    # Arrow's own allocator keeps megabytes for every thread that ever read a file.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # XLA logs as an error that a program compiles slowly, which progress shows; what fails comes as an exception too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if os.environ.get("FER_BENCH_DEBUG") else "3")
    try:
        app()
    except FerBenchError as error:
        if os.environ.get("FER_BENCH_DEBUG"):
            raise
        console.warn(f"fer-bench: {error}")
        sys.exit(2)
    except MemoryError as error:
        console.warn(f"fer-bench: There is too little memory ({str(error) or 'no more is said'}): take fewer images.")
        sys.exit(2)
    except OSError as error:
        if not console.is_writable():
            console.warn(f"fer-bench: Cannot print the result: {error.strerror}. What was done is stored.")
            sys.exit(2)
        if why := lacking(error):
            console.warn(f"fer-bench: {why[0].upper()}{why[1:]}.")
            sys.exit(2)
        raise
