"""The version of the core's numerics: what stands for the core's own code in the identity of a cell."""

NUMERICS = 1
"""Raise it by one in a commit after which the core gives other predictions for the same data, plugins and settings.

A cell is reused only where its version is this one. Rounding counts as well: a kernel or an order of summation that
turns the last bit. A faster way to the same bits, another message, another name do not count: to raise the
version makes every stored result "to do" again. `tests/goldens` keeps it honest: they hold the numbers of every module
that moves a prediction, and fail where one changes while this version does not.
"""
