"""Folders that a ``manifest.csv`` describes: one's own, and EMPATHIC."""

from __future__ import annotations

from pathlib import Path

from fer_bench.testing.layouts.drawing import EXPRESSIONS, Truth, save_face, write_text


def write_manifest(root: Path) -> list[Truth]:
    """Pictures of two people in two splits, one of each in a video."""
    lines, truths = ["path,label,subject,split,sequence,country"], list[Truth]()
    for subject, split in (("ana", "train"), ("bo", "test")):
        for label in EXPRESSIONS[:4]:
            sequence = f"{subject}-1" if label == "sadness" else ""
            name = f"{subject}/{label}.png"
            save_face(root / name, label, len(truths))
            lines.append(f"{name},{label},{subject},{split},{sequence},ES")
            truths.append(Truth(name, label, split, subject, sequence))
    write_text(root / "manifest.csv", lines)
    return truths


def write_empathic(root: Path) -> list[Truth]:
    """EMPATHIC: frames of two people, a session each, from two countries."""
    lines, truths = ["path,label,subject,country,sequence"], list[Truth]()
    for subject, country in (("s01", "ES"), ("s02", "NO")):
        for label in EXPRESSIONS[:7]:
            name = f"{country}/{subject}/{label}.jpg"
            save_face(root / name, label, len(truths))
            lines.append(f"{name},{label},{subject},{country},{subject}-visit1")
            truths.append(Truth(name, label, "", subject, f"{subject}-visit1"))
    write_text(root / "manifest.csv", lines)
    return truths
