"""``fer-bench weights``: list, fetch, convert and verify the pre-trained weights of backbones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import console, paths
from fer_bench.cli.command import App
from fer_bench.cli.output import print_json
from fer_bench.errors import FerBenchError
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench.specs import WeightsSpec

LIST_EXAMPLES = """\b
Examples:
  fer-bench weights list
  fer-bench weights list --licence commercial
  fer-bench weights list --json
"""
FETCH_EXAMPLES = """\b
Examples:
  fer-bench weights fetch xception
  fer-bench weights fetch clip-b16
"""
CONVERT_EXAMPLES = """\b
Examples:
  fer-bench weights convert xception xception_notop.h5 --output xception.safetensors
"""
VERIFY_EXAMPLES = """\b
Examples:
  fer-bench weights verify xception
  fer-bench weights verify xception --file xception.safetensors
"""

app = App(help="List, fetch, convert and verify pre-trained weights.", no_args_is_help=True)

Backbone = Annotated[str, typer.Argument(metavar="BACKBONE", help="as in 'xception'")]
Name = Annotated[str, typer.Option("--weights", metavar="NAME", help="which weights, if not the backbone's default")]


@app.command("list", epilog=LIST_EXAMPLES)
def list_weights(
    licence: Annotated[
        str,
        typer.Option(metavar="NAME", help="only weights under it, as in MIT; 'commercial': those that allow such use"),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the weights of all backbones, with the licence of the weights and what they were trained on.

    A licence of weights says nothing about the images that they were trained on, which may have stricter terms.
    """
    from fer_bench.keeping.licences import chosen
    from fer_bench.registry import Registry
    from fer_bench.specs import BackboneSpec

    listed = [
        (name, plugin.distribution, weights)
        for name, plugin, spec in Registry.load().specs("backbone")
        if isinstance(spec, BackboneSpec)
        for weights in spec.weights
    ]
    names = chosen(licence, {weights.licence for _, _, weights in listed})
    rows = [
        {
            "backbone": backbone,
            "weights": weights.name,
            "package": package,
            "licence": weights.licence,
            "source": weights.source,
            "data": weights.data,
            "url": weights.url,
            "sha256": weights.sha256,
            "by_hand": weights.by_hand,
        }
        for backbone, package, weights in listed
        if weights.licence in names
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.echo("No installed backbone has such weights. See 'fer-bench plugins list'.")
    for row in rows:
        console.echo(f"{row['backbone']}[weights={row['weights']}]  {row['licence']}  {row['package']}")
        console.echo(f"  {row['source']}")
        if row["data"]:
            console.echo(f"  trained on {row['data']}")
        if row["by_hand"]:
            console.echo(f"  no program can fetch it: {row['url']}")


@app.command(epilog=FETCH_EXAMPLES)
def fetch(
    backbone: Backbone,
    cache_dir: Annotated[
        Path,
        typer.Option(
            envvar=paths.CACHE_VARIABLE,
            default_factory=paths.cache_dir,
            show_default="the user's cache folder",
            help="where to keep it",
        ),
    ],
    weights: Name = "",
) -> None:
    """Download the published file of some weights, check its sha256, and print its path."""
    from fer_bench.keeping.weights import by_hand, fetch

    spec = _find(backbone, weights)
    if spec.by_hand:
        raise FerBenchError(f"No program can fetch the weights {spec.name!r} of {backbone}. {by_hand(backbone, spec)}.")
    if not spec.url:
        raise FerBenchError(
            f"The weights {spec.name!r} of backbone {backbone!r} cannot be fetched: its plugin gets them when the "
            "backbone is built."
        )
    console.echo(str(fetch(backbone, spec, cache_dir)))
    if not spec.sha256:
        console.warn("No sha256 of this file is published, so that its content was not checked.")


@app.command(epilog=CONVERT_EXAMPLES)
def convert(
    backbone: Backbone,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="the published file")],
    output: Annotated[Path, typer.Option(help="safetensors file to write")],
    weights: Name = "",
) -> None:
    """Convert a published file to the tensors of a backbone, as safetensors, and compare them with the pinned ones."""
    from fer_bench.keeping.weights import convert, ensure_packaged

    spec = _find(backbone, weights)
    ensure_packaged(backbone, spec)
    converted = convert(spec, source, output)
    console.echo(f"Wrote {number_of(converted.tensors, 'tensor')}, {converted.size_bytes:,} bytes, to {converted.path}")
    console.echo(f"sha256 {converted.sha256}")
    if converted.differences:
        console.echo(
            f"{number_of(len(converted.differences), 'tensor differs', 'tensors differ')} from the pinned "
            "digests: these are not the shipped weights."
        )
    else:
        console.echo("All tensors have the pinned digests.")


@app.command(epilog=VERIFY_EXAMPLES)
def verify(
    backbone: Backbone,
    weights: Name = "",
    file: Annotated[Path | None, typer.Option(help="check this safetensors file instead of the packaged one")] = None,
) -> None:
    """Check every tensor against the digests that the plugin pins."""
    from fer_bench.keeping.weights import ensure_packaged, verify

    spec = _find(backbone, weights)
    ensure_packaged(backbone, spec)
    console.echo(
        f"All {number_of(verify(spec, file), 'tensor')} of {str(file or spec.file)!r} have the pinned digests."
    )


def _find(backbone: str, name: str) -> WeightsSpec:
    from fer_bench.keeping.weights import find_weights
    from fer_bench.registry import Registry

    return find_weights(Registry.load().backbone(backbone).spec, name)
