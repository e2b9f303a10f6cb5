"""Keeping: arrays on disk that outlive a process: stage outputs, checkpoints, weights files."""
