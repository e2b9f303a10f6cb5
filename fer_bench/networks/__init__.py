"""Networks: a backbone as pure functions from stored images to the output of any stage. Nothing here trains."""

WORK = ("features", "data", "compile", "train", "evaluate")
"""What seconds go to: outputs of frozen stages; waiting for images or kept outputs; tracing and compiling; steps and
fits; prediction."""
