"""How far features lie from those of references: asserted by ``tox run -e parity``, which prints it by family."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

WORST: dict[str, float] = {}
"""The largest difference of each row of the table."""


def apart(row: str, ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference, relative to the largest value of the reference, and keep it for a row."""
    assert ours.shape == theirs.shape
    assert np.isfinite(ours).all()
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    WORST[row] = max(difference, WORST.get(row, 0.0))
    return difference


@pytest.fixture(scope="module", autouse=True)
def differences(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the table once the tests of a module are through."""
    WORST.clear()
    yield
    plugins = request.config.pluginmanager
    reporter = plugins.get_plugin("terminalreporter")
    with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line("")
        for row, worst in WORST.items():
            reporter.write_line(f"largest relative difference, {row}: {worst:.1e}")
