"""What a stored cell would reach outside of the data folder when it is made again: asked before it does so.

Nothing in a cell proves who wrote it, so the question is the same for one's own cells and those of others.
"""

from __future__ import annotations

from pathlib import Path

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.plugins import Kind
from fer_bench.registry import Registry, marked
from fer_bench.specs import BackboneSpec


def ask(cell_id: str, config: RunConfig, registry: Registry) -> None:
    """Refuse to repeat a cell that names local files or folders, or weights that a plugin may download.

    Args:
        cell_id: of the cell, for the message.
        config: the settings that make it again.
        registry: of the installed plugins.

    Raises:
        FerBenchError: it names some; the message lists them all. Or a component is not installed.
    """
    if reached := reaches(config, registry):
        raise FerBenchError(
            f"Cell {cell_id[:8]} names files outside of the data folder:\n{bullet_list(reached, len(reached))}\n"
            "Nothing was opened or downloaded. If you trust the author of the cell, add --trust to go on."
        )


def reaches(config: RunConfig, registry: Registry) -> list[str]:
    """Return what the components of a run name outside of the data folder, one line each; opens none of it."""
    typed: dict[Kind, tuple[str, ...]] = {
        "dataset": (*config.datasets, *config.train_on, *config.train_with),
        "protocol": (config.protocol,),
        "backbone": config.backbones,
        "strategy": config.strategies,
    }
    return [line for kind, texts in typed.items() for text in texts for line in _reaches(kind, text, registry)]


def _reaches(kind: Kind, text: str, registry: Registry) -> list[str]:
    _, spec, values = registry.read(kind, text)
    files = marked(spec.params, "file")
    lines: list[str] = []
    for name in marked(spec.params, "file", "folder"):
        if value := str(values.get(name) or ""):
            # A file is looked for by its content later; a folder is the one of that name in the working directory.
            reached = f"file {value!r}" if name in files else f"folder {str(Path(value).absolute())!r}"
            lines.append(f"{reached}: parameter {name!r} of {kind} {spec.name!r}")
    if isinstance(spec, BackboneSpec):
        name = str(values.get("weights", spec.params.model_fields["weights"].default))
        if any(weights.name == name and not (weights.file or weights.url) for weights in spec.weights):
            lines.append(f"weights {name!r} of {kind} {spec.name!r}: its plugin gets them itself, maybe by a download")
    return lines
