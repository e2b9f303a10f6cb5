"""``fer-bench inflation``: what random and official folds add to the score by leaking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.output import print_json, print_tables
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.config import RunConfig
    from fer_bench.registry import Registry

EXAMPLES = """\b
Examples:
  fer-bench inflation --dataset 'synthetic[domain=lab]' --backbone xception --strategy linear-probe
  fer-bench inflation --config recipes/nasri2020-synthetic.yaml --strategy linear-probe
"""

SETTINGS = (
    *("backbones", "datasets", "strategies", "seeds", "split_seeds", "precision", "folds", "test_split", "train_with"),
    *("labels", "limit", "runs_dir", "data_dir", "cache_dir"),
)
"""What it takes of `fer_bench.config.RunConfig`."""


def inflation(
    context: typer.Context,
    config: options.ConfigFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the table and warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run random, official and leak-free folds, and print by how many points each overestimates the score.

    Cells are those of 'fer-bench run', so what is stored is not run again. Exit code 1 if a cell failed. Of a --config
    file, protocols do not count: each data set gets all of them, with the added data of its runs; 'cross' has no folds.
    """
    test_split = options.settings_of(context).pop("test_split")
    everything = [run for run in options.make_config(context, config) if run.protocol != "cross" and not run.train_on]
    if not everything:
        raise FerBenchError(f"{str(config)!r} holds only runs of 'cross', which have no folds that could flatter.")
    from fer_bench.registry import Registry

    registry = Registry.load()
    from fer_bench.executors.progress import TerminalReporter
    from fer_bench.executors.run import run_grid
    from fer_bench.reports.inflation import NOTES, measure, to_table

    free = {"protocol": "auto", "test_split": None, "leak_free": None}
    plain = list(dict.fromkeys(run.model_copy(update=free) for run in everything))
    parts = [(run, text) for run in plain for text in run.datasets]
    runs = [
        run for one in parts for run in _protocols_of(*one, test_split, registry, quiet=quiet, alone=len(parts) == 1)
    ]
    if not runs:
        raise FerBenchError("No data set is left whose folds could be compared.")
    with TerminalReporter(quiet) as reporter:
        finished = run_grid(runs, registry, reporter)
    rows = measure(finished.cells, reporter.warn)
    if as_json:
        print_json({"schema": 2, "rows": [row.record() for row in rows], "notes": list(NOTES)})
    else:
        print_tables(to_table(rows))
    if finished.summary.failed:
        raise typer.Exit(1)


def _protocols_of(
    settings: RunConfig, text: str, test_split: str | None, registry: Registry, *, quiet: bool, alone: bool
) -> list[RunConfig]:
    """Return the runs of a data set that are to be compared, one a protocol; what is left out is said.

    Args:
        settings: of the run, without a protocol.
        text: the data set, as the user typed it.
        test_split: the official split that is tested, if one is asked for.
        registry: of the installed plugins.
        quiet: say only what cannot be compared at all.
        alone: whether it is the only data set; then nothing can take its place, and the run says what it lacks.

    Raises:
        FerBenchError: ``test_split`` is asked for, and the data have no official splits.
    """
    from fer_bench.audit.clusters import duplicate_clusters
    from fer_bench.config import RunConfig
    from fer_bench.data.prepare import prepare
    from fer_bench.tasks.task import Task
    from fer_bench.tasks.view import select

    dataset = registry.dataset(text)
    prepared = prepare(dataset, settings.data_folder)
    view = select(dataset, prepared, settings.limit, settings.labels)
    if not alone and not Task((view,), duplicate_clusters([prepared])).known:
        console.warn(
            f"{text}: left out, since nothing says which of its images belong together; "
            f"'fer-bench data audit {text}' looks for copies."
        )
        return []
    protocols = [{"protocol": "kfold"}, {"protocol": "group-kfold"}]
    splits = set(view.column("split").tolist()) - {""}
    if len(splits) > 1:
        official = {"protocol": "official", "test_split": test_split}
        protocols += [official, {**official, "leak_free": True}]
    elif test_split is not None:
        raise FerBenchError(f"Data set {text!r} has no official splits here; leave out --test-split {test_split!r}.")
    elif splits and len(prepared.splits) > 1 and not quiet:
        what = "--limit" if settings.limit else "the data set's parameters"
        console.warn(f"{text}: no official folds, since {what} left the split {min(splits)!r} alone.")
    common = settings.model_dump()
    return [RunConfig.model_validate({**common, "datasets": (text,), **protocol}) for protocol in protocols]
