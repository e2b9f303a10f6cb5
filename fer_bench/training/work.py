"""What the seconds of a cell go to: one list for the stop watch and for the tables."""

WORK = ("features", "data", "compile", "train", "evaluate")
"""Outputs of frozen stages; waiting for images or kept outputs; tracing and compiling; steps and fits; prediction."""
