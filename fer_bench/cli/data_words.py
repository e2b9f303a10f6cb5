"""What is known of a data set before anybody has it, as plain JSON and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_bench.specs import Counts, DatasetSpec

IDENTITY = {
    "yes": "known",
    "no": "not known, so no folds can keep people apart",
    "maybe": "the data decide",
    "proxy": "not known; something stands for the person, as the first line says",
}


def describe(name: str, package: str, spec: DatasetSpec) -> dict[str, Any]:
    """Return all that a spec declares as plain JSON.

    ``published`` maps each release, layout or parameter, ``""`` where there is one alone, to split -> label -> samples;
    the label ``""`` stands for all of a split. ``published_images`` is the number of all where there is one alone.
    """
    published = spec.variants or ({"": spec.expected_counts} if spec.expected_counts else {})
    return {
        "name": name,
        "title": spec.title,
        "labels": list(spec.labels),
        "expressions": dict(spec.expressions),
        "identity": spec.identity,
        "splits": list(spec.splits),
        "roles": dict(spec.roles),
        "published_images": _total(published[""]) if "" in published else None,
        "published": {
            text: {split: dict(labels) for split, labels in counts.items()} for text, counts in published.items()
        },
        "synthetic": spec.synthetic,
        "access": "manual" if spec.access else "built in",
        "how_to_get": spec.access,
        "licence": spec.licence,
        "citation": spec.citation,
        "params": {key: field.default for key, field in spec.params.model_fields.items()},
        "package": package,
    }


def splits_of(spec: DatasetSpec, counts: Counts) -> list[tuple[str, int, str]]:
    """Return name, number of samples and role of each official split; the role is empty where none is declared."""
    return [(name, sum(labels.values()), spec.roles.get(name, "")) for name, labels in counts.items() if name]


def published_in_words(row: dict[str, Any]) -> str:
    """Return the published number of images, a line a release, layout or parameter."""
    lines = [(f"{_total(counts):,}", text.replace(",", ", ")) for text, counts in row["published"].items()]
    return "\n".join(f"{number} ({text})" if text else number for number, text in lines)


def in_words(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (what, text) of everything that `describe` returned."""
    labels = [f"{label} -> {row['expressions'].get(label) or 'none'}" for label in row["labels"]]
    splits = [f"{name} ({row['roles'].get(name, 'told by its name')})" for name in row["splits"]]
    return [
        ("what it is", row["title"]),
        ("labels", ", ".join(labels) or "from the data; what they mean is told by their spelling"),
        ("subjects", IDENTITY[row["identity"]]),
        ("official splits", ", ".join(splits) or "none declared"),
        *((f"published, {text}".rstrip(", "), _in_lines(counts)) for text, counts in row["published"].items()),
        ("parameters", ", ".join(f"{key}={value}" for key, value in row["params"].items())),
        ("licence", row["licence"]),
        ("citation", row["citation"]),
        ("how to get it", row["how_to_get"] or "its package makes it"),
        ("package", row["package"]),
    ]


def _in_lines(counts: Counts) -> str:
    """Return a line a split, with the number of each label where it is published."""
    lines: list[str] = []
    for split, labels in counts.items():
        each = ", ".join(f"{label} {number:,}" for label, number in labels.items() if label)
        lines.append(f"{f'{split}: ' if split else ''}{sum(labels.values()):,}{f' ({each})' if each else ''}")
    return "\n".join(lines)


def _total(counts: Counts) -> int:
    return sum(sum(labels.values()) for labels in counts.values())
